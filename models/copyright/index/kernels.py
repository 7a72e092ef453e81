"""Inner loops of the index, compiled by Numba."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

__all__ = ["build_tables", "collide", "mutual", "probe", "scan"]

_CHUNKS = 16
_KEYS = 1 << 16

#: A list of values is common if it is longer than this many entries, and than this many times the
#: average list.
_RARE = 512
_OFTEN = 64


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


@njit(cache=True, nogil=True)
def _collide(words: Any, starts: Any, lists: Any, queries: Any, radius: Any, most: Any) -> Any:
    found = np.empty((1024, 3), np.uint32)
    count = 0
    one = np.uint64(1)
    mask = np.uint64(0xFFFF)
    for query in range(queries.shape[0]):
        first, second = queries[query, 0], queries[query, 1]
        third, fourth = queries[query, 2], queries[query, 3]
        for table in range(_CHUNKS):
            key = (queries[query, table // 4] >> np.uint64(16 * (table % 4))) & mask
            low, high = starts[table, key], starts[table, key + one]
            if high - low > most:
                continue
            for at in range(low, high):
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
                    shift = np.uint64(16 * (earlier % 4))
                    value = (queries[query, earlier // 4] >> shift) & mask
                    if (words[row, earlier // 4] >> shift) & mask == value:
                        listed = starts[earlier, value + one] - starts[earlier, value]
                        if listed <= most:
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


def collide(
    words: NDArray[np.uint64],
    starts: NDArray[np.uint32],
    lists: NDArray[np.uint32],
    queries: NDArray[np.uint64],
    radius: int,
) -> Found:
    """Pairs within any radius that are equal in a chunk: most of those that are near, not all.

    Of values that very many entries share, which tell nothing, the lists are left out.
    """
    most = max(_RARE, _OFTEN * len(words) // _KEYS)
    return _columns(_collide(words, starts, lists, queries, np.uint64(radius), np.uint32(most)))


@njit(cache=True, nogil=True)
def _mutual(ours: Any, theirs: Any, radius: Any) -> Any:
    found = np.empty((ours.shape[0], 3), np.int64)
    mine = np.full(ours.shape[0], -1, np.int64)
    near = np.full(ours.shape[0], 257, np.int64)
    their = np.full(theirs.shape[0], -1, np.int64)
    close = np.full(theirs.shape[0], 257, np.int64)
    for row in range(ours.shape[0]):
        for other in range(theirs.shape[0]):
            apart = np.int64(0)
            for word in range(4):
                apart += np.int64(_ones(ours[row, word] ^ theirs[other, word]))
            if apart < near[row]:
                near[row], mine[row] = apart, other
            if apart < close[other]:
                close[other], their[other] = apart, row
    count = 0
    for row in range(ours.shape[0]):
        if near[row] <= radius and their[mine[row]] == row:
            found[count, 0], found[count, 1], found[count, 2] = row, mine[row], near[row]
            count += 1
    return found[:count]


def mutual(
    ours: NDArray[np.uint64], theirs: NDArray[np.uint64], radius: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows of two sets of hashes that are each other's nearest, within a radius; and distances."""
    found = _mutual(np.ascontiguousarray(ours), np.ascontiguousarray(theirs), np.int64(radius))
    return found[:, 0], found[:, 1], found[:, 2]
