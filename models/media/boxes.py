"""Bounds on the tables of MP4 and MOV files, checked before FFmpeg expands them.

Tables of these files are run-length coded: a few bytes may announce thousand millions of samples,
each of which FFmpeg gives an index entry. An edit list repeats them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

from quorum.core.errors import MediaRefused
from quorum.models.media.appended import Tail

__all__ = ["check_tables"]

#: The most index entries of one file: a film of ten hours at 60 frames a second has 2.2 million,
#: and sound as many again.
_MAX_ENTRIES: Final = 8_000_000
#: Index entries that each byte of a file may cause, beside the first 200,000: a coded sample has
#: more than one byte.
_ENTRIES_EACH_BYTE: Final = 0.25
_FREE_ENTRIES: Final = 200_000
_MAX_BOXES: Final = 200_000
_MAX_DEPTH: Final = 12
#: The most descriptions of samples of a track that are looked at; FFmpeg takes as many.
_MAX_CODINGS: Final = 1024
#: A table is read from the file only up to this size.
_MAX_TABLE: Final = 64 * 1024 * 1024

_CONTAINERS: Final = frozenset(
    {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf", b"mvex", b"udta"}
    | {b"cmov"}
)
#: How such a file begins, in bytes 4 to 8.
_STARTS: Final = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp"})


class _Track:
    """What the tables of one track announce."""

    def __init__(self) -> None:
        self.samples = 0
        self.constant = 0
        self.sound = False
        self.one_tick = False
        self.edits = 1
        self.chunks = 0
        self.largest_chunk = 0
        self.codings: list[str] = []

    def entries(self) -> int:
        """Index entries that FFmpeg makes for it."""
        if self.sound and self.one_tick and self.constant:
            # Sound of a constant sample size is indexed by chunk, 1024 samples at a time.
            return self.edits * self.chunks * (1 + self.largest_chunk // 1024)
        return self.edits * self.samples


def check_tables(file: BinaryIO | Tail, size: int) -> list[list[str]]:
    """Check the announced samples of an MP4 or MOV file; other files pass.

    Args:
        file: The file; its position is restored.
        size: Its length in bytes.

    Returns:
        The codings of each of its tracks, by their names of four letters.

    Raises:
        MediaRefused: If its tables announce more than a file of its size can hold.
    """
    if file.read(8)[4:8] not in _STARTS:
        file.seek(0)
        return []
    tracks: list[_Track] = []
    total = 0
    limit = min(_MAX_ENTRIES, _FREE_ENTRIES + int(size * _ENTRIES_EACH_BYTE))
    for kind, start, end in _boxes(file, 0, size, 0):
        if kind == b"trak":
            tracks.append(_Track())
        elif kind == b"cmvd" and _number(file, start) > _MAX_TABLE:
            msg = f"media refused: its compressed tables announce more than {_MAX_TABLE:,} bytes"
            raise MediaRefused(msg)
        elif kind == b"trun":
            total += _number(file, start + 4)
        elif tracks:
            _read(file, tracks[-1], kind, start, end)
        if total > limit:
            break
    total += sum(track.entries() for track in tracks)
    file.seek(0)
    if total > limit:
        msg = (
            f"media refused: its tables announce {total:,} samples; a file of its size may have "
            f"{limit:,}"
        )
        raise MediaRefused(msg)
    return [track.codings for track in tracks]


def _read(file: BinaryIO | Tail, track: _Track, kind: bytes, start: int, end: int) -> None:
    if kind == b"hdlr":
        file.seek(start + 8)
        track.sound = file.read(4) == b"soun"
    elif kind in (b"stsz", b"stz2"):
        track.constant = _number(file, start + 4) if kind == b"stsz" else 0
        track.samples = _number(file, start + 8)
        if not track.constant:
            # A table that is cut off has fewer.
            track.samples = min(track.samples, 2 * max(0, end - start - 12))
    elif kind == b"stsd":
        track.codings = _codings(file, start, end)
    elif kind == b"stts":
        track.one_tick = _number(file, start + 4) == 1 and _number(file, start + 12) == 1
    elif kind in (b"stco", b"co64"):
        width = 4 if kind == b"stco" else 8
        track.chunks = min(_number(file, start + 4), max(0, end - start - 8) // width)
    elif kind == b"elst":
        # Editors write an empty edit and one of the whole; each further one may repeat all.
        track.edits = max(1, min(_number(file, start + 4), max(0, end - start - 8) // 12))
    elif kind == b"stsc":
        file.seek(start + 8)
        table = file.read(min(_MAX_TABLE, max(0, end - start - 8)))
        usable = len(table) // 12 * 12
        track.largest_chunk = max(
            (samples for _, samples, _ in struct.iter_unpack(">III", table[:usable])), default=0
        )


def _codings(file: BinaryIO | Tail, start: int, end: int) -> list[str]:
    """The different codings of a track's samples, by their names of four letters, in order."""
    found: dict[str, None] = {}
    at = start + 8
    for _ in range(min(_number(file, start + 4), _MAX_CODINGS)):
        size = _number(file, at)
        if at + 8 > end or size < 8:
            break
        found[file.read(4).decode("latin-1")] = None
        at += size
    return list(found)


def _number(file: BinaryIO | Tail, at: int) -> int:
    file.seek(at)
    data = file.read(4)
    return int.from_bytes(data, "big") if len(data) == 4 else 0


def _boxes(
    file: BinaryIO | Tail, start: int, end: int, depth: int
) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of the content of each box, depth first.

    Raises:
        MediaRefused: If there are too many.
    """
    todo = [(start, end, depth)]
    count = 0
    while todo:
        at, end, depth = todo.pop()
        if at + 8 > end:
            continue
        count += 1
        if count > _MAX_BOXES:
            msg = f"media refused: it has more than {_MAX_BOXES:,} boxes"
            raise MediaRefused(msg)
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            continue
        size, kind, begin = int.from_bytes(head[:4], "big"), head[4:8], at + 8
        if size == 1 and len(head) == 16:
            size, begin = int.from_bytes(head[8:16], "big"), at + 16
        after = end if size == 0 else at + size
        if after <= at or begin > end:
            continue
        todo.append((after, end, depth))
        inner = min(after, end)
        yield kind, begin, inner
        if kind in _CONTAINERS and depth < _MAX_DEPTH:
            todo.append((begin, inner, depth + 1))
