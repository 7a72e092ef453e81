"""Write an ONNX model: the few messages of ``onnx.proto`` that an encoder needs.

The package ``onnx`` would be a dependency for this alone. Field numbers are those of ONNX IR 8.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["BYTE", "FLOAT", "OWN_DOMAIN", "model", "node", "tensor", "value"]

#: Operators of onnxruntime's own.
OWN_DOMAIN = "com.microsoft"
#: Types of numbers.
FLOAT, BYTE = 1, 2
_TYPES = {
    np.dtype("float32"): FLOAT,
    np.dtype("uint8"): BYTE,
    np.dtype("int8"): 3,
    np.dtype("int64"): 7,
}
_IR_VERSION, _OPERATORS = 8, 17


def _varint(number: int) -> bytes:
    made = bytearray()
    number &= (1 << 64) - 1
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


def _number(field: int, content: int) -> bytes:
    return _varint(field << 3) + _varint(content)


def _message(field: int, content: bytes | str) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return _varint(field << 3 | 2) + _varint(len(raw)) + raw


def tensor(name: str, content: NDArray[np.float32 | np.uint8 | np.int8 | np.int64]) -> bytes:
    """A constant (``TensorProto``)."""
    shape = b"".join(_number(1, size) for size in content.shape)
    kind = _number(2, _TYPES[content.dtype])
    return shape + kind + _message(8, name) + _message(9, np.ascontiguousarray(content).tobytes())


def _attribute(name: str, content: float | int | Sequence[int]) -> bytes:
    if isinstance(content, Sequence):
        return _message(1, name) + b"".join(_number(8, one) for one in content) + _number(20, 7)
    if isinstance(content, float):
        return _message(1, name) + _varint(2 << 3 | 5) + struct.pack("<f", content) + _number(20, 1)
    return _message(1, name) + _number(3, content) + _number(20, 2)


def node(
    operator: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    domain: str = "",
    **attributes: float | int | Sequence[int],
) -> bytes:
    """An operation (``NodeProto``).

    Args:
        operator: Its operator.
        inputs: Names of what it reads; an empty one leaves an optional input out.
        outputs: Names of what it makes.
        domain: Whose operator it is; empty for ONNX's own.
        attributes: Its settings.
    """
    return b"".join(
        [
            *(_message(1, one) for one in inputs),
            *(_message(2, one) for one in outputs),
            _message(4, operator),
            *(_message(5, _attribute(*one)) for one in attributes.items()),
            _message(7, domain) if domain else b"",
        ]
    )


def value(name: str, shape: Sequence[str | int]) -> bytes:
    """A float32 input or output of the model (``ValueInfoProto``); a named size is open."""
    sizes = b"".join(
        _message(1, _message(2, one) if isinstance(one, str) else _number(1, one)) for one in shape
    )
    return _message(1, name) + _message(2, _message(1, _number(1, FLOAT) + _message(2, sizes)))


def model(
    nodes: Sequence[bytes],
    constants: Sequence[bytes],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
) -> bytes:
    """A whole model (``ModelProto``), as onnxruntime reads it from bytes."""
    graph = b"".join(
        [
            *(_message(1, one) for one in nodes),
            _message(2, "encoder"),
            *(_message(5, one) for one in constants),
            *(_message(11, one) for one in inputs),
            *(_message(12, one) for one in outputs),
        ]
    )
    operators = [("", _OPERATORS), (OWN_DOMAIN, 1)]
    sets = b"".join(
        _message(8, _message(1, name) + _number(2, number)) for name, number in operators
    )
    return _number(1, _IR_VERSION) + _message(7, graph) + sets
