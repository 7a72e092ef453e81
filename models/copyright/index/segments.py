"""An exact index of 256-bit hashes: all entries within a Hamming radius.

Multi-index hashing (Norouzi, Punjani, Fleet, "Fast exact search in Hamming space with
multi-index hashing", 2014): a hash is split into 16 chunks of 16 bits, each with a table from the
chunk's value to the hashes that have it. Two hashes within 31 bits of each other agree in some
chunk up to one bit, so that 16 x 17 list lookups find all of them.

A segment is immutable: arrays in one file, memory-mapped when opened. Small segments are scanned,
large ones have tables.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import ArtifactError
from quorum.models.copyright.index import kernels

__all__ = ["MAX_RADIUS", "Entries", "Hits", "Segment", "search", "search_nearly"]

#: Greatest radius for which the tables are exact.
MAX_RADIUS = 31

#: Up to this many entries a linear scan is faster than the tables.
_FLAT_ENTRIES = 2_048

_CHUNKS = 16
_KEYS = 1 << 16
_MAGIC = b"QUORUMIX"
_VERSION = 1
_HEADER = struct.Struct("<8sIIQQ")
_ALIGN = 64


@dataclass(frozen=True, slots=True)
class Entries:
    """Hashes with their origin, as parallel arrays.

    Attributes:
        hashes: Shape (n, 32), uint8.
        works: Serial number of the work, shape (n,), uint32.
        seconds: Time in the work, shape (n,), float32.
        kinds: View of the frame, or sound, shape (n,), uint8.
    """

    hashes: NDArray[np.uint8]
    works: NDArray[np.uint32]
    seconds: NDArray[np.float32]
    kinds: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.hashes)

    @classmethod
    def join(cls, parts: Sequence[Entries]) -> Entries:
        """Concatenate entries."""
        if not parts:
            return cls(
                np.zeros((0, 32), np.uint8),
                np.zeros(0, np.uint32),
                np.zeros(0, np.float32),
                np.zeros(0, np.uint8),
            )
        return cls(*map(np.concatenate, zip(*map(_columns, parts), strict=True)))

    def where(self, chosen: NDArray[np.bool_]) -> Entries:
        """The rows selected by a mask."""
        return Entries(*(column[chosen] for column in _columns(self)))


@dataclass(frozen=True, slots=True)
class Hits:
    """Search results as parallel arrays, ordered by query.

    Attributes:
        queries: Index of the query, shape (n,), int64.
        works: Serial number of the work, shape (n,), uint32.
        seconds: Time in the work, shape (n,), float32.
        kinds: View of the frame, or sound, shape (n,), uint8.
        distances: Differing bits, shape (n,), uint8.
    """

    queries: NDArray[np.int64]
    works: NDArray[np.uint32]
    seconds: NDArray[np.float32]
    kinds: NDArray[np.uint8]
    distances: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.queries)

    def where(self, chosen: NDArray[np.bool_]) -> Hits:
        """The rows selected by a mask."""
        return Hits(*(column[chosen] for column in _columns(self)))


def _columns(rows: Entries | Hits) -> list[NDArray[Any]]:
    return [getattr(rows, field.name) for field in fields(rows)]


class Segment:
    """An immutable part of the index.

    Args:
        entries: Its entries.
        tables: For each chunk, the start of each value's list, shape (16, 65537), uint32, and the
            lists, shape (16, n), uint32; None for a segment that is scanned.
    """

    def __init__(
        self,
        entries: Entries,
        tables: tuple[NDArray[np.uint32], NDArray[np.uint32]] | None = None,
    ) -> None:
        self.entries = entries
        self.tables = tables
        self._words = entries.hashes.view(np.uint64)

    def __len__(self) -> int:
        return len(self.entries)

    @classmethod
    def build(cls, entries: Entries) -> Segment:
        """Build a segment in memory, with tables if it is large."""
        hashes = np.ascontiguousarray(entries.hashes)
        kept = Entries(hashes, entries.works, entries.seconds, entries.kinds)
        if len(kept) <= _FLAT_ENTRIES:
            return cls(kept)
        return cls(kept, kernels.build_tables(hashes.view(np.uint16)))

    def search(
        self, queries: NDArray[np.uint64], radius: int
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint8]]:
        """Query, row and distance of all pairs within the radius.

        Args:
            queries: Shape (m, 4).
            radius: Up to 31.
        """
        if self.tables is None:
            return kernels.scan(self._words, queries, radius)
        starts, lists = self.tables
        return kernels.probe(self._words, starts, lists, queries, radius)

    def search_nearly(
        self, queries: NDArray[np.uint64], radius: int
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint8]]:
        """Most pairs within any radius: those that are equal in one of the chunks."""
        if self.tables is None:
            return kernels.scan(self._words, queries, radius)
        starts, lists = self.tables
        return kernels.collide(self._words, starts, lists, queries, radius)

    def save(self, path: Path) -> None:
        """Write the segment atomically and durably.

        Raises:
            OSError: If it cannot be written.
        """
        part = path.with_suffix(".part")
        count = len(self.entries)
        with part.open("wb") as file:
            file.write(_HEADER.pack(_MAGIC, _VERSION, int(self.tables is not None), count, 0))
            for array in (*_columns(self.entries), *(self.tables or ())):
                file.write(b"\0" * (-file.tell() % _ALIGN))
                file.write(np.ascontiguousarray(array).data)
            size = file.tell()
            file.seek(0)
            file.write(_HEADER.pack(_MAGIC, _VERSION, int(self.tables is not None), count, size))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)

    @classmethod
    def open(cls, path: Path) -> Segment:
        """Memory-map a segment's file; pages are read on demand.

        Raises:
            ArtifactError: If the file is missing, truncated or of another format.
        """
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        except OSError as error:
            msg = f"cannot read the index {path.name}: {error.strerror or error}"
            raise ArtifactError(msg) from None
        if size < _HEADER.size:
            msg = f"the index {path.name} is truncated: {size} bytes; rebuild it from its works"
            raise ArtifactError(msg)
        magic, version, with_tables, count, expected = _HEADER.unpack_from(mapped)
        if magic != _MAGIC or version != _VERSION:
            msg = f"{path.name} is not an index of format {_VERSION}; rebuild it from its works"
            raise ArtifactError(msg)
        if size != expected:
            msg = (
                f"the index {path.name} has {size:,} bytes instead of {expected:,}; "
                "rebuild it from its works"
            )
            raise ArtifactError(msg)
        return cls._mapped(mapped, count, bool(with_tables))

    @classmethod
    def _mapped(cls, mapped: mmap.mmap | bytes, count: int, with_tables: bool) -> Segment:
        at = _HEADER.size

        def take(dtype: type[np.generic], *shape: int) -> NDArray[np.generic]:
            nonlocal at
            at += -at % _ALIGN
            size = int(np.prod(shape))
            array = np.frombuffer(mapped, dtype, size, at).reshape(shape)
            at += array.nbytes
            return array

        entries = Entries(
            take(np.uint8, count, 32),  # type: ignore[arg-type]
            take(np.uint32, count),  # type: ignore[arg-type]
            take(np.float32, count),  # type: ignore[arg-type]
            take(np.uint8, count),  # type: ignore[arg-type]
        )
        if not with_tables:
            return cls(entries)
        starts = take(np.uint32, _CHUNKS, _KEYS + 1)
        lists = take(np.uint32, _CHUNKS, count)
        return cls(entries, (starts, lists))  # type: ignore[arg-type]


def search(segments: Sequence[Segment], queries: NDArray[np.uint8], radius: int) -> Hits:
    """Search segments for all entries within a Hamming radius of the queries.

    Args:
        segments: The segments.
        queries: Hashes, shape (m, 32), uint8.
        radius: Maximum distance in bits, up to ``MAX_RADIUS``.

    Raises:
        ValueError: If the radius is out of range.
    """
    if not 0 <= radius <= MAX_RADIUS:
        msg = f"the radius must be from 0 to {MAX_RADIUS}, not {radius}"
        raise ValueError(msg)
    words = np.ascontiguousarray(queries).view(np.uint64)
    return _gathered((each.entries, *each.search(words, radius)) for each in segments)


def search_nearly(segments: Sequence[Segment], queries: NDArray[np.uint8], radius: int) -> Hits:
    """Search segments for most of the entries within any Hamming radius of the queries.

    Args:
        segments: The segments.
        queries: Hashes, shape (m, 32), uint8.
        radius: Maximum distance in bits.
    """
    words = np.ascontiguousarray(queries).view(np.uint64)
    return _gathered((each.entries, *each.search_nearly(words, radius)) for each in segments)


def _gathered(
    found: Iterable[tuple[Entries, NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint8]]],
) -> Hits:
    """Hits of all segments, ordered by query."""
    parts = [
        (which, entries.works[rows], entries.seconds[rows], entries.kinds[rows], apart)
        for entries, which, rows, apart in found
    ]
    if not parts:
        none = np.zeros(0, np.int64)
        return Hits(none, *(none.astype(kind) for kind in ("u4", "f4", "u1", "u1")))
    joined = [np.concatenate(each) for each in zip(*parts, strict=True)]
    order = np.argsort(joined[0], kind="stable")
    return Hits(*(each[order] for each in joined))


def sync_folder(folder: Path) -> None:
    """Make new and renamed files of a folder survive a power failure (fsync)."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
