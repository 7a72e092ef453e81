"""The spam model: words, signals and meaning of a part of a field, and one score of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import ArtifactError
from quorum.models.features.embedding import EMBEDDING
from quorum.models.registry.artifacts import Artifact, TrainingData, write_artifact
from quorum.models.scoring.calibration import Platt
from quorum.models.scoring.linear import DenseLogistic
from quorum.models.spam.reading import FieldKind, Part
from quorum.models.spam.signals import NAMES, NEVER_AGAINST, signals_of
from quorum.models.spam.words import FAMILIES, WordHeads, family_of

__all__ = [
    "GROUPS",
    "MEANINGS",
    "OF_MEANING",
    "OF_WORDS",
    "Heads",
    "SpamModel",
    "Stack",
    "group_of",
]

#: Groups of fields that share a calibration and the weights of the stack.
GROUPS = ("title", "body", "comment")
#: The log-odds of one head count within these bounds, so that none decides alone.
_BOUND = 6.0
#: What an honest notice says of itself counts from these log-odds on, up to so much, and weighs
#: so much against spam.
_NOTICE_FROM, _NOTICE_MOST, _NOTICE_WEIGHT = 1.0, 4.0, 0.8
#: The name of the head of honest notices.
_NOTICE = "notice"
#: How many numbers the heads of meaning give of a part: one a family, and one for notices.
MEANINGS = len(FAMILIES) + 1
#: Which columns of a stack are the families' words, and which their meaning.
OF_WORDS = slice(0, len(FAMILIES))
OF_MEANING = slice(len(FAMILIES) + 2, 2 * len(FAMILIES) + 2)


def group_of(kind: FieldKind) -> str:
    """The group of a field: comments; titles and words on screen; all that is longer."""
    if kind is FieldKind.COMMENT:
        return "comment"
    return "title" if kind in (FieldKind.TITLE, FieldKind.FRAMES) else "body"


@dataclass(frozen=True, slots=True)
class Heads:
    """The three heads; each sees a part of a field on its own.

    Attributes:
        words: By words, for each family of spam.
        signals: By the numbers of ``signals_of``.
        meaning: By the sentence embedding, one for each family of spam and group of fields,
            ``comment/fraud`` or ``own/vice``, and ``notice``, which tells honest notices and offers
            from all else; empty if the model was trained without.
    """

    words: WordHeads
    signals: DenseLogistic
    meaning: Mapping[str, DenseLogistic]

    @classmethod
    def fit(
        cls,
        parts: Sequence[Part],
        labels: NDArray[np.int64],
        harms: Sequence[str],
        sources: Sequence[str],
        weights: NDArray[np.float64],
        vectors: NDArray[np.float32] | None,
        notices: NDArray[np.bool_] | None = None,
    ) -> Self:
        """Train all heads.

        Args:
            parts: Parts of fields.
            labels: 1 for spam.
            harms: Kind of spam of each, or empty.
            sources: Where each is from.
            weights: How much each counts, but for words.
            vectors: Embeddings of what the parts tell, NaN where a part has none; None to train
                without.
            notices: Which parts are of honest notices and offers; None for none.
        """
        comments = np.array([part.kind is FieldKind.COMMENT for part in parts])
        words = WordHeads.fit(
            [part.told for part in parts], labels, comments, harms, sources, notices
        )
        numbers = np.array([signals_of(part) for part in parts])
        signals = DenseLogistic.fit_scaled(
            numbers, labels, strength=0.3, weights=weights, never_against=NEVER_AGAINST
        )
        meaning = {}
        if vectors is not None:
            known = ~np.isnan(vectors[:, 0])
            families = np.array([family_of(one) if one else "" for one in harms])
            for name, of_group in (("comment", comments & known), ("own", ~comments & known)):
                for family in FAMILIES:
                    chosen = of_group & ((labels == 0) | (families == family))
                    if 0 < labels[chosen].sum() < chosen.sum():
                        meaning[f"{name}/{family}"] = DenseLogistic.fit_scaled(
                            vectors[chosen], labels[chosen], strength=0.02, weights=weights[chosen]
                        )
            if notices is not None and (notices & known).any():
                meaning[_NOTICE] = cls._notices(
                    notices[known], np.array(sources)[known], vectors[known]
                )
        return cls(words, signals, meaning)

    @staticmethod
    def _notices(
        notices: NDArray[np.bool_], sources: NDArray[np.str_], vectors: NDArray[np.float32]
    ) -> DenseLogistic:
        """What tells notices from all else: both count alike, other sources by their root."""
        made = np.ones(len(notices))
        for name, count in zip(*np.unique(sources[~notices], return_counts=True), strict=True):
            made[~notices & (sources == name)] = float(count) ** -0.5
        for side in (notices, ~notices):
            made[side] /= made[side].sum()
        return DenseLogistic.fit_scaled(
            vectors, notices.astype(int), strength=0.02, weights=made / made.mean()
        )

    def cheap(self, parts: Sequence[Part]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log-odds by families of words, shape (n, families), and by signals, shape (n,)."""
        comments = np.array([part.kind is FieldKind.COMMENT for part in parts])
        words = self.words.decide([part.told for part in parts], comments)
        return words, self.signals.decide(np.array([signals_of(part) for part in parts]))

    def means(self, parts: Sequence[Part], vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Log-odds by families of meaning, then of a notice, shape (n, families + 1).

        -6 where none was learned.
        """
        made = np.full((len(parts), MEANINGS), -_BOUND)
        if _NOTICE in self.meaning:
            made[:, -1] = self.meaning[_NOTICE].decide(vectors)
        comments = np.array([part.kind is FieldKind.COMMENT for part in parts], dtype=bool)
        for place, family in enumerate(FAMILIES):
            for group, chosen in (("comment", comments), ("own", ~comments)):
                other = "own" if group == "comment" else "comment"
                head = self.meaning.get(f"{group}/{family}", self.meaning.get(f"{other}/{family}"))
                if head is not None and chosen.any():
                    made[chosen, place] = head.decide(vectors[chosen])
        return made


@dataclass(frozen=True, slots=True)
class Stack:
    """The weights that make one log-odds of the heads, for a group of fields.

    Attributes:
        weights: Of what ``columns`` gives, none below zero.
        offset: What is added.
    """

    weights: tuple[float, ...]
    offset: float

    @staticmethod
    def width() -> int:
        """How many columns are weighed."""
        return 2 * len(FAMILIES) + 4

    @staticmethod
    def columns(
        words: NDArray[np.float64], signals: NDArray[np.float64], meaning: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """What is weighed, each within bounds, shape (n, 2 * families + 4).

        What each family's words say for spam, what all of them say against it, the signals, the
        same of meaning, and that it is an honest notice, against; where meaning is NaN, it counts
        as undecided.

        Args:
            words: Log-odds by family, shape (n, families).
            signals: Log-odds, shape (n,).
            meaning: Log-odds by family and of a notice, shape (n, families + 1).
        """
        told, notice = np.split(np.nan_to_num(meaning), [len(FAMILIES)], axis=1)
        made = np.column_stack([
            np.maximum(words, 0.0), np.minimum(words.max(axis=1), 0.0), signals,
            np.maximum(told, 0.0), np.minimum(told.max(axis=1), 0.0),
            -np.clip(notice - _NOTICE_FROM, 0.0, _NOTICE_MOST),
        ])  # fmt: skip
        return np.asarray(np.clip(made, -_BOUND, _BOUND), dtype=np.float64)

    def apply(
        self,
        words: NDArray[np.float64],
        signals: NDArray[np.float64],
        meaning: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Log-odds of parts, shape (n,); arguments as those of ``columns``."""
        made = self.columns(words, signals, meaning) @ np.array(self.weights)
        return np.asarray(made + self.offset)

    @property
    def most_of_meaning(self) -> float:
        """The most that meaning can add."""
        return sum(self.weights[OF_MEANING]) * _BOUND

    @classmethod
    def fit(
        cls, columns: NDArray[np.float64], labels: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> Self:
        """Fit the weights on log-odds that the heads gave to sources they were not trained on.

        Args:
            columns: From ``columns``; a column of zeros gets no weight.
            labels: 1 for spam.
            weights: How much each example counts.
        """
        from scipy.optimize import minimize

        used = np.abs(columns).sum(axis=0) > 0

        def loss(given: NDArray[np.float64]) -> float:
            odds = columns @ given[:-1] + given[-1]
            fit = float(np.sum(weights * (np.logaddexp(0.0, odds) - labels * odds)))
            return fit / float(weights.sum()) + 0.002 * float(given[:-1] @ given[:-1])

        bounds = [(0.0, 2.0) if one else (0.0, 0.0) for one in used]
        bounds[-1] = (_NOTICE_WEIGHT, _NOTICE_WEIGHT)
        start = np.append(0.3 * used, 0.0)
        found = minimize(loss, start, method="L-BFGS-B", bounds=[*bounds, (None, None)]).x
        return cls(tuple(float(one) for one in found[:-1]), float(found[-1]))


@dataclass(frozen=True, slots=True)
class SpamModel:
    """Everything that an artifact keeps.

    Attributes:
        heads: The heads.
        stacks: By group of fields.
        calibrations: By group of fields.
        clear: What each head's log-odds must reach to count as evidence of its own: ``words``
            and ``meaning``.
        languages: ISO 639-1 codes of the languages that it was trained and measured in.
        cuts: By group of fields, the log-odds of words and signals under which a part is settled:
            its meaning is not asked. A group that is absent has none.
    """

    heads: Heads
    stacks: Mapping[str, Stack]
    calibrations: Mapping[str, Platt]
    clear: Mapping[str, float]
    languages: tuple[str, ...] = ("*",)
    cuts: Mapping[str, float] = field(default_factory=dict)

    def write(
        self,
        out: Path,
        *,
        training_data: Sequence[TrainingData],
        metrics: Mapping[str, Any],
        calibration_report: Mapping[str, Any],
        licence: str,
        seed: int,
    ) -> Artifact:
        """Write the artifact.

        Args:
            out: Output folder.
            training_data: Sources of the training data.
            metrics: Figures on data that was left out.
            calibration_report: Method and error of the calibration.
            licence: Licence of the artifact.
            seed: Seed of the training.
        """
        dense = {f"meaning/{name}": head for name, head in self.heads.meaning.items()}
        dense["signals"] = self.heads.signals
        return write_artifact(
            out,
            detector="spam",
            tensors={
                "words.safetensors": self.heads.words.as_tensors(),
                "dense.safetensors": {
                    f"{name}/{key}": array
                    for name, head in dense.items()
                    for key, array in head.as_tensors().items()
                },
            },
            documents={
                "terms.json": self.heads.words.as_document(),
                "model.json": {
                    "families": list(FAMILIES),
                    "clear": dict(self.clear),
                    "languages": list(self.languages),
                    "cuts": dict(self.cuts),
                    "stacks": {
                        name: {"weights": list(one.weights), "offset": one.offset}
                        for name, one in self.stacks.items()
                    },
                    "calibration": {
                        name: one.as_document() for name, one in self.calibrations.items()
                    },
                },
            },
            training_data=training_data,
            metrics=metrics,
            calibration=calibration_report,
            licence=licence,
            seed=seed,
            embedding=EMBEDDING,
        )

    @classmethod
    def read(cls, held: Artifact) -> Self:
        """Make the model again of an artifact.

        Raises:
            ArtifactError: If another version made it, whose signals were others.
        """
        document = held.document("model.json")
        dense: dict[str, dict[str, NDArray[Any]]] = {}
        for key, array in held.tensors("dense.safetensors").items():
            name, _, part = key.rpartition("/")
            dense.setdefault(name, {})[part] = array
        told = len(dense["signals"]["coefficients"])
        weighed = {len(one["weights"]) for one in document["stacks"].values()}
        if told != len(NAMES) or weighed != {Stack.width()}:
            msg = (
                f"the spam model in {held.folder} was made by another version, of {told} signals"
                f" and {sorted(weighed)} weights; this one reads {len(NAMES)} and {Stack.width()}:"
                " train it anew with `quorum models train spam`"
            )
            raise ArtifactError(msg)
        heads = Heads(
            WordHeads.restore(held.tensors("words.safetensors"), held.document("terms.json")),
            DenseLogistic.restore(dense.pop("signals")),
            {name.removeprefix("meaning/"): DenseLogistic.restore(one)
             for name, one in dense.items()},
        )  # fmt: skip
        return cls(
            heads,
            {
                name: Stack(tuple(map(float, one["weights"])), float(one["offset"]))
                for name, one in document["stacks"].items()
            },
            {name: Platt.from_document(one) for name, one in document["calibration"].items()},
            {name: float(one) for name, one in document["clear"].items()},
            tuple(document["languages"]),
            {name: float(one) for name, one in document.get("cuts", {}).items()},
        )
