"""Teach a student what its teacher says, and choose its cut on sources that it did not see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from quorum.models.scoring.calibration import log_odds
from quorum.models.scoring.settling import Outcome, cut_of
from quorum.models.scoring.student import (
    KNOWN,
    WINDOW,
    Student,
    Tokens,
    Vectors,
    forward,
    inside,
    padded,
)

__all__ = ["MISSED", "assembled", "folds_by", "left_out", "teach", "trained"]

#: Hidden units, passes over the texts, texts of a step, and the first step of Adam.
_HIDDEN, _EPOCHS, _BATCH, _RATE = 128, 8, 128, 1e-3
_DECAY, _DROPOUT, _LOST = 1e-2, 0.3, 0.1
#: Texts in which a token must stand to be known.
_FEWEST = 2
#: The teacher's log-odds count within these bounds.
_BOUND = 6.0
#: Share of harmful texts over the floor, of sources left out, that may be settled wrongly.
MISSED = 0.005
_FOLDS = 5

Floats = NDArray[np.float32]


def teach(
    texts: Sequence[str],
    odds: ArrayLike,
    sources: Sequence[str],
    ordinary: ArrayLike,
    floor: float,
    vocabulary: Vectors,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Student, dict[str, Any]]:
    """Train on what the teacher says, and choose the cut on sources left out.

    Args:
        texts: Normalised.
        odds: The teacher's calibrated log-odds of each.
        sources: Where each text comes from; a source stands on one side of a split.
        ordinary: Whether each is of ordinary traffic.
        floor: Lowest probability that any policy asks for.
        vocabulary: The tokens and their vectors.
        seed: Of weights and order.
        progress: Called with progress messages.

    Returns:
        The student, and how it agrees with its teacher on what was left out.

    Raises:
        ValueError: If no text is over the floor, or there is one source only.
    """
    told = np.asarray(odds, dtype=np.float64)
    limit = float(log_odds(np.array([floor]))[0])
    if not (told >= limit).any() or len(set(sources)) < 2:
        msg = "a student needs texts over the floor, and several sources"
        raise ValueError(msg)
    tokens = Tokens.of(texts, vocabulary)
    fold = folds_by(sources)
    own = np.full(len(texts), np.nan)
    known = np.zeros(len(texts))
    for index in range(int(fold.max()) + 1):
        own_here, known_here = left_out(tokens, told - limit, fold, index, vocabulary, seed)
        own[fold == index], known[fold == index] = own_here, known_here
        progress(f"student: fold {index} left out")
    final = trained(tokens, told - limit, vocabulary, seed)
    return assembled(final, own, known, told, np.asarray(ordinary, dtype=bool), floor)


def folds_by(sources: Sequence[str]) -> NDArray[np.int64]:
    """The fold that leaves each text out, by its source; folds are about alike in size."""
    from sklearn.model_selection import GroupKFold

    made = np.zeros(len(sources), dtype=np.int64)
    split = GroupKFold(min(_FOLDS, len(set(sources))))
    for index, (_, out) in enumerate(split.split(made, groups=list(sources))):
        made[out] = index
    return made


def left_out(
    tokens: Tokens,
    odds: NDArray[np.float64],
    fold: NDArray[np.int64],
    index: int,
    vocabulary: Vectors,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a student says of a fold that it did not see: its log-odds, and what it knows."""
    kept, out = np.flatnonzero(fold != index), np.flatnonzero(fold == index)
    made = trained(tokens.rows(kept), odds[kept], vocabulary, seed)
    held = tokens.rows(out)
    return made.odds_of(held, vocabulary), made.known(held)


def assembled(
    final: Student,
    own: NDArray[np.float64],
    known: NDArray[np.float64],
    told: NDArray[np.float64],
    ordinary: NDArray[np.bool_],
    floor: float,
) -> tuple[Student, dict[str, Any]]:
    """A student with its cut.

    Args:
        final: Trained on all texts.
        own: Log-odds of each text by a student that did not see its source.
        known: What share of it that student knew.
        told: The teacher's log-odds.
        ordinary: Whether it is of ordinary traffic.
        floor: Lowest probability that any policy asks for.

    Returns:
        The student, and how it agrees with its teacher.
    """
    scores = expit(told)
    # What is not known is never settled, whatever the cut.
    cheap = np.where(known >= KNOWN, own, np.inf)
    outcomes = [
        Outcome(float(one), float(score), bool(usual))
        for one, score, usual in zip(cheap, scores, ordinary, strict=True)
    ]
    cut, report = cut_of(outcomes, floor, MISSED)
    settled = (cheap < cut) & (ordinary if ordinary.any() else True)
    score = min(floor / 2, float(scores[settled].mean())) if settled.any() else floor / 2
    return replace(final, cut=cut, score=score), {"split": "by source left out", **report}


def trained(tokens: Tokens, odds: NDArray[np.float64], vocabulary: Vectors, seed: int) -> Student:
    """A student fitted to the teacher's soft labels, without a cut."""
    some = np.flatnonzero(tokens.lengths)
    held = tokens.rows(some)
    soft = expit(np.clip(odds[some], -_BOUND, _BOUND)).astype(np.float32)
    distinct, places = np.unique(held.tokens, return_inverse=True)
    raw = vocabulary.vectors(distinct)
    centre = raw.mean(axis=0)
    scale = float(1 / (raw - centre).std())
    # The last row is nothing: before and after a text, and a token that is lost.
    table = np.vstack([(raw - centre) * np.float32(scale), np.zeros((1, raw.shape[1]), np.float32)])
    rng = np.random.default_rng(seed)
    weights = _start(raw.shape[1], rng)
    _fit(weights, table, Tokens(places.astype(np.int64), held.lengths), soft, rng)
    kept = distinct[_texts_of(places, held.owner, len(distinct)) >= _FEWEST]
    bits = np.zeros(-(-vocabulary.size // 8) * 8, dtype=np.uint8)
    bits[kept] = 1
    first, bias, second, intercept = weights
    return Student(
        centre.astype(np.float32),
        scale,
        first,
        bias,
        second,
        float(intercept[0]),
        np.packbits(bits, bitorder="little"),
        float("-inf"),
        0.0,
    )


def _texts_of(places: NDArray[np.intp], owner: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """In how many texts each token stands."""
    pairs = np.unique(owner.astype(np.int64) * count + places)
    return np.bincount(pairs % count, minlength=count)


def _start(width: int, rng: np.random.Generator) -> list[Floats]:
    bound = (WINDOW * width) ** -0.5
    out = (2 * _HIDDEN) ** -0.5
    return [
        rng.uniform(-bound, bound, (WINDOW, width, _HIDDEN)).astype(np.float32),
        np.zeros(_HIDDEN, dtype=np.float32),
        rng.uniform(-out, out, 2 * _HIDDEN).astype(np.float32),
        np.zeros(1, dtype=np.float32),
    ]


def _fit(
    weights: list[Floats], table: Floats, held: Tokens, soft: Floats, rng: np.random.Generator
) -> None:
    """Adam (Kingma, Ba 2015) with decoupled weight decay, its step falling to 0 along a cosine."""
    first = [np.zeros_like(one) for one in weights]
    second = [np.zeros_like(one) for one in weights]
    steps = _EPOCHS * -(-len(soft) // _BATCH)
    step = 0
    for _ in range(_EPOCHS):
        order = rng.permutation(len(soft))
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            step += 1
            slopes = _slopes(weights, table, held.rows(chosen), soft[chosen], rng)
            rate = _RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            for place, slope in enumerate(slopes):
                first[place] += 0.1 * (slope - first[place])
                second[place] += 0.001 * (slope * slope - second[place])
                mean = first[place] / (1 - 0.9**step)
                square = second[place] / (1 - 0.999**step)
                weights[place] -= np.asarray(
                    rate * (mean / (np.sqrt(square) + 1e-8) + _DECAY * weights[place]),
                    dtype=np.float32,
                )


def _slopes(
    weights: list[Floats], table: Floats, batch: Tokens, soft: Floats, rng: np.random.Generator
) -> list[Floats]:
    """Gradients of the cross-entropy of a batch; a share of tokens and pooled units is dropped."""
    first, bias, second, intercept = weights
    width, hidden_units = first.shape[1:]
    nothing = len(table) - 1
    lost = rng.random(len(batch.tokens)) < _LOST
    places = padded(batch, np.where(lost, nothing, batch.tokens), nothing)
    distinct, index = np.unique(places, return_inverse=True)
    vectors = table[distinct]
    products = (vectors @ first.transpose(1, 0, 2).reshape(width, -1))[index]
    hidden, pooled = forward(products.reshape(-1, WINDOW, hidden_units), batch.lengths, bias)
    kept = (rng.random(pooled.shape, dtype=np.float32) >= _DROPOUT) / np.float32(1 - _DROPOUT)
    wrong = (expit((pooled * kept) @ second + intercept[0]) - soft) / np.float32(len(soft))
    back = wrong[:, None] * second * kept
    owner = batch.owner
    most, mean = back[:, :hidden_units], back[:, hidden_units:] / batch.lengths[:, None]
    at_most = hidden == pooled[owner, :hidden_units]
    slope = np.where(hidden > 0, at_most * most[owner] + mean[owner], 0).astype(np.float32)
    own = np.flatnonzero(inside(batch.lengths))
    found = np.stack([vectors[index[own + shift]].T @ slope for shift in (-1, 0, 1)])
    return [
        np.asarray(one, dtype=np.float32)
        for one in (found, slope.sum(axis=0), (pooled * kept).T @ wrong, [wrong.sum()])
    ]
