"""Inner loops of the index, compiled by Numba."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

__all__ = ["build_tables", "probe", "scan"]

_CHUNKS = 16
_KEYS = 1 << 16


def _count_ones(_typing: Any, value: Any) -> Any:
    """Population count, by the processor's instruction."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    if value != types.uint64:
        return None
    return types.uint64(types.uint64), generate


_ones: Any = intrinsic(_count_ones)


@njit(cache=True, nogil=True)
def _fill_tables(chunks: Any, starts: Any, lists: Any) -> None:
    count = chunks.shape[0]
    for table in range(_CHUNKS):
        begin = starts[table]
        for row in range(count):
            begin[chunks[row, table] + 1] += 1
        for key in range(_KEYS):
            begin[key + 1] += begin[key]
        cursor = begin[:_KEYS].copy()
        for row in range(count):
            key = chunks[row, table]
            lists[table, cursor[key]] = row
            cursor[key] += 1


def build_tables(chunks: NDArray[np.uint16]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Build inverted lists: for each chunk and value, the rows that have it.

    Args:
        chunks: Hashes as 16 integers of 16 bits, shape (n, 16).

    Returns:
        Start of each value's list, shape (16, 65537), and the lists, shape (16, n), both uint32.
    """
    starts = np.zeros((_CHUNKS, _KEYS + 1), np.uint32)
    lists = np.zeros((_CHUNKS, len(chunks)), np.uint32)
    _fill_tables(chunks, starts, lists)
    return starts, lists


@njit(cache=True, nogil=True)
def _grown(array: Any) -> Any:
    larger = np.empty((array.shape[0] * 2, 3), np.uint32)
    larger[: array.shape[0]] = array
    return larger


@njit(cache=True, nogil=True)
def _scan(words: Any, queries: Any, radius: Any) -> Any:
    found = np.empty((1024, 3), np.uint32)
    count = 0
    for query in range(queries.shape[0]):
        first, second = queries[query, 0], queries[query, 1]
        third, fourth = queries[query, 2], queries[query, 3]
        for row in range(words.shape[0]):
            apart = _ones(words[row, 0] ^ first) + _ones(words[row, 1] ^ second)
            if apart > radius:
                continue
            apart += _ones(words[row, 2] ^ third) + _ones(words[row, 3] ^ fourth)
            if apart <= radius:
                if count == found.shape[0]:
                    found = _grown(found)
                found[count, 0], found[count, 1], found[count, 2] = query, row, apart
                count += 1
    return found[:count]


@njit(cache=True, nogil=True)
def _probe(words: Any, starts: Any, lists: Any, queries: Any, radius: Any) -> Any:
    # Pigeonhole: within a radius of 16 q + a, one of the first a + 1 chunks is within q, or one
    # of the others within q - 1.
    near, wide = np.int64(radius) // _CHUNKS, np.int64(radius) % _CHUNKS + 1
    found = np.empty((1024, 3), np.uint32)
    count = 0
    one = np.uint64(1)
    mask = np.uint64(0xFFFF)
    for query in range(queries.shape[0]):
        first, second = queries[query, 0], queries[query, 1]
        third, fourth = queries[query, 2], queries[query, 3]
        for table in range(_CHUNKS):
            reach = near if table < wide else near - 1
            if reach < 0:
                break
            shift = np.uint64(16 * (table % 4))
            key = (queries[query, table // 4] >> shift) & mask
            for flip in range(1 + 16 * reach):
                value = key if flip == 0 else key ^ (one << np.uint64(flip - 1))
                for at in range(starts[table, value], starts[table, value + one]):
                    row = lists[table, at]
                    apart = _ones(words[row, 0] ^ first) + _ones(words[row, 1] ^ second)
                    if apart > radius:
                        continue
                    apart += _ones(words[row, 2] ^ third) + _ones(words[row, 3] ^ fourth)
                    if apart > radius:
                        continue
                    # Report each row once: from the first table that finds it.
                    reported = False
                    for earlier in range(table):
                        part = words[row, earlier // 4] ^ queries[query, earlier // 4]
                        part = (part >> np.uint64(16 * (earlier % 4))) & mask
                        if _ones(part) <= (near if earlier < wide else near - 1):
                            reported = True
                            break
                    if reported:
                        continue
                    if count == found.shape[0]:
                        found = _grown(found)
                    found[count, 0], found[count, 1], found[count, 2] = query, row, apart
                    count += 1
    return found[:count]


Found = tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint8]]


def _columns(found: NDArray[np.uint32]) -> Found:
    return found[:, 0].astype(np.int64), found[:, 1].copy(), found[:, 2].astype(np.uint8)


def scan(words: NDArray[np.uint64], queries: NDArray[np.uint64], radius: int) -> Found:
    """Query, row and distance of all pairs within a radius, by linear scan.

    Args:
        words: Hashes, shape (n, 4).
        queries: Hashes, shape (m, 4).
        radius: Bits that may differ.
    """
    return _columns(_scan(words, queries, np.uint64(radius)))


def probe(
    words: NDArray[np.uint64],
    starts: NDArray[np.uint32],
    lists: NDArray[np.uint32],
    queries: NDArray[np.uint64],
    radius: int,
) -> Found:
    """The same by the tables; the radius is at most 31."""
    return _columns(_probe(words, starts, lists, queries, radius))
