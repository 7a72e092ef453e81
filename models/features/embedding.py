"""Sentence embeddings by multilingual-e5-small, with weights from a Python package.

The model runs on onnxruntime with one thread: workers are forked processes, and a pool of threads
does not survive a fork. torch is not imported.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import ArtifactError, ConfigurationError
from quorum.models.features.once import once
from quorum.models.features.vocabulary import MAX_CHARACTERS, shared_vocabulary
from quorum.models.registry.artifacts import Artifact

__all__ = [
    "DIMENSIONS",
    "EMBEDDING",
    "LAYERS",
    "PRECISIONS",
    "Embedder",
    "require_embedding",
    "shared_embedder",
]

#: Name and version of the embedding, which an artifact trained on it names. Another model, prefix
#: or length of text is another version.
EMBEDDING = "multilingual-e5-small/1"
DIMENSIONS = 384
#: Layers whose states are pooled beside the last one's, for detectors that ask for them.
LAYERS = (7, 10)
#: Number types of the arithmetic; the first is the default.
PRECISIONS = ("float32", "int8")
#: The name of the fast setting until version 0.2.
_FORMER = "bfloat16"
#: Tokens of a pack. Longer packs cost more: attention grows with the square.
PACK_TOKENS = 128
#: Texts whose embeddings are kept: those of a batch or two, for several detectors ask for them.
_KEPT = 1024


class Embedder:
    """multilingual-e5-small with mean pooling, L2-normalised.

    Each text gets the prefix ``query: ``. Texts are not padded but packed; the embedding of a
    text does not depend on its neighbours, to 1e-6. The last 1,024 embeddings are kept.

    Args:
        precision: ``float32``; or ``int8``, which is twice as fast and near (cosine 0.999): scores
            move by up to 0.03, and their third decimal depends on the batch.
            Defaults to the environment variable ``QUORUM_EMBEDDING``, else ``float32``.

    Attributes:
        texts: Number of texts passed in, for tests and metrics.
        forwards: Number of texts run through the model.

    Raises:
        ArtifactError: If the weights are absent or altered.
        ConfigurationError: If there is no such precision.
    """

    def __init__(self, precision: str | None = None) -> None:
        from quorum.models.features.e5.encoder import E5Encoder

        chosen = precision or os.environ.get("QUORUM_EMBEDDING") or PRECISIONS[0]
        if chosen not in (*PRECISIONS, _FORMER):
            msg = f"QUORUM_EMBEDDING is {chosen[:40]!r}; it must be {' or '.join(PRECISIONS)}"
            raise ConfigurationError(msg)
        self._vocabulary = shared_vocabulary()
        weights = self._vocabulary.weights
        self._encoder = E5Encoder(weights, (*LAYERS, weights.layers), exact=chosen == "float32")
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self.texts = 0
        self.forwards = 0

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts, L2-normalised, shape (n, 384)."""
        return np.ascontiguousarray(self._made(texts)[:, -1])

    def embed_layers(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The same after each of ``LAYERS`` and the last one, side by side, shape (n, 1152)."""
        return self._made(texts).reshape(len(texts), (1 + len(LAYERS)) * DIMENSIONS)

    def _made(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Pooled states, shape (n, layers, 384)."""
        cut = [text[:MAX_CHARACTERS] for text in texts]
        with self._lock:
            made = {text: self._kept[text] for text in cut if text in self._kept}
        new = [text for text in dict.fromkeys(cut) if text not in made]
        rows = [self._vocabulary.tokens(text) for text in new]
        for pack in _packs([len(row) for row in rows]):
            vectors = self._encoder.encode([rows[index] for index in pack])
            made.update(zip([new[index] for index in pack], vectors, strict=True))
        with self._lock:
            self.texts += len(texts)
            self.forwards += len(new)
            for text in new[-_KEPT:]:
                self._kept[text] = made[text].copy()
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        if not cut:
            return np.zeros((0, 1 + len(LAYERS), DIMENSIONS), dtype=np.float32)
        return np.stack([made[text] for text in cut])


def _packs(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Group consecutive rows into packs of ``PACK_TOKENS`` tokens, or one longer row."""
    pack: list[int] = []
    size = 0
    for index, length in enumerate(lengths):
        if pack and size + length > PACK_TOKENS:
            yield pack
            pack, size = [], 0
        pack.append(index)
        size += length
    if pack:
        yield pack


def require_embedding(artifact: Artifact) -> None:
    """Refuse an artifact that was trained on another embedding: its scores would mean nothing.

    Raises:
        ArtifactError: If the manifest does not name this embedding.
    """
    manifest = artifact.manifest
    if manifest.embedding != EMBEDDING:
        msg = (
            f"the artifact {artifact.folder} was trained on the embedding "
            f"{manifest.embedding or 'all-MiniLM-L6-v2'}, and this version makes {EMBEDDING}: "
            f"train it anew with `quorum models train {manifest.detector}`, "
            "or remove it from the settings to use the shipped model"
        )
        raise ArtifactError(msg)


@once
def shared_embedder() -> Embedder:
    """The shared embedder of this process; loaded on first use."""
    return Embedder()
