"""Arrays in one block of bytes: a line of JSON that tells their names, types and shapes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import ArtifactError

__all__ = ["pack", "unpack"]

#: What may be in a block; anything else is refused, so that nothing is ever executed.
_TYPES = frozenset({"uint8", "uint32", "float32"})


def pack(facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Write some facts and arrays.

    Args:
        facts: Anything that JSON can hold.
        arrays: uint8, uint32 or float32.
    """
    told = {name: [array.dtype.name, list(array.shape)] for name, array in arrays.items()}
    head = json.dumps({"facts": dict(facts), "arrays": told}, separators=(",", ":")).encode()
    body = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays.values())
    return head + b"\n" + body


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read what ``pack`` wrote.

    Raises:
        ArtifactError: If the bytes are cut short or something else.
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
        msg = "a stored fingerprint is cut short or of an unknown format"
        raise ArtifactError(msg) from None
