"""Leave whole sources out: the log-odds of each head for rows that it was not trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from quorum.models.spam.model import Heads
from quorum.models.spam.reading import FieldKind, Part, Unit, units_of
from quorum.models.spam.sources import Row
from quorum.models.training.channels import held_out

__all__ = ["FOLDS", "Examples", "fold_of", "read_examples", "weights_of"]

FOLDS = 4
#: Parts of a long innocent text that are trained on, drawn at random.
_PARTS = 2
#: Descriptions that are composed for training in each fold, by label of what is put in.
_COMPOSED = {1: 160, 0: 80}
_PLACES = {
    FieldKind.TITLE: "title",
    FieldKind.DESCRIPTION: "description",
    FieldKind.TAGS: "tags[0]",
    FieldKind.COMMENT: "comments[0]",
    FieldKind.FRAMES: "frames[0]",
    FieldKind.SPEECH: "speech[0]",
}
#: How much a fill of a form counts beside a text of another source: the root of one third.
_FORM = 0.58
#: How much a fill of an honest notice counts beside one of another form: its links, codes and
#: prices are those of spam, and would speak for spam elsewhere. What it says has a head of its own.
_OF_NOTICE = 0.25
#: Which fold leaves a source out; others by the digest of the group.
_FIXED = {"instagram": 0, "indonesian": 1}
_LANGUAGES = {
    **dict.fromkeys(("zh", "ko", "ja", "th", "vi", "tl"), 0),
    **dict.fromkeys(("ru", "uk", "ar", "fa", "he", "tr"), 1),
    **dict.fromkeys(("es", "fr", "it", "pt", "id", "ms", "de", "nl", "sv", "pl", "cs", "el"), 2),
    **dict.fromkeys(("hi", "bn"), 3),
    "en": 3,
}

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


def fold_of(row: Row, videos: Sequence[str]) -> int:
    """The fold that leaves a row's group out; -1 for a group that is never trained on."""
    if row.source in ("youtube_uploads", "youtube_trending"):
        digest = sha256(row.group.encode()).digest()
        return -1 if held_out(row.group) else digest[1] % FOLDS
    if row.source == "youtube_spam":
        return videos.index(row.group) % FOLDS
    if row.source == "made":
        return _LANGUAGES.get(row.group.removeprefix("made "), 3)
    return _FIXED.get(row.source, sha256(row.text.encode()).digest()[0] % FOLDS)


@dataclass(frozen=True)
class Examples:
    """Rows as the detector reads them.

    Attributes:
        rows: The rows.
        units: The field of each.
        folds: Which fold leaves each out; -1 for those that are never trained on.
        trained: Indices of the rows whose parts are trained on, one for each of ``parts``.
        parts: The parts to train on.
    """

    rows: list[Row]
    units: list[Unit]
    folds: NDArray[np.int64]
    trained: NDArray[np.int64]
    parts: list[Part]

    def fit(self, fold: int | None, vectors: NDArray[np.float32] | None) -> Heads:
        """Train the heads without a fold; without those of fold -1 in any case.

        Args:
            fold: What is left out; None for nothing more.
            vectors: Embeddings of ``parts``.
        """
        of_part = self.folds[self.trained]
        kept = np.flatnonzero((of_part >= 0) & (of_part != (-2 if fold is None else fold)))
        rows = [self.rows[self.trained[index]] for index in kept]
        return Heads.fit(
            [self.parts[index] for index in kept],
            np.array([row.label for row in rows]),
            [row.harm for row in rows],
            [row.source for row in rows],
            weights_of(rows),
            None if vectors is None else vectors[kept],
            np.array([row.notice for row in rows]),
        )


def weights_of(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Weights by which a source's size counts with its root; their mean is 1.

    Written texts are forms, filled several times: a form counts once, an honest notice less.
    """
    counts = Counter((row.source, row.label) for row in rows if not row.notice)
    made = np.array([
        counts[row.source, row.label] ** -0.5
        * (_FORM if row.source == "made" else 1.0)
        * (_OF_NOTICE if row.notice else 1.0)
        for row in rows
    ])  # fmt: skip
    return np.asarray(made / made.mean())


def read_examples(rows: list[Row], seed: int) -> Examples:
    """Read rows as fields, and choose the parts to train on."""
    rng = np.random.default_rng(seed)
    videos = sorted({row.group for row in rows if row.source == "youtube_spam"})
    units = [units_of({_PLACES[row.kind]: row.text})[0] for row in rows]
    trained: list[int] = []
    parts: list[Part] = []
    for index, (row, unit) in enumerate(zip(rows, units, strict=True)):
        chosen = list(unit.trained)
        if len(chosen) > _PARTS:
            places = rng.permutation(len(chosen))[:_PARTS] if not row.label else range(_PARTS)
            chosen = [chosen[int(place)] for place in places]
        trained += [index] * len(chosen)
        parts += chosen
    folds = np.array([fold_of(row, videos) for row in rows])
    for row, fold, place in _composed(rows, folds, rng):
        (unit,) = units_of({_PLACES[row.kind]: row.text})
        end = place + len(row.text[place:].partition("\n")[0])
        within = [part for part in unit.trained
                  if part.start < end and part.start + len(part.raw) > place]  # fmt: skip
        trained += [len(rows)] * len(within)
        parts += within
        rows.append(row)
        units.append(unit)
        folds = np.append(folds, fold)
    return Examples(rows, units, folds, np.array(trained), parts)


def _composed(
    rows: Sequence[Row], folds: NDArray[np.int64], rng: np.random.Generator
) -> list[tuple[Row, int, int]]:
    """Comments within honest descriptions, of rows of one fold, with their places.

    Spam and innocent ones alike, so that it is not the seam that tells.
    """
    made = []
    for fold in range(FOLDS):
        own = [row for row, one in zip(rows, folds, strict=True)
               if one == fold and row.kind is FieldKind.DESCRIPTION]  # fmt: skip
        honest = [row for row in own if row.source == "youtube_uploads"]
        for label, count in _COMPOSED.items():
            put = [row for row in own if row.label == label and row.source != "youtube_uploads"
                   and "\n" not in row.text]  # fmt: skip
            if not honest or not put:
                continue
            for _ in range(count):
                lines = honest[int(rng.integers(len(honest)))].text.splitlines()
                chosen = put[int(rng.integers(len(put)))]
                at = int(rng.integers(len(lines) + 1))
                place = sum(len(line) + 1 for line in lines[:at])
                lines.insert(at, chosen.text)
                made.append((replace(chosen, text="\n".join(lines), composed=True), fold, place))
    return made
