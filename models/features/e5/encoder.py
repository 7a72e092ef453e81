"""The encoder of multilingual-e5-small as an ONNX model: BERT with post-normalisation.

Weights stay 4-bit and activations float32 (``MatMulNBits``); or weights are 8-bit by output and
activations 8-bit by token (``MatMulInteger``), twice as fast. onnxruntime has kernels for AVX2,
AVX-512, VNNI and NEON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.models.features.e5.protobuf import BYTE, FLOAT, OWN_DOMAIN, model, node, tensor, value
from quorum.models.features.e5.weights import BLOCK, E5Weights

__all__ = ["E5Encoder"]

#: Added to the attention between tokens of different texts.
_APART = np.float32(-1e9)
#: onnxruntime's accuracy level of ``MatMulNBits`` with activations in float32.
_FLOAT = 1
#: Largest number of 8 bits with a sign; zero of 8 bits without.
_LARGEST, _ZERO = 127, 128


def _halves(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The 4-bit weights of blocks, from bytes of shape (..., 16) to shape (..., 32)."""
    return np.concatenate([packed & 0x0F, packed >> 4], axis=-1)


class E5Encoder:
    """Embeds rows of tokens; one thread, nothing that a fork would break.

    Args:
        weights: The weights.
        layers: After which layers the states are read, from 1.
        exact: Whether activations are float32; else weights and activations are 8-bit.
    """

    def __init__(self, weights: E5Weights, layers: Sequence[int], *, exact: bool) -> None:
        import onnxruntime

        self._scales, self._words = weights.blocks("emb.word")
        kinds = weights.floats("emb.type")[: weights.hidden]
        self._positions = weights.floats("emb.pos").reshape(-1, weights.hidden) + kinds
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(
            _model(weights, layers, exact=exact),
            options,
            providers=["CPUExecutionProvider"],
        )

    def encode(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Mean of the states of each row's tokens, of unit length, shape (n, layers, hidden).

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
        found = self._session.run(
            None,
            {
                "embedded": (words.reshape(len(tokens), -1) + self._positions[places])[None],
                "apart": np.where(own, np.float32(0), _APART)[None, None],
                "mean": mean.astype(np.float32)[None],
            },
        )
        made = np.stack([one[0] for one in found], axis=1)
        unit = made / np.linalg.norm(made, axis=2, keepdims=True)
        return np.asarray(unit, dtype=np.float32)


def _model(weights: E5Weights, layers: Sequence[int], *, exact: bool) -> bytes:
    made = _Graph(weights, exact=exact)
    made.normalised("embedded", None, "emb.ln", "state")
    state = "state"
    for layer in range(max(layers)):
        state = made.layer(f"l{layer}.", state)
        if layer + 1 in layers:
            made.nodes.append(node("MatMul", ["mean", state], [f"out{layer + 1}"]))
    return model(
        made.nodes,
        made.constants,
        [
            value("embedded", ["one", "tokens", weights.hidden]),
            value("apart", ["one", "one", "tokens", "tokens"]),
            value("mean", ["one", "rows", "tokens"]),
        ],
        [value(f"out{layer}", ["one", "rows", weights.hidden]) for layer in layers],
    )


class _Graph:
    """Operations and constants of the encoder under construction."""

    def __init__(self, weights: E5Weights, *, exact: bool) -> None:
        self._weights = weights
        self._exact = exact
        self.nodes: list[bytes] = []
        self.constants = [
            tensor("thirds", np.full(3, weights.hidden, dtype=np.int64)),
            tensor("step", np.array(1 / _LARGEST, dtype=np.float32)),
            tensor("least", np.array(1e-9, dtype=np.float32)),
            tensor("middle", np.array(_ZERO, dtype=np.float32)),
            tensor("zero", np.array(_ZERO, dtype=np.uint8)),
        ]

    def linear(self, read: str, names: Sequence[str], made: str) -> None:
        """Products with matrices of one shape, side by side."""
        parts = [self._weights.blocks(f"{name}.w") for name in names]
        scales = np.concatenate([part[0] for part in parts])
        halves = _halves(np.concatenate([part[1] for part in parts]))
        # MatMulNBits holds neighbours in one byte, and takes 8 off each half by default.
        packed = halves[:, :, 0::2] | halves[:, :, 1::2] << 4
        bias = np.concatenate([self._weights.floats(f"{name}.b") for name in names])
        self.constants.append(tensor(f"{made}.b", bias))
        if not self._exact:
            weights = (halves.astype(np.float32) - 8) * scales[:, :, None]
            self._linear_of_bytes(read, weights.reshape(len(scales), -1), made)
            return
        self.constants += [
            tensor(f"{made}.w", packed.astype(np.uint8)),
            tensor(f"{made}.s", scales.ravel()),
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
                accuracy_level=_FLOAT,
            )
        )

    def _linear_of_bytes(self, read: str, weights: NDArray[np.float32], made: str) -> None:
        """A product in 8 bits: each token and each output has a scale of its own."""
        scales = np.abs(weights).max(axis=1) / _LARGEST
        self.constants += [
            tensor(f"{made}.w", np.round(weights / scales[:, None]).astype(np.int8).T),
            tensor(f"{made}.s", scales.astype(np.float32)),
        ]
        steps: list[tuple[str, list[str], dict[str, int | list[int]]]] = [
            ("Abs", [read], {}),
            ("ReduceMax", [f"{made}.0"], {"axes": [-1], "keepdims": 1}),
            ("Mul", [f"{made}.1", "step"], {}),
            ("Max", [f"{made}.2", "least"], {}),
            ("Div", [read, f"{made}.3"], {}),
            ("Add", [f"{made}.4", "middle"], {}),
            ("Round", [f"{made}.5"], {}),
            ("Cast", [f"{made}.6"], {"to": BYTE}),
            ("MatMulInteger", [f"{made}.7", f"{made}.w", "zero"], {}),
            ("Cast", [f"{made}.8"], {"to": FLOAT}),
            ("Mul", [f"{made}.9", f"{made}.3"], {}),
            ("Mul", [f"{made}.10", f"{made}.s"], {}),
        ]
        for place, (operator, inputs, settings) in enumerate(steps):
            self.nodes.append(node(operator, inputs, [f"{made}.{place}"], "", **settings))
        self.nodes.append(node("Add", [f"{made}.11", f"{made}.b"], [made]))

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
