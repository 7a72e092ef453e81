"""Serialise arrays as one JSON header line with names, types and shapes, followed by raw bytes."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import ArtifactError

__all__ = ["pack", "squeezed", "unpack", "unsqueezed"]

#: Allowed types. Anything else is rejected; nothing in a block is executed.
_TYPES = frozenset({"uint8", "uint32", "float32"})


def pack(facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Serialise metadata and arrays.

    Args:
        facts: Any JSON value.
        arrays: uint8, uint32 or float32.
    """
    specs = {name: [array.dtype.name, list(array.shape)] for name, array in arrays.items()}
    head = json.dumps({"facts": dict(facts), "arrays": specs}, separators=(",", ":")).encode()
    body = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays.values())
    return head + b"\n" + body


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Deserialise the output of ``pack``.

    Raises:
        ArtifactError: If the bytes are truncated or malformed.
    """
    try:
        head, at = json.loads(data[: data.index(b"\n")]), data.index(b"\n") + 1
        arrays: dict[str, NDArray[Any]] = {}
        for name, (kind, shape) in head["arrays"].items():
            if kind not in _TYPES or min(shape, default=0) < 0:
                raise ValueError(kind)
            count = int(np.prod(shape))
            arrays[name] = np.frombuffer(data, kind, count, at).reshape(shape)
            at += arrays[name].nbytes
        if at != len(data):
            raise ValueError(at)
        return dict(head["facts"]), arrays
    except (ValueError, KeyError, TypeError, AttributeError):
        msg = "a stored fingerprint is truncated or has an unknown format"
        raise ArtifactError(msg) from None


def squeezed(frames: NDArray[np.uint8], effort: int = 6) -> NDArray[np.uint8]:
    """Compress small pictures of a video without loss: each as the change from the one before.

    Args:
        frames: Shape (n, side, side).
        effort: From 0, as large as they are, to 9.
    """
    changes = np.diff(frames, axis=0, prepend=np.zeros_like(frames[:1]))
    return np.frombuffer(zlib.compress(changes.tobytes(), effort), np.uint8)


def unsqueezed(data: NDArray[np.uint8], count: int, side: int) -> NDArray[np.uint8]:
    """The output of ``squeezed`` as pictures again; none of them if none were kept.

    Raises:
        ArtifactError: If the data are damaged or not of so many pictures.
    """
    unpacker = zlib.decompressobj()
    size = count * side * side
    try:
        raw = unpacker.decompress(data.tobytes(), size + 1)
    except zlib.error:
        raw = b"?"
    if len(raw) not in (0, size) or not unpacker.eof:
        msg = "a stored fingerprint is truncated or has an unknown format"
        raise ArtifactError(msg)
    changes = np.frombuffer(raw, np.uint8).reshape(-1, side, side)
    return np.cumsum(changes, axis=0, dtype=np.uint8)
