"""Moonshine tiny for English, with weights from the package ``moonshine-voice``, on onnxruntime.

Jeffries et al., "Moonshine: Speech Recognition for Live Transcription and Voice Commands" (2024);
27 million parameters, MIT. The package itself is not imported: it needs a sound card's library.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quorum.models.features.speech.recogniser import RATE, Recogniser, Words, package_folder

__all__ = ["Moonshine", "moonshine_folder"]

_BEGIN: Final = 1
_END: Final = 2
_LAYERS: Final = 6
_HEADS: Final = 8
_SIZE: Final = 36
#: Tokens of a second of sound at most; above it the decoder repeats itself.
_TOKENS_A_SECOND: Final = 6.5
#: The least sound that the encoder takes.
_LEAST: Final = RATE // 10
#: Stands for a blank in the vocabulary.
_BLANK: Final = "\u2581"


def moonshine_folder() -> Path | None:
    """The folder of the weights; None if the package is absent, or carries none."""
    folder = package_folder("moonshine_voice", "assets", "tiny-en")
    return folder if folder is not None and (folder / "decoder_model_merged.ort").exists() else None


class Moonshine(Recogniser):
    """Greedy decoding with a cache of keys and values.

    Args:
        folder: The weights and the vocabulary.
    """

    name = "moonshine-tiny-en"
    languages = frozenset({"en"})

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1

        def session(name: str) -> Any:
            return onnxruntime.InferenceSession(
                str(folder / name), options, providers=["CPUExecutionProvider"]
            )

        self._encoder = session("encoder_model.ort")
        self._decoder = session("decoder_model_merged.ort")
        self._vocabulary = _vocabulary((folder / "tokenizer.bin").read_bytes())
        self._caches = [
            f"past_key_values.{layer}.{part}.{kind}"
            for layer in range(_LAYERS)
            for part in ("decoder", "encoder")
            for kind in ("key", "value")
        ]

    def words(self, samples: NDArray[np.float32]) -> Words:
        """See Recogniser."""
        sound = np.zeros((1, max(_LEAST, len(samples))), np.float32)
        sound[0, : len(samples)] = samples
        mask = np.ones(sound.shape, np.int64)
        (hidden,) = self._encoder.run(None, {"input_values": sound, "attention_mask": mask})
        past = {name: np.zeros((0, _HEADS, 1, _SIZE), np.float32) for name in self._caches}
        token, tokens, likelihoods = _BEGIN, [], []
        for step in range(int(sound.shape[1] / RATE * _TOKENS_A_SECOND) + 2):
            logits, *present = self._decoder.run(
                None,
                {
                    "encoder_attention_mask": mask,
                    "input_ids": np.array([[token]], np.int64),
                    "encoder_hidden_states": hidden,
                    "use_cache_branch": np.array([step > 0]),
                    **past,
                },
            )
            odds = logits[0, -1].astype(np.float64)
            token = int(odds.argmax())
            likelihoods.append(-np.log(np.exp(odds - odds[token]).sum()))
            if token == _END:
                break
            tokens.append(token)
            for name, value in zip(self._caches, present, strict=True):
                # Keys and values of the encoder stay as the first step made them.
                if step == 0 or ".decoder." in name:
                    past[name] = value
        data = b"".join(self._vocabulary[one] for one in tokens)
        text = data.decode("utf-8", "replace").replace(_BLANK, " ")
        return Words(" ".join(text.split()), float(np.exp(np.mean(likelihoods))))


def _vocabulary(data: bytes) -> list[bytes]:
    """The tokens of Moonshine's binary vocabulary: each after its length.

    A length above 127 has two bytes, the lower seven bits first.
    """
    tokens: list[bytes] = []
    at = 0
    while at < len(data):
        length = data[at]
        at += 1
        if length > 127:
            length = length - 128 + data[at] * 128
            at += 1
        tokens.append(data[at : at + length])
        at += length
    return tokens
