"""A model of Hugging Face for speech recognition: Whisper, wav2vec 2.0 and others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import ArtifactError
from quorum.models.features.speech.recogniser import RATE, Recogniser, Words
from quorum.models.registry.references import local_folder

__all__ = ["HubModel"]


class HubModel(Recogniser):
    """A model in safetensors, run by the pipeline ``automatic-speech-recognition``.

    Args:
        reference: ``hf:org/name@revision`` or ``file:folder``.

    Raises:
        ArtifactError: If there is no such model, or it needs code of its own.
    """

    languages: frozenset[str] = frozenset()

    def __init__(self, reference: str) -> None:
        self.name = reference
        self._pipeline = _pipeline(local_folder(reference))

    def words(self, samples: NDArray[np.float32]) -> Words:
        """See Recogniser."""
        made = self._pipeline({"raw": samples, "sampling_rate": RATE})
        return Words(" ".join(str(made["text"]).split()), None)


def _pipeline(folder: Path) -> Any:
    import torch
    from transformers import pipeline

    torch.set_num_threads(1)
    try:
        return pipeline(
            "automatic-speech-recognition",
            model=str(folder),
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    except Exception as error:  # the library raises many types for an unsuitable folder
        reason = " ".join(str(error).split())[:300]
        msg = f"{folder} holds no model for speech recognition in safetensors: {reason}"
        raise ArtifactError(msg) from None
