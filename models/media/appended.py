"""What lies behind the end of a picture in its file: a film, or more pictures.

Phones append a short film to a picture ("motion photo"), and a raw stream of Motion JPEG is JPEG
files one after the other. Decoders of pictures stop at the end of the first; players do not.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import BinaryIO, Final

from quorum.core.errors import MediaRefused

__all__ = ["Tail", "behind"]

#: JPEG's markers: start and end of a picture, start of coded data, and those without a length.
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
#: Those of a picture's size.
_SOF: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
#: The most pixels that all scans of a picture draw; an encoder makes ten or so.
_MAX_DRAWN: Final = 4_000_000_000
_BARE: Final = frozenset({0x01, _SOI, _EOI, *range(0xD0, 0xD8)})
_MAX_MARKERS: Final = 100_000
#: Bytes of a file that are searched: a picture with a film behind it is smaller.
_MOST: Final = 64 * 1024 * 1024
#: The first box of a film, ``ftyp``, has brands of four letters and little else.
_MAX_FTYP: Final = 512
_MAX_FOUND: Final = 1_000
#: The most films behind a picture: phones append one.
_MAX_FILMS: Final = 3


class Tail:
    """A file from a place on, as a file of its own.

    Args:
        file: The file.
        start: Where it begins, in bytes.
    """

    def __init__(self, file: BinaryIO, start: int) -> None:
        self._file = file
        self.start = start
        file.seek(start)
        self.read = file.read

    def tell(self) -> int:
        """The position."""
        return self._file.tell() - self.start

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a place."""
        if whence == 0:
            return self._file.seek(self.start + max(0, offset)) - self.start
        return self._file.seek(offset, whence) - self.start


def behind(file: BinaryIO, form: str) -> list[tuple[int, str | None]]:
    """What lies behind or in a picture, and a player shows.

    Args:
        file: The file.
        form: The picture's format, by ``picture_format``.

    Returns:
        Where each begins, and FFmpeg's name of its format if it has no head that tells it: a raw
        stream of Motion JPEG begins with the picture itself.

    Raises:
        MediaRefused: If decoding the picture would take too long.
    """
    with _mapped(file) as data:
        end = _jpeg_end(data) if form == "JPEG" else None
        if end is not None and data[end : end + 3] == b"\xff\xd8\xff":
            return [(0, "mjpeg")]
        found: list[tuple[int, str | None]] = []
        start = _film(data, end or (2 if form == "JPEG" else 32))
        while start is not None and len(found) < _MAX_FILMS:
            found.append((start, None))
            start = _film(data, _film_end(data, start))
    return found


def _film_end(data: mmap.mmap, start: int) -> int:
    """The place behind the last box of a film; another film begins with a head of its own."""
    at = start
    for _ in range(_MAX_FOUND):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if (kind == b"ftyp" and at > start) or not _is_brand(kind) or size < 8:
            return at
        at += size
    return at


def _film(data: mmap.mmap, at: int) -> int | None:
    """Where the first box of a film begins, from a place on."""
    for _ in range(_MAX_FOUND):
        at = data.find(b"ftyp", at)
        if at < 0:
            return None
        start = at - 4
        length = int.from_bytes(data[start:at], "big")
        if 16 <= length <= _MAX_FTYP and length % 4 == 0 and _is_brand(data[at + 4 : at + 8]):
            return start
        at += 4
    return None


def _mapped(file: BinaryIO) -> mmap.mmap:
    size = min(_MOST, os.fstat(file.fileno()).st_size)
    return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)


def _is_brand(brand: bytes) -> bool:
    return len(brand) == 4 and all(32 <= one < 127 for one in brand)


def _jpeg_end(data: mmap.mmap) -> int | None:
    """The place behind the first picture's end; None if it has no end.

    Source: ITU-T T.81, annex B.

    Raises:
        MediaRefused: If it draws its pixels too often: a scan of a progressive picture that changes
            nothing has a few bytes.
    """
    at = 2
    pixels = scans = 0
    for _ in range(_MAX_MARKERS):
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            return None
        marker = data[at + 1]
        if marker == _EOI:
            return at + 2
        if marker in (0x00, 0xFF) or marker in _BARE:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _SOF:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9].ljust(4, b"\0"))
            pixels = height * width
        scans += marker == _SOS
        if scans * pixels > _MAX_DRAWN:
            msg = f"media refused: a picture of {pixels:,} pixels that is drawn {scans:,} times"
            raise MediaRefused(msg)
        at += 2 + max(2, length)
        if marker == _SOS:
            at = _scan_end(data, at)
            if at < 0:
                return None
    return None


def _scan_end(data: mmap.mmap, at: int) -> int:
    """The first marker behind coded data that ends it; -1 for none."""
    while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        if data[at + 1] == 0x00 or 0xD0 <= data[at + 1] < 0xD8:
            at += 2
        elif data[at + 1] == 0xFF:
            at += 1
        else:
            return at
    return -1
