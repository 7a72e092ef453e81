"""Embeddings for training, kept in a file between runs."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quorum.models.features.embedding import DIMENSIONS, shared_embedder
from quorum.models.spam.reading import Part

__all__ = ["CachedVectors", "vectors_of"]

_BATCH = 256


class CachedVectors:
    """Embeds texts, each once; with a file also once over several runs.

    Args:
        file: Where embeddings are kept, a NumPy archive; None to keep none.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._known: dict[str, NDArray[np.float32]] = {}
        if file is not None and file.is_file():
            with np.load(file, allow_pickle=False) as held:
                self._known = dict(zip(held["keys"].tolist(), held["vectors"], strict=True))

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts, shape (n, 384)."""
        keys = [sha256(text.encode(errors="replace")).hexdigest()[:24] for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        names = list(new)
        for start in range(0, len(names), _BATCH):
            some = names[start : start + _BATCH]
            vectors = shared_embedder().embed([new[name] for name in some])
            self._known |= dict(zip(some, vectors, strict=True))
            if start:
                self.keep()
        if not keys:
            return np.zeros((0, DIMENSIONS), dtype=np.float32)
        return np.stack([self._known[key] for key in keys])

    def keep(self) -> None:
        """Write the file."""
        if self._file is not None and self._known:
            np.savez(
                self._file, keys=np.array(list(self._known)), vectors=np.stack(
                    list(self._known.values())
                ),
            )  # fmt: skip


def vectors_of(parts: Sequence[Part], embed: CachedVectors) -> NDArray[np.float32]:
    """Embeddings of what parts tell; NaN where they tell nothing."""
    made = np.full((len(parts), DIMENSIONS), np.nan, dtype=np.float32)
    told = [index for index, part in enumerate(parts) if part.told]
    made[told] = embed([parts[index].told for index in told])
    return made
