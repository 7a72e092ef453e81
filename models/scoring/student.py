"""A small student of a costly text model: it settles what is surely innocent, at little cost.

Nine of ten texts on a platform are plainly innocent. A network of one convolution over the vectors
of a text's tokens (Kim 2014), fitted to what its teacher says (distillation, Hinton et al. 2015),
recognises most of these, so that the teacher is asked for the rest only. The vectors are those of
the teacher's own vocabulary, before any context: words that no training text holds lie near words
that one does, in the languages of the vocabulary. It never raises a score; it settles a text only
if

- its own log-odds lie under a cut, chosen on sources that it was not trained on (``settling``); and
- nearly all of the text's tokens occur in its training data: of what it never saw it knows nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Student", "Tokens", "Vectors", "forward", "inside", "padded"]

#: Neighbouring tokens that are read together.
WINDOW = 3
#: Share of a text's tokens to be known.
KNOWN = 0.8

Floats = NDArray[np.float32]


class Vectors(Protocol):
    """A vocabulary: the tokens of a text, and a vector of each token."""

    @property
    def size(self) -> int:
        """Number of tokens."""

    def own_tokens(self, text: str) -> list[int]:
        """The tokens of a text."""

    def vectors(self, tokens: NDArray[np.int64]) -> Floats:
        """Vectors of tokens, shape (n, d)."""


@dataclass(frozen=True, eq=False, slots=True)
class Tokens:
    """The tokens of texts, end to end.

    Attributes:
        tokens: The token at each place, shape (n,).
        lengths: Number of tokens of each text.
    """

    tokens: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[str], vocabulary: Vectors) -> Self:
        """Cut texts into tokens."""
        rows = [vocabulary.own_tokens(text) for text in texts]
        flat = [token for row in rows for token in row]
        return cls(np.array(flat, dtype=np.int64), np.array([len(row) for row in rows], np.int64))

    def rows(self, chosen: NDArray[np.intp]) -> Tokens:
        """Those of some texts, in their order."""
        ends = np.cumsum(self.lengths)
        parts = [self.tokens[ends[one] - self.lengths[one] : ends[one]] for one in chosen]
        flat = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
        return Tokens(flat, self.lengths[chosen])

    @property
    def owner(self) -> NDArray[np.intp]:
        """The text of each token."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)


def forward(products: Floats, lengths: NDArray[np.int64], bias: Floats) -> tuple[Floats, Floats]:
    """The hidden units at each place, and their maximum and mean over each text.

    Args:
        products: What each place gives to the unit one place on, at it, and one place back, shape
            (places, 3, h); each text begins and ends with a place of zeros.
        lengths: Places of each text but those zeros; each at least one.
        bias: Shape (h,).

    Returns:
        Shape (places without zeros, h), and shape (texts, 2 h).
    """
    place = np.flatnonzero(inside(lengths))
    raw = products[place - 1, 0] + products[place, 1] + products[place + 1, 2] + bias
    hidden = np.maximum(raw, 0)
    starts = np.cumsum(lengths) - lengths
    most = np.maximum.reduceat(hidden, starts, axis=0)
    mean = np.add.reduceat(hidden, starts, axis=0) / lengths[:, None].astype(np.float32)
    return hidden, np.concatenate([most, mean], axis=1)


def inside(lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which places are of texts, where each has one more place before it and one after it."""
    ends = np.cumsum(lengths + 2)
    made = np.ones(int(ends[-1]), dtype=bool)
    made[ends - 1] = False
    made[ends - lengths - 2] = False
    return made


def padded(tokens: Tokens, places: NDArray[np.intp], nothing: int) -> NDArray[np.intp]:
    """Places in a table, with ``nothing`` before and after each text."""
    own = inside(tokens.lengths)
    made = np.full(len(own), nothing, dtype=np.intp)
    made[own] = places
    return made


@dataclass(frozen=True, eq=False, slots=True)
class Student:
    """The network with what it has seen, and where it settles.

    Attributes:
        centre: Mean vector of the training tokens, shape (d,).
        scale: What vectors less ``centre`` are multiplied with.
        first: Weights of the convolution, shape (3, d, h).
        first_bias: Shape (h,).
        second: Weights of the maxima and means, shape (2 h,).
        intercept: What is added.
        seen: Bits of the tokens that the training texts hold.
        cut: Texts with lower log-odds are settled.
        score: The probability of a settled text: the teacher's mean over those left out.
    """

    centre: Floats
    scale: float
    first: Floats
    first_bias: Floats
    second: Floats
    intercept: float
    seen: NDArray[np.uint8]
    cut: float
    score: float

    def odds(self, texts: Sequence[str], vocabulary: Vectors) -> NDArray[np.float64]:
        """The student's log-odds that a text is over the floor, shape (n,)."""
        return self.odds_of(Tokens.of(texts, vocabulary), vocabulary)

    def settles(self, texts: Sequence[str], vocabulary: Vectors) -> NDArray[np.bool_]:
        """Which normalised texts are surely innocent, shape (n,)."""
        tokens = Tokens.of(texts, vocabulary)
        if not len(tokens.tokens):
            return np.zeros(len(texts), dtype=bool)
        under = self.odds_of(tokens, vocabulary) < self.cut
        return np.asarray(under & (self.known(tokens) >= KNOWN))

    def odds_of(self, tokens: Tokens, vocabulary: Vectors) -> NDArray[np.float64]:
        """Log-odds of tokens of texts; infinite for a text without any."""
        made = np.full(len(tokens.lengths), np.inf)
        some = np.flatnonzero(tokens.lengths)
        if not len(some):
            return made
        held = tokens.rows(some) if len(some) < len(made) else tokens
        distinct, places = np.unique(held.tokens, return_inverse=True)
        vectors = (vocabulary.vectors(distinct) - self.centre) * np.float32(self.scale)
        width = len(self.first_bias)
        weights = self.first.transpose(1, 0, 2).reshape(len(self.centre), -1)
        table = np.asarray(vectors @ weights, dtype=np.float32)
        table = np.vstack([table, np.zeros((1, WINDOW * width), dtype=np.float32)])
        products = table[padded(held, places, len(distinct))].reshape(-1, WINDOW, width)
        _, pooled = forward(products, held.lengths, self.first_bias)
        made[some] = pooled @ self.second + self.intercept
        return made

    def known(self, tokens: Tokens) -> NDArray[np.float64]:
        """Share of each text's tokens that the training data held; 0 of a text without any."""
        bits = (self.seen[tokens.tokens >> 3] >> (tokens.tokens & 7).astype(np.uint8)) & 1
        held = np.bincount(tokens.owner, bits, minlength=len(tokens.lengths))
        return np.asarray(held / np.maximum(tokens.lengths, 1), dtype=np.float64)

    def as_tensors(self) -> dict[str, NDArray[Any]]:
        """The numbers that an artifact keeps."""
        return {
            "centre": self.centre,
            "first": self.first,
            "first_bias": self.first_bias,
            "second": self.second,
            "seen": self.seen,
            "numbers": np.array(
                [self.scale, self.intercept, self.cut, self.score], dtype=np.float64
            ),
        }

    @classmethod
    def restore(cls, tensors: dict[str, NDArray[Any]]) -> Self | None:
        """Make the student again of what ``as_tensors`` gave.

        Returns:
            None for a student of before version 0.3, which read hashed words: without it all is
            embedded.
        """
        if "first" not in tensors:
            return None
        scale, intercept, cut, score = tensors["numbers"].tolist()
        return cls(
            tensors["centre"],
            scale,
            tensors["first"],
            tensors["first_bias"],
            tensors["second"],
            intercept,
            tensors["seen"],
            cut,
            score,
        )
