"""The tokens of multilingual-e5-small and what each means on its own, before any context.

A look-up where the encoder takes a thousand operations, so that small models can read with it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quorum.models.features.e5.tokenizer import E5Tokenizer
from quorum.models.features.e5.weights import E5Weights, open_weights
from quorum.models.features.once import once

__all__ = ["MAX_CHARACTERS", "MAX_TOKENS", "Vocabulary", "shared_vocabulary"]

#: E5 was trained with a prefix; for tasks other than retrieval it is this one.
PREFIX = "query: "
#: Tokens read of a text; the rest is cut off.
MAX_TOKENS = 256
#: Upper bound on the characters in 256 tokens; the tokenizer does not see the rest.
MAX_CHARACTERS = 4_000


class Vocabulary:
    """The tokenizer of the embedding, and the vectors of its tokens.

    Args:
        weights: The weights that hold both.

    Attributes:
        weights: The same.
        size: Number of tokens.
    """

    def __init__(self, weights: E5Weights) -> None:
        self.weights = weights
        self._tokenizer = E5Tokenizer(weights)
        self._scales, self._words = weights.blocks("emb.word")
        self.size = len(self._scales)
        self._around = self._tokenizer.tokens(PREFIX.rstrip(), MAX_TOKENS)

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text as the encoder reads it: with the prefix, at most 256."""
        return self._tokenizer.tokens(PREFIX + text[:MAX_CHARACTERS], MAX_TOKENS)

    def own_tokens(self, text: str) -> list[int]:
        """The same without the prefix and the tokens before and after."""
        return self.tokens(text)[len(self._around) - 1 : -1] if text.strip() else []

    def vectors(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """What tokens mean on their own, shape (n, 384)."""
        packed = self._words[tokens]
        halves = np.concatenate([packed & 0x0F, packed >> 4], axis=-1).astype(np.float32) - 8
        scaled = halves * self._scales[tokens][:, :, None]
        return np.asarray(scaled.reshape(len(tokens), -1), dtype=np.float32)


@once
def shared_vocabulary() -> Vocabulary:
    """The shared vocabulary of this process; loaded on first use."""
    return Vocabulary(open_weights())
