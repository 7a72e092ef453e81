"""Train the spam detector: ``python -m quorum.models.spam.train --data FOLDER``.

``FOLDER`` holds the data sets, each in a folder of its own; those that are absent are left out.
Figures are on whole sources, videos, channels and languages that were left out, and a quarter of
the channels is never trained on. The weights of the heads and the calibration of each field are
fitted on these left-out scores.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.models.features.embedding import DIMENSIONS
from quorum.models.registry.artifacts import open_artifact
from quorum.models.scoring.calibration import Platt
from quorum.models.scoring.settling import Outcome, cut_of
from quorum.models.spam.compose import composed
from quorum.models.spam.detector import ARTIFACT
from quorum.models.spam.figures import figures_of
from quorum.models.spam.folds import FOLDS, Examples, read_examples, weights_of
from quorum.models.spam.judge import Judged, capped, judge
from quorum.models.spam.model import (
    GROUPS,
    MEANINGS,
    OF_MEANING,
    OF_WORDS,
    SpamModel,
    Stack,
    group_of,
)
from quorum.models.spam.reading import FieldKind
from quorum.models.spam.sources import read_sources
from quorum.models.spam.vectors import CachedVectors, vectors_of

#: What a head's log-odds must reach to count as evidence of its own: at most this share of
#: innocent parts that were left out reaches it.
_CLEAR = 0.01
#: The largest share of left-out innocent fields that may reach 0.5.
_INNOCENT_AT_HALF = 0.004
#: The lowest score of spam that a rule of a shipped policy asks for.
FLOOR = 0.4
#: How far the cut that settles without an embedding lies under what left-out fields ask for.
_MARGIN = 0.8
#: Sources that are of video platforms in every respect: their texts count so much more where the
#: heads are weighed.
_DOMAIN = ("youtube_spam",)
_OF_DOMAIN = 6.0
#: The most parts of a source, field and label that are embedded.
_EMBEDDED = 350
#: The most rows of a source, field and label that figures and calibrations are of.
_JUDGED = 300


def columns_of(
    examples: Examples, vectors: NDArray[np.float32] | None, progress: Callable[[str], None]
) -> tuple[NDArray[np.float64], dict[int, Any]]:
    """What a stack weighs of each part, by heads that had not seen it.

    Returns:
        Shape (parts, columns), and the heads by fold; those of fold -1 were trained on all folds.
    """
    made = np.zeros((len(examples.parts), Stack.width()))
    heads = {}
    of_part = examples.folds[examples.trained]
    for fold in [*range(FOLDS), -1]:
        heads[fold] = examples.fit(None if fold < 0 else fold, vectors)
        left = np.flatnonzero(of_part == fold)
        if len(left):
            parts = [examples.parts[index] for index in left]
            words, signals = heads[fold].cheap(parts)
            meaning = np.full((len(left), MEANINGS), np.nan)
            if vectors is not None:
                known = np.flatnonzero(~np.isnan(vectors[left, 0]))
                meaning[known] = heads[fold].means(
                    [parts[place] for place in known], vectors[left[known]]
                )
            made[left] = Stack.columns(words, signals, meaning)
        progress(f"heads without fold {fold}" if fold >= 0 else "heads on all")
    return made, heads


def _sampled_vectors(examples: Examples, embed: CachedVectors) -> NDArray[np.float32]:
    """Embeddings of a sample of each source, field and label; NaN for the other parts.

    Embedding is what takes the time of training, and a head of 384 numbers needs no more.
    """
    made = np.full((len(examples.parts), DIMENSIONS), np.nan, dtype=np.float32)
    order = sorted(
        range(len(examples.parts)),
        key=lambda index: sha256(examples.parts[index].told.encode(errors="replace")).digest(),
    )
    taken: Counter[tuple[object, ...]] = Counter()
    chosen = []
    for index in order:
        row = examples.rows[examples.trained[index]]
        key = (row.source, row.kind, row.label)
        small = row.source == "made" or key[:2] == ("youtube_spam", FieldKind.COMMENT)
        taken[key] += 1
        if small or taken[key] <= _EMBEDDED:
            chosen.append(index)
    made[chosen] = vectors_of([examples.parts[index] for index in chosen], embed)
    return made


def _cautious(fitted: Platt, raws: list[float], labels: list[int]) -> Platt:
    """A calibration under which few left-out innocents reach 0.5, whatever that costs in recall.

    Honest notices are not to be among them: of a language left out they are the hardest there are,
    and few uploads are one.
    """
    innocent = [raw for raw, label in zip(raws, labels, strict=True) if not label]
    highest = float(np.quantile(innocent, 1 - _INNOCENT_AT_HALF))
    offset = min(fitted.offset, -fitted.slope * highest)
    return Platt(fitted.slope, offset, fitted.prevalence)


def _score(judged: Judged, calibration: Platt) -> float:
    return capped(float(calibration.apply(judged.raw)), judged.signs, judged.worst.part.kind)


def _judged(examples: Examples) -> list[int]:
    """The rows that figures are of: a sample of each source, field and label, by fold -1 or not.

    In the order of ``_sampled_vectors``, so that most of them have an embedding.
    """
    order = sorted(
        range(len(examples.rows)),
        key=lambda index: sha256(
            examples.units[index].parts[0].told.encode(errors="replace")
        ).digest(),
    )
    taken: Counter[tuple[object, ...]] = Counter()
    chosen = []
    for index in order:
        row, never = examples.rows[index], bool(examples.folds[index] < 0)
        if row.composed:
            continue
        key = (row.source, row.kind, row.label, never)
        taken[key] += 1
        every = row.source == "youtube_spam" and row.kind is FieldKind.COMMENT
        if taken[key] <= _JUDGED or every:
            chosen.append(index)
    return sorted(chosen)


def train(
    data: Path, out: Path, *, meaning: bool, cache: Path | None, seed: int = 0,
    progress: Callable[[str], None] = print,
) -> dict[str, Any]:  # fmt: skip
    """Train, evaluate and write the artifact.

    Args:
        data: Folder of the data sets.
        out: Folder of the artifact.
        meaning: Whether to train a head on embeddings.
        cache: File that keeps embeddings between runs.
        seed: Of samples.
        progress: Told of each step.

    Returns:
        The figures.
    """
    rows, origins = read_sources(data, seed)
    examples = read_examples(rows, seed)
    embed = CachedVectors(cache) if meaning else None
    progress(f"{len(rows)} texts, {len(examples.parts)} parts")
    vectors = None if embed is None else _sampled_vectors(examples, embed)
    columns, heads = columns_of(examples, vectors, progress)
    labels = np.array([rows[index].label for index in examples.trained])
    groups = np.array([group_of(part.kind) for part in examples.parts])
    weights = weights_of([rows[index] for index in examples.trained])
    domain = np.array([rows[index].source in _DOMAIN for index in examples.trained])
    weights[domain] *= _OF_DOMAIN
    left_out = examples.folds[examples.trained] >= 0
    if vectors is not None:
        left_out &= ~np.isnan(vectors[:, 0])
    stacks = {}
    for group in GROUPS:
        chosen = left_out & (groups == group)
        stacks[group] = Stack.fit(columns[chosen], labels[chosen], weights[chosen])
    notices = np.array([rows[index].notice for index in examples.trained])
    innocent = columns[left_out & (labels == 0) & ~notices]
    of_words = innocent[:, OF_WORDS].max(axis=1)
    of_meaning = innocent[:, OF_MEANING].max(axis=1)
    clear = {
        "words": max(0.5, float(np.quantile(of_words, 1 - _CLEAR))),
        "meaning": max(0.5, float(np.quantile(of_meaning, 1 - _CLEAR))),
    }
    progress(f"stacks {stacks}")
    identity = {group: Platt(1.0, 0.0) for group in GROUPS}
    every = _judged(examples)
    placed = composed(examples, seed)
    judged: dict[int, Judged] = {}
    of_placed: dict[int, Judged] = {}
    for fold in [-1, *range(FOLDS)]:
        model = SpamModel(heads[fold], stacks, identity, clear)
        mine = [index for index in every if examples.folds[index] == fold]
        found = judge(model, [[examples.units[index]] for index in mine], embed, 0.0)
        judged |= {index: one for index, one in zip(mine, found, strict=True) if one is not None}
        theirs = [place for place, one in enumerate(placed) if one.fold == fold]
        found = judge(model, [[placed[place].unit] for place in theirs], embed, 0.0)
        of_placed |= {place: one for place, one in zip(theirs, found, strict=True)
                      if one is not None}  # fmt: skip
        progress(f"fold {fold} judged")
    calibrations = {}
    for group in GROUPS:
        raws, truth = [], []
        for index, one in judged.items():
            row = rows[index]
            if examples.folds[index] >= 0 and group_of(row.kind) == group and not row.notice:
                raws.append(one.raw)
                truth.append(row.label)
        if group == "body":
            raws += [one.raw for one in of_placed.values()]
            truth += [1] * len(of_placed)
        calibrations[group] = _cautious(Platt.fit(raws, truth), raws, truth)
    metrics, report = figures_of(examples, judged, [(placed[place], one) for place, one in
                                                    of_placed.items()], calibrations)  # fmt: skip
    written = sorted({row.group.removeprefix("made ") for row in rows if row.source == "made"})
    cuts, lessons = {}, {}
    for group in GROUPS:
        outcomes = [
            Outcome(one.cheap, _score(one, calibrations[group]), not rows[index].label)
            for index, one in judged.items()
            if examples.folds[index] >= 0 and group_of(rows[index].kind) == group
            and (rows[index].label or rows[index].source != "made")
        ]  # fmt: skip
        cuts[group], lessons[group] = cut_of(outcomes, FLOOR, margin=_MARGIN)
    metrics["settled_without_embedding"] = lessons
    model = SpamModel(heads[-1], stacks, calibrations, clear, tuple(written), cuts)
    model.write(
        out,
        training_data=origins,
        metrics=metrics,
        calibration_report=report,
        licence="Apache-2.0; trained on data under CC BY 4.0, CC0 1.0 and MIT",
        seed=seed,
    )
    open_artifact(out, "spam")
    if embed is not None:
        embed.keep()
    return {**metrics, "calibration": report}


def main() -> None:
    """Command-line entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, default=ARTIFACT, help="folder of the artifact")
    parser.add_argument("--cache", type=Path, help="file that keeps embeddings between runs")
    parser.add_argument("--without-meaning", action="store_true", help="train no embedding head")
    given = parser.parse_args()
    made = train(
        given.data, given.out, meaning=not given.without_meaning, cache=given.cache,
    )  # fmt: skip
    print(json.dumps(made, indent=2))


if __name__ == "__main__":
    main()
