"""From parts to an upload's score: the worst part of each field, the worst field, and the cap."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quorum.models.spam.model import MEANINGS, SpamModel, group_of
from quorum.models.spam.reading import FieldKind, Part, Unit
from quorum.models.spam.signals import Sign, signs_of
from quorum.models.spam.words import FAMILIES

__all__ = ["CAP", "FAINT", "Judged", "Scored", "capped", "handicap", "judge"]

#: The highest score on one kind of evidence alone: under what any shipped policy removes by, for
#: a repeated offender, too.
CAP = 0.79
#: The highest score where there is nothing but what is usual in its place, such as a link and a
#: call to subscribe in a description: under what any shipped policy limits.
FAINT = 0.39
#: Log-odds penalty of a maximum over 16 or more parts: one of many is high by chance, the more so
#: where each line of a comment is one, and most for windows, which have no seam to go by.
_HANDICAP, _BY_LINE, _OF_WINDOW = 0.6, 1.25, 2.0
#: Parts of an upload that are embedded, the most suspicious of each field first.
_EMBEDDED = 2
#: What cannot reach this score, whatever its meaning, is not embedded.
_SETTLED = 0.25

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Scored:
    """A part with what each head says of it.

    Attributes:
        part: The part.
        words: Log-odds by family.
        signals: Log-odds by the signals.
        meaning: Highest log-odds by the embedding; NaN where it was not asked.
        odds: Log-odds of all, for the part alone.
    """

    part: Part
    words: NDArray[np.float64]
    signals: float
    meaning: float
    odds: float

    @property
    def family(self) -> str:
        """The family that its words are nearest to."""
        return tuple(FAMILIES)[int(np.argmax(self.words))]


@dataclass(frozen=True, slots=True)
class Judged:
    """What is known of an upload.

    Attributes:
        score: Probability that it has spam, capped where the evidence is weak.
        raw: Log-odds before calibration, of the field with the highest score.
        cheap: The same before any meaning was asked.
        worst: The part that decided.
        signs: Kinds of evidence in that part.
        fields: Score of each field that was judged, by its name.
    """

    score: float
    raw: float
    cheap: float
    worst: Scored
    signs: frozenset[Sign]
    fields: dict[str, float]


def handicap(parts: int, most: float = _HANDICAP) -> float:
    """Log-odds penalty of a maximum over several parts of an upload.

    Args:
        parts: How many the upload has.
        most: The penalty of 16 parts and more.
    """
    return most * min(1.0, math.log2(parts) / 4)


def _handicaps(unit: Unit, plain: int, every: int) -> NDArray[np.float64]:
    """The penalty of each part of a field.

    Args:
        unit: The field.
        plain: How many parts the upload has without windows.
        every: How many with them.
    """
    less = handicap(plain, _BY_LINE if unit.by_line else _HANDICAP)
    of_window = handicap(every, _OF_WINDOW)
    return np.array([of_window if part.window else less for part in unit.parts])


def _signs(model: SpamModel, scored: Scored) -> frozenset[Sign]:
    signs = set(signs_of(scored.part))
    if scored.words.max() >= model.clear["words"]:
        signs.add(Sign.WORDS)
    if scored.meaning >= model.clear["meaning"]:
        signs.add(Sign.MEANING)
    return frozenset(signs)


def capped(score: float, signs: frozenset[Sign], kind: FieldKind) -> float:
    """The score that a part may have for its kinds of evidence.

    One kind alone stays under every removal, and nothing under every limit. In the uploader's own
    fields a link and a call to subscribe are usual: both count as one kind, and alone as nothing;
    nor are decorated letters anything there without other evidence. What the models make of words
    and meaning counts as one, too: they are two views of one text.
    """
    kinds = set(signs)
    if kind is not FieldKind.COMMENT and Sign.CALL in kinds:
        kinds.remove(Sign.CALL)
        kinds.add(Sign.WAY_OUT)
    if Sign.MEANING in kinds and Sign.WORDS in kinds:
        kinds.remove(Sign.WORDS)
    if not kinds or (kind is not FieldKind.COMMENT and kinds <= {Sign.WAY_OUT, Sign.STYLE}):
        return min(score, FAINT)
    return score if len(kinds) >= 2 else min(score, CAP)


def _odds(
    model: SpamModel,
    groups: NDArray[np.str_],
    words: NDArray[np.float64],
    signals: NDArray[np.float64],
    meaning: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Log-odds of parts by the stacks of their groups, shape (n,)."""
    made = np.zeros(len(groups))
    for name, stack in model.stacks.items():
        own = groups == name
        if own.any():
            made[own] = stack.apply(words[own], signals[own], meaning[own])
    return made


def _undecided(
    model: SpamModel, group: str, cheap: NDArray[np.float64], where: range,
    less: NDArray[np.float64], settled: float,
) -> list[int]:  # fmt: skip
    """The parts of a field that are to be embedded: the most suspicious ones, of those in doubt.

    Not in doubt is what could not reach ``settled`` whatever it meant, and what lies under the
    cut that was learned for its group of fields.
    """
    odds = cheap[where.start : where.stop] - less
    best = np.argsort(-odds, kind="stable")[:_EMBEDDED]
    if settled > 0:
        reach = model.calibrations[group].apply(odds[best] + model.stacks[group].most_of_meaning)
        best = best[(reach >= settled) & (odds[best] >= model.cuts.get(group, -np.inf))]
    return [where.start + int(place) for place in best]


def judge(
    model: SpamModel,
    uploads: Sequence[Sequence[Unit]],
    embed: Embed | None,
    settled: float = _SETTLED,
) -> list[Judged | None]:
    """Judge uploads by their fields; None for one without any.

    Args:
        model: The model.
        uploads: The fields of each.
        embed: Embeds texts; None where the model has no head for meaning, or none is to be asked.
        settled: Parts that cannot reach this score, whatever their meaning, are not embedded, nor
            those under the model's cut; 0 to embed the best parts in any case, where all ranks
            matter.
    """
    parts = [part for units in uploads for unit in units for part in unit.parts]
    if not parts:
        return [None] * len(uploads)
    words, signals = model.heads.cheap(parts)
    meaning = np.full((len(parts), MEANINGS), np.nan)
    groups = np.array([group_of(part.kind) for part in parts])
    cheap = _odds(model, groups, words, signals, meaning)
    places: list[list[tuple[Unit, range, NDArray[np.float64]]]] = []
    at = 0
    for units in uploads:
        of_upload = []
        for unit in units:
            frames = unit.kind is FieldKind.FRAMES
            beside = [one for one in units if (one.kind is FieldKind.FRAMES) == frames]
            plain = sum(len(one.trained) for one in beside)
            total = sum(len(one.parts) for one in beside)
            where = range(at, at + len(unit.parts))
            of_upload.append((unit, where, _handicaps(unit, plain, total)))
            at = where.stop
        places.append(of_upload)
    every = cheap.copy()
    if embed is not None and model.heads.meaning:
        asked = [
            index
            for of_upload in places
            for unit, where, less in of_upload
            for index in _undecided(model, group_of(unit.kind), cheap, where, less, settled)
            if parts[index].told
        ]
        if asked:
            chosen = [parts[index] for index in asked]
            meaning[asked] = model.heads.means(chosen, embed([one.told for one in chosen]))
            every[asked] = _odds(model, groups[asked], words[asked], signals[asked], meaning[asked])
    made: list[Judged | None] = []
    for of_upload in places:
        best_of: Judged | None = None
        fields: dict[str, float] = {}
        for unit, where, less in of_upload:
            odds = every[where.start : where.stop] - less
            place = int(np.argmax(odds))
            index = where[place]
            before = float((cheap[where.start : where.stop] - less).max())
            scored = Scored(
                parts[index], words[index], float(signals[index]), float(meaning[index][:-1].max()),
                float(odds[place]),
            )  # fmt: skip
            raw = float(odds[place])
            signs = _signs(model, scored)
            score = float(model.calibrations[group_of(unit.kind)].apply(raw))
            score = capped(score, signs, unit.kind)
            fields[scored.part.field] = score
            if best_of is None or score > best_of.score:
                best_of = Judged(score, raw, before, scored, signs, fields)
        made.append(best_of)
    return made
