"""What the words tell: one linear model for each kind of field and each family of spam.

All share one vocabulary of words, pairs of words and parts of words. Each family is learned
against innocent texts alone, so that the words of one do not blur those of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quorum.models.scoring.tfidf import TfidfLogistic

__all__ = ["FAMILIES", "WordHeads", "family_of"]

#: The families that are told apart by words, and the kinds of spam of each.
FAMILIES: dict[str, tuple[str, ...]] = {
    "promotion": ("promotion", "giveaway"),
    "fraud": ("scam", "recovery"),
    "vice": ("gambling", "adult"),
}
_GROUPS = ("own", "comment")
#: How much an innocent text of a source without spam of a family counts.
_FAR = 0.2
#: How much a fill of a form counts, which is filled three times, beside another text there.
_FORM = 1 / 3
#: How much a fill of an honest notice counts; of promotion in comments it says nothing.
_OF_NOTICE = 1 / 3


def family_of(harm: str) -> str:
    """The family of a kind of spam; an unknown kind is promotion."""
    return next((name for name, harms in FAMILIES.items() if harm in harms), "promotion")


class WordHeads:
    """Linear classifiers over one TF-IDF vocabulary, by field group and family.

    Promotion in comments is told by small words (``my``, ``check``, ``out``), so that its model has
    a vocabulary of its own, of the sources that have it.

    Args:
        parts: By ``group/family``; all share the vocabulary. A family without examples is absent.
        near: The model of promotion in comments, in place of that of ``parts``.
    """

    def __init__(self, parts: dict[str, TfidfLogistic], near: TfidfLogistic | None = None) -> None:
        self.parts = parts
        self.near = near
        self._first = next(iter(parts.values()))

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        labels: NDArray[np.int64],
        comments: NDArray[np.bool_],
        harms: Sequence[str],
        sources: Sequence[str],
        notices: NDArray[np.bool_] | None = None,
        *,
        most: int = 60_000,
        strength: float = 10.0,
    ) -> Self:
        """Train.

        Args:
            texts: Normalised, one a part of a field.
            labels: 1 for spam.
            comments: Whether each is of a comment.
            harms: Kind of spam of each; empty if innocent.
            sources: Where each is from. Innocents of a source without spam of a family count a
                fifth there: they would tell the source, and not the spam.
            notices: Which are honest notices and offers; None for none.
            most: The most terms of the vocabulary, the frequent ones.
            strength: Inverse of the L2 regularisation, scikit-learn's ``C``.
        """
        vectorizers, matrix = TfidfLogistic.vocabulary(texts, most)
        families = np.array([family_of(one) if one else "" for one in harms])
        origins = np.array(sources)
        told = np.zeros(len(texts), dtype=bool) if notices is None else notices
        parts = {}
        for group in _GROUPS:
            of_group = comments if group == "comment" else ~comments
            for family in FAMILIES:
                chosen = of_group & ((labels == 0) | (families == family))
                if 0 < labels[chosen].sum() < chosen.sum():
                    near = np.isin(origins, np.unique(origins[of_group & (families == family)]))
                    parts[f"{group}/{family}"] = TfidfLogistic.over(
                        vectorizers,
                        matrix[np.flatnonzero(chosen)],
                        labels[chosen],
                        strength,
                        (np.where(near, 1.0, _FAR) * np.where(told, _OF_NOTICE, 1.0))[chosen],
                    )
        near = np.isin(origins, np.unique(origins[comments & (families == "promotion")])) & ~told
        chosen = np.flatnonzero(comments & near & ((labels == 0) | (families == "promotion")))
        if not 0 < labels[chosen].sum() < len(chosen):
            return cls(parts)
        of_near = [texts[int(index)] for index in chosen]
        once = np.where(origins[chosen] == "made", _FORM, 1.0)
        return cls(parts, TfidfLogistic.fit(of_near, labels[chosen].tolist(), strength=strength,
                                            weights=once))  # fmt: skip

    def _part(self, group: str, family: str) -> TfidfLogistic | None:
        """The model of a family for a group of fields; the other group's where it has none."""
        names = (f"{group}/{family}", *(f"{one}/{family}" for one in _GROUPS))
        return next((self.parts[name] for name in names if name in self.parts), None)

    def decide(self, texts: Sequence[str], comments: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Log-odds by family, shape (n, families); of a family that was not learned -20.

        Args:
            texts: Normalised.
            comments: Whether each text is of a comment.
        """
        vectors = self._first.vectors(texts)
        made = np.full((vectors.shape[0], len(FAMILIES)), -20.0)
        for place, family in enumerate(FAMILIES):
            for group in _GROUPS:
                part = self._part(group, family)
                chosen = np.flatnonzero(comments if group == "comment" else ~comments)
                if not len(chosen):
                    continue
                if self.near is not None and (group, family) == ("comment", "promotion"):
                    made[chosen, place] = self.near.decide([texts[int(index)] for index in chosen])
                elif part is not None:
                    made[chosen, place] = part.decide_vectors(vectors[chosen])
        return made

    def explain(self, text: str, comment: bool, family: str) -> list[tuple[str, float]]:
        """Each word with its part in a family's log-odds, greatest first."""
        part = self._part("comment" if comment else "own", family)
        if comment and family == "promotion" and self.near is not None:
            part = self.near
        return part.words(text) if part is not None and text else []

    def as_tensors(self) -> dict[str, NDArray[Any]]:
        """The numbers that an artifact keeps; weights in half precision."""
        made: dict[str, NDArray[Any]] = {}
        for name, part in self.parts.items():
            for key, array in part.as_tensors().items():
                if key.startswith("idf"):
                    made[key] = array
                else:
                    made[f"{name}/{key}"] = array.astype(np.float16)
        if self.near is not None:
            made |= {f"near|{key}": array for key, array in self.near.as_tensors().items()}
        return made

    def as_document(self) -> dict[str, list[str]]:
        """The terms, in the order of the numbers."""
        made = self._first.as_document()
        if self.near is not None:
            made |= {f"near|{kind}": terms for kind, terms in self.near.as_document().items()}
        return made

    @classmethod
    def restore(cls, tensors: dict[str, NDArray[Any]], document: dict[str, list[str]]) -> Self:
        """Make the classifiers again of what ``as_tensors`` and ``as_document`` gave."""
        names = sorted(key.rpartition("/")[0] for key in tensors if key.endswith("/intercept"))
        idf = {key: array for key, array in tensors.items() if key.startswith("idf")}
        first: TfidfLogistic | None = None
        parts = {}
        for name in names:
            own = {key: tensors[f"{name}/{key}"].astype(np.float32) for key in
                   ("coefficients", "intercept")}  # fmt: skip
            first = parts[name] = TfidfLogistic.restore({**idf, **own}, document, first)
        near = {key.removeprefix("near|"): tensors[key] for key in tensors if "near|" in key}
        terms = {key.removeprefix("near|"): document[key] for key in document if "near|" in key}
        return cls(parts, TfidfLogistic.restore(near, terms) if near else None)
