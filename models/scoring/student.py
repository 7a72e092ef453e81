"""A small student of a costly text model: it settles what is surely innocent, at little cost.

Nine of ten texts on a platform are plainly innocent. A linear model over hashed words and parts of
words (feature hashing, Weinberger et al. 2009), fitted to what its teacher says (distillation,
Hinton et al. 2015), recognises most of these, so that the teacher is asked for the rest only. It
never raises a score; it settles a text only if

- its own odds lie under a cut, chosen on sources that it was not trained on: nearly none of the
  texts that the teacher puts over the lowest threshold of any policy lies under it; and
- most of the text's n-grams occur in its training data: of what it never saw it knows nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quorum.models.scoring.calibration import log_odds

__all__ = ["Lesson", "Student"]

#: Weights, and bits that tell which n-grams were seen.
_BUCKETS, _SEEN = 18, 21
#: Texts in which an n-gram must stand to be known, and the share of n-grams to be known.
_FEWEST, _KNOWN = 3, 0.7
#: Lengths of parts of words, in characters.
_PARTS = (2, 3, 4)
#: Share of ordinary texts, and of other texts over the floor, that may be settled wrongly.
_DISAGREED, _MISSED = 0.0005, 0.01
_STRENGTH = 100.0
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_LONGEST_WORD = 32
_PLACES = np.random.default_rng(7).integers(1, 2**63, _LONGEST_WORD, dtype=np.uint64) | np.uint64(1)


@dataclass(frozen=True, slots=True)
class Lesson:
    """How a student agrees with its teacher on sources left out of its training.

    Attributes:
        rows: Ordinary texts of sources left out.
        over: Of these, those that the teacher puts over the floor.
        missed: Of those over the floor, the ones that the student would settle.
        settled: Share of the ordinary texts that it settles.
        harmful: Other texts over the floor, and of them
        harmful_missed: the ones that it would settle.
    """

    rows: int
    over: int
    missed: int
    settled: float
    harmful: int
    harmful_missed: int

    def as_document(self) -> dict[str, Any]:
        """What a manifest keeps of it."""
        return {
            "split": "by source left out",
            "ordinary": self.rows,
            "ordinary_over_the_floor": self.over,
            "ordinary_missed": self.missed,
            "agreement": round(1 - self.missed / max(1, self.rows), 5),
            "settled": round(self.settled, 4),
            "harmful": self.harmful,
            "harmful_missed": self.harmful_missed,
        }


@dataclass(frozen=True, eq=False, slots=True)
class Student:
    """A linear model over hashed n-grams.

    Attributes:
        weights: Shape (2^18,).
        intercept: Odds of an empty text.
        seen: Bits of the n-grams of the training data, shape (2^18,), uint8.
        cut: Texts with lower odds are settled.
        score: The probability of a settled text: the teacher's mean over those left out.
    """

    weights: NDArray[np.float32]
    intercept: float
    seen: NDArray[np.uint8]
    cut: float
    score: float

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        odds: ArrayLike,
        sources: Sequence[str],
        ordinary: ArrayLike,
        floor: float,
        folds: int = 5,
    ) -> tuple[Self, Lesson]:
        """Train on what the teacher says, and choose the cut on sources left out.

        Args:
            texts: Normalised.
            odds: The teacher's calibrated log-odds of each.
            sources: Where each text comes from; a source stands on one side of a split.
            ordinary: Whether each is of ordinary traffic.
            floor: Lowest probability that any policy asks for.
            folds: The most parts into which the sources are divided.

        Raises:
            ValueError: If no text is over the floor, or there is one source only.
        """
        from sklearn.model_selection import GroupKFold

        told = np.asarray(odds, dtype=np.float64)
        limit = float(log_odds(np.array([floor]))[0])
        over = told >= limit
        if not over.any() or len(set(sources)) < 2:
            msg = "a student needs texts over the floor, and several sources"
            raise ValueError(msg)
        own = np.full(len(texts), np.nan)
        known = np.zeros(len(texts), dtype=bool)
        grams = _grams(texts)
        split = GroupKFold(min(folds, len(set(sources))))
        for kept, left in split.split(texts, groups=list(sources)):
            if not over[kept].any() or over[kept].all():
                continue
            made = cls._fitted(grams.rows(kept), told[kept] - limit)
            own[left] = made._odds(grams.rows(left))
            known[left] = made._known(grams.rows(left)) >= _KNOWN
        judged = ~np.isnan(own)
        usual = np.asarray(ordinary, dtype=bool) & judged
        other = judged & over & ~usual
        cut = min(
            _lowest(own[usual & over & known], int(_DISAGREED * usual.sum())),
            _lowest(own[other & known], int(_MISSED * other.sum())),
            float(np.quantile(own[judged], 0.99)),
        )
        settled = judged & known & (own < cut)
        lesson = Lesson(
            rows=int(usual.sum()),
            over=int((usual & over).sum()),
            missed=int((settled & usual & over).sum()),
            settled=float(settled[usual].mean()) if usual.any() else 0.0,
            harmful=int(other.sum()),
            harmful_missed=int((settled & other).sum()),
        )
        final = cls._fitted(grams, told - limit)
        chances = 1 / (1 + np.exp(-told[settled & usual if usual.any() else settled]))
        score = min(floor / 2, float(chances.mean())) if len(chances) else floor / 2
        return cls(final.weights, final.intercept, final.seen, cut, score), lesson

    @classmethod
    def _fitted(cls, grams: _Grams, odds: NDArray[np.float64]) -> Self:
        """Logistic regression on the teacher's soft labels."""
        from scipy.sparse import csr_matrix, vstack
        from sklearn.linear_model import LogisticRegression

        values = grams.values()
        matrix = csr_matrix(
            (values, (grams.owner, grams.bucket(_BUCKETS))),
            shape=(grams.count, 1 << _BUCKETS),
            dtype=np.float32,
        )
        soft = 1 / (1 + np.exp(-np.clip(odds, -6, 6)))
        model = LogisticRegression(C=_STRENGTH, max_iter=300, tol=1e-3, solver="lbfgs").fit(
            vstack([matrix, matrix]),
            np.repeat([1, 0], grams.count),
            sample_weight=np.concatenate([soft, 1 - soft]),
        )
        weights = model.coef_[0].astype(np.float16).astype(np.float32)
        return cls(weights, float(model.intercept_[0]), grams.frequent(), float("-inf"), 0.0)

    def odds(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """The student's odds that a text is over the floor, shape (n,)."""
        return self._odds(_grams(texts))

    def settles(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which normalised texts are surely innocent, shape (n,)."""
        if not texts:
            return np.zeros(0, dtype=bool)
        grams = _grams(texts)
        under = self._odds(grams) < self.cut
        return under & (self._known(grams) >= _KNOWN)

    def _odds(self, grams: _Grams) -> NDArray[np.float64]:
        parts = self.weights[grams.bucket(_BUCKETS)] * grams.values()
        sums = np.bincount(grams.owner, parts, minlength=grams.count)
        return np.asarray(sums + self.intercept, dtype=np.float64)

    def _known(self, grams: _Grams) -> NDArray[np.float64]:
        """Share of each text's n-grams that the training data held."""
        place = grams.bucket(_SEEN)
        held = (self.seen[place >> 3] >> (place & 7).astype(np.uint8)) & 1
        totals = np.bincount(grams.owner, minlength=grams.count)
        shares = np.bincount(grams.owner, held, minlength=grams.count) / np.maximum(totals, 1)
        return np.asarray(shares, dtype=np.float64)

    def as_tensors(self) -> dict[str, NDArray[Any]]:
        """The numbers that an artifact keeps."""
        return {
            "weights": self.weights.astype(np.float16),
            "seen": self.seen,
            "numbers": np.array([self.intercept, self.cut, self.score], dtype=np.float64),
        }

    @classmethod
    def restore(cls, tensors: dict[str, NDArray[Any]]) -> Self:
        """Make the student again of what ``as_tensors`` gave."""
        intercept, cut, score = tensors["numbers"].tolist()
        weights = tensors["weights"].astype(np.float32)
        return cls(weights, intercept, tensors["seen"], cut, score)


@dataclass(frozen=True, eq=False, slots=True)
class _Grams:
    """Hashes of the n-grams of texts.

    Attributes:
        hashes: One for each occurrence, uint64.
        owner: Its text, ascending.
        count: Number of texts.
    """

    hashes: NDArray[np.uint64]
    owner: NDArray[np.intp]
    count: int

    def bucket(self, bits: int) -> NDArray[np.intp]:
        """The place of each in a table of 2^bits."""
        return (self.hashes >> np.uint64(64 - bits)).astype(np.intp)

    def values(self) -> NDArray[np.float32]:
        """What each counts: texts have unit length, were all their n-grams distinct."""
        totals = np.bincount(self.owner, minlength=self.count)
        return (1 / np.sqrt(np.maximum(totals, 1)))[self.owner].astype(np.float32)

    def frequent(self) -> NDArray[np.uint8]:
        """Bits of those that stand in several texts."""
        place = self.bucket(_SEEN)
        each = np.unique(place * self.count + self.owner)
        times = np.bincount(each // self.count, minlength=1 << _SEEN)
        return np.packbits(times >= _FEWEST, bitorder="little")

    def rows(self, chosen: NDArray[np.intp]) -> _Grams:
        """Those of some texts, in their order."""
        new = np.full(self.count, -1, dtype=np.intp)
        new[chosen] = np.arange(len(chosen))
        kept = new[self.owner] >= 0
        return _Grams(self.hashes[kept], new[self.owner[kept]], len(chosen))


def _lowest(odds: NDArray[np.float64], spared: int) -> float:
    """The lowest of some odds but for a number of them; infinity if there are no more."""
    return float(np.sort(odds)[spared]) if len(odds) > spared else float("inf")


def _mixed(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = (hashes ^ (hashes >> np.uint64(32))) * _MIX
    return np.asarray((mixed ^ (mixed >> np.uint64(29))) * _FACTOR)


def _grams(texts: Sequence[str]) -> _Grams:
    """Words, pairs of words, and parts of 2 to 4 characters, of all texts at once."""
    sized = [f" {text} ".replace("\0", " ").replace("\n", " ") for text in texts]
    joined = "\0".join(sized)
    signs = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    signs = signs.astype(np.uint64)
    ends = signs == 0
    owner = np.cumsum(ends)
    breaks = np.concatenate([[0], owner])
    found: list[NDArray[np.uint64]] = []
    owners: list[NDArray[np.intp]] = []
    rolling = signs.copy()
    for length in range(2, max(_PARTS) + 1):
        size = len(signs) - length + 1
        if size <= 0:
            break
        rolling = rolling[:size] * _FACTOR + signs[length - 1 :]
        whole = (breaks[length:] - breaks[: len(breaks) - length]) == 0
        found.append(_mixed(rolling[whole] + np.uint64(length)))
        owners.append(owner[:size][whole])
    inside = (signs != 32) & ~ends
    starts = np.flatnonzero(inside & ~np.concatenate([[False], inside[:-1]]))
    if len(starts):
        first = np.repeat(starts, np.diff(np.append(starts, len(signs))))
        place = np.arange(starts[0], len(signs)) - first
        signs, inside = signs[starts[0] :], inside[starts[0] :]
        starts, of_word = starts - starts[0], owner[starts]
        terms = np.where(inside, signs * _PLACES[place % _LONGEST_WORD], np.uint64(0))
        words = np.add.reduceat(terms, starts)
        found.append(_mixed(words))
        owners.append(of_word)
        pair = of_word[1:] == of_word[:-1]
        found.append(_mixed((words[:-1] * _FACTOR + words[1:])[pair]))
        owners.append(of_word[1:][pair])
    hashes, whose = np.concatenate(found), np.concatenate(owners)
    order = np.argsort(whose, kind="stable")
    return _Grams(hashes[order], whose[order], len(texts))
