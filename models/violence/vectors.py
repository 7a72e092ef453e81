"""Embed training texts, and keep the vectors in a file between runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quorum.models.features.embedding import DIMENSIONS, EMBEDDING, LAYERS, shared_embedder

__all__ = ["embedded"]

_BATCH = 64
_WIDTH = DIMENSIONS * (1 + len(LAYERS))


def embedded(
    texts: Sequence[str], cache: Path | None, progress: Callable[[str], None]
) -> NDArray[np.float32]:
    """Embeddings of normalised texts after several layers, shape (n, 1152).

    Args:
        texts: Any texts; like ones are embedded once.
        cache: A file of vectors by digest of embedding and text, made and extended as needed.
        progress: Called with progress messages.
    """
    name = f"{EMBEDDING} {LAYERS}"
    keys = [hashlib.sha256(f"{name}\n{text}".encode()).hexdigest()[:32] for text in texts]
    held: dict[str, NDArray[np.float32]] = {}
    if cache is not None and cache.exists():
        with np.load(cache, allow_pickle=False) as kept:
            held = dict(zip(kept["keys"].tolist(), kept["vectors"], strict=True))
    todo = sorted(
        {key: text for key, text in zip(keys, texts, strict=True) if key not in held}.items(),
        key=lambda one: len(one[1]),
    )
    for start in range(0, len(todo), _BATCH):
        part = todo[start : start + _BATCH]
        made = shared_embedder().embed_layers([text for _, text in part])
        held.update(zip([key for key, _ in part], made, strict=True))
        if cache is not None and (start // _BATCH % 20 == 19 or start + _BATCH >= len(todo)):
            progress(f"embedded {start + len(part)} of {len(todo)} texts")
            _keep(cache, held)
    if not keys:
        return np.zeros((0, _WIDTH), dtype=np.float32)
    return np.stack([held[key] for key in keys])


def _keep(cache: Path, held: dict[str, NDArray[np.float32]]) -> None:
    partial = cache.with_name(f"{cache.name}.{os.getpid()}.npz")
    np.savez(partial, keys=np.array(list(held)), vectors=np.stack(list(held.values())))
    partial.replace(cache)
