"""Subtitles that are pictures: of Blu-ray (PGS), DVD, DVB and DivX.

FFmpeg draws them in numbers of colours; the colours themselves, which PyAV does not give, are read
here from the packets.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["DRAWN_CODECS", "DrawnSubtitles"]

#: Pixels around what is drawn: readers of words want a margin.
_MARGIN: Final = 8
#: The most pictures that are known again.
_MAX_KNOWN: Final = 10_000

#: Bits of a pixel by their code in DVB.
_BITS: Final = {1: 2, 2: 4, 3: 8}

_Colours = NDArray[np.uint8]


class _Palette(ABC):
    """The colours of one track, as far as its packets have told them.

    Args:
        extradata: What the container tells beside the packets.
    """

    def __init__(self, extradata: bytes) -> None:
        self._colours = _nothing()

    @abstractmethod
    def tell(self, packet: bytes) -> None:
        """Read the colours in a packet."""

    def of(self, rect: Any) -> _Colours:
        """The colours of a drawn part: RGBA, shape (256, 4)."""
        return self._colours


class _BluRay(_Palette):
    """Source: US patent application 2009/0185789, "stream shaping of PGS"."""

    _PALETTE, _COMPOSITION = 0x14, 0x16

    def __init__(self, extradata: bytes) -> None:
        super().__init__(extradata)
        self._known: dict[int, _Colours] = {}
        self._used = 0

    def tell(self, packet: bytes) -> None:
        for kind, data in _segments(packet, kind=0, size=1):
            if kind == self._COMPOSITION and len(data) > 9:
                if data[7] & 0xC0:
                    self._known.clear()
                self._used = data[9]
            elif kind == self._PALETTE and len(data) > 2:
                made = self._known.setdefault(data[0], _nothing())
                told = np.frombuffer(data, np.uint8, offset=2)
                entries = told[: len(told) // 5 * 5].reshape(-1, 5)
                made[entries[:, 0], :3] = _rgb(entries[:, 1], entries[:, 2], entries[:, 3])
                made[entries[:, 0], 3] = entries[:, 4]

    def of(self, rect: Any) -> _Colours:
        return self._known.get(self._used, _nothing())


class _Broadcast(_Palette):
    """Source: ETSI EN 300 743, sections 7.2 and 10."""

    _PAGE, _REGION, _COLOURS = 0x10, 0x11, 0x12

    def __init__(self, extradata: bytes) -> None:
        super().__init__(extradata)
        self._tables: dict[int, dict[int, _Colours]] = {}
        self._places: dict[int, tuple[int, int]] = {}
        #: Width, height, bits of a pixel and table of each region.
        self._regions: dict[int, tuple[int, int, int, int]] = {}

    def tell(self, packet: bytes) -> None:
        for kind, data in _segments(packet, kind=1, size=4):
            if kind == self._PAGE and len(data) > 1:
                if data[1] >> 2 & 3 == 2:  # all begins anew
                    self._tables.clear()
                    self._regions.clear()
                for at in range(2, len(data) - 5, 6):
                    self._places[data[at]] = (_wide(data, at + 2), _wide(data, at + 4))
            elif kind == self._REGION and len(data) > 7:
                bits = _BITS.get(data[6] >> 2 & 7, 8)
                self._regions[data[0]] = (_wide(data, 2), _wide(data, 4), bits, data[7])
            elif kind == self._COLOURS and len(data) > 2:
                self._define(self._tables.setdefault(data[0], {}), data[2:])

    @staticmethod
    def _define(table: dict[int, _Colours], data: bytes) -> None:
        at = 0
        while at + 4 <= len(data):
            entry, flags, one, two = data[at : at + 4]
            at += 4
            luma, clear = one & 0xFC, two << 6
            red, blue = (one << 6 | two >> 2) & 0xF0, (two << 2) & 0xF0
            if flags & 1:
                if at + 2 > len(data):
                    return
                luma, red, blue, clear = one, two, data[at], data[at + 1]
                at += 2
            for bits, flag in ((2, 0x80), (4, 0x40), (8, 0x20)):
                if flags & flag and entry < 1 << bits:
                    made = table.setdefault(bits, _broadcast(bits))
                    made[entry, :3] = _rgb(*(np.array([n & 255]) for n in (luma, red, blue)))[0]
                    made[entry, 3] = 255 - (clear & 255) if luma else 0

    def of(self, rect: Any) -> _Colours:
        def unlike(number: int) -> tuple[bool, int]:
            width, height, _, _ = self._regions[number]
            left, top = self._places.get(number, (0, 0))
            other = (width, height) != (rect.width, rect.height)
            return other, abs(left - rect.x) + abs(top - rect.y)

        if not self._regions:
            return _broadcast(8)
        _, _, bits, table = self._regions[min(self._regions, key=unlike)]
        found = self._tables.get(table, {}).get(bits)
        return _broadcast(bits) if found is None else found


class _Disc(_Palette):
    """Source: DVD sub-picture units, as FFmpeg's ``dvdsubdec.c`` reads them."""

    _ORDER = re.compile(rb"palette:\s*((?:[0-9a-fA-F]{6}[,\s]*){16})")
    #: Bytes after each command.
    _AFTER: Final = {0: 0, 1: 0, 2: 0, 3: 2, 4: 2, 5: 6, 6: 4}

    def __init__(self, extradata: bytes) -> None:
        super().__init__(extradata)
        found = self._ORDER.search(extradata)
        self._all = None
        if found:
            text = b"".join(re.findall(rb"[0-9a-fA-F]{6}", found[1]))
            self._all = np.frombuffer(bytes.fromhex(text.decode()), np.uint8).reshape(16, 3)

    def tell(self, packet: bytes) -> None:
        numbers, alphas = [0, 1, 2, 3], [0, 15, 15, 15]
        at, seen = _wide(packet, 2), -1
        best = -1
        while seen < at <= len(packet) - 4:  # blocks of commands, each later than the one before
            seen, following = at, _wide(packet, at + 2)
            at += 4
            while at < len(packet) and packet[at] in self._AFTER:
                nibbles = [n for one in packet[at + 1 : at + 3] for n in (one >> 4, one & 15)]
                if packet[at] == 3 and len(nibbles) == 4:
                    numbers = nibbles[::-1]
                elif packet[at] == 4 and len(nibbles) == 4:
                    alphas = nibbles[::-1]
                at += 1 + self._AFTER[packet[at]]
            if sum(alphas) > best:  # it may be faded in and out
                best = sum(alphas)
                self._colours = self._coloured(numbers, alphas)
            at = following

    def _coloured(self, numbers: list[int], alphas: list[int]) -> _Colours:
        made = _nothing()
        shown = list(dict.fromkeys(n for n, one in zip(numbers, alphas, strict=True) if one))
        levels = np.linspace(0, 255, len(shown)) if len(shown) > 1 else [255]
        for entry, (number, alpha) in enumerate(zip(numbers, alphas, strict=True)):
            if alpha:
                made[entry, :3] = (
                    self._all[number] if self._all is not None else levels[shown.index(number)]
                )
                made[entry, 3] = alpha * 17
        return made


class _DivX(_Palette):
    """Source: FFmpeg's ``xsubdec.c``."""

    #: A time in text, then seven numbers of two bytes.
    _BEGIN: Final = 27 + 14

    def tell(self, packet: bytes) -> None:
        told = packet[self._BEGIN : self._BEGIN + 12]
        if len(told) == 12:
            self._colours[:4, :3] = np.frombuffer(told, np.uint8).reshape(4, 3)
            self._colours[1:4, 3] = 255


_PALETTES: Final[dict[str, type[_Palette]]] = {
    "pgssub": _BluRay, "dvbsub": _Broadcast, "dvdsub": _Disc, "xsub": _DivX
}  # fmt: skip
#: Codings of subtitles that are pictures, by the names of FFmpeg's decoders.
DRAWN_CODECS: Final = frozenset(_PALETTES)


class DrawnSubtitles:
    """Draws the subtitles of one track.

    Args:
        codec: Its coding, one of ``DRAWN_CODECS``.
        extradata: What the container tells of it beside the packets.
    """

    def __init__(self, codec: str, extradata: bytes) -> None:
        self._palette = _PALETTES[codec](extradata)
        self._known: set[bytes] = set()
        self._told = False

    @property
    def lost(self) -> bool:
        """Whether there were packets and nothing was drawn."""
        return self._told and not self._known

    def tell(self, packet: bytes) -> None:
        """Read the colours in a packet, before it is decoded."""
        self._told = True
        self._palette.tell(packet)

    @staticmethod
    def box(rects: Sequence[Any]) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the parts of one picture."""
        return (
            min(one.x for one in rects),
            min(one.y for one in rects),
            max(one.x + one.width for one in rects),
            max(one.y + one.height for one in rects),
        )

    def draw(self, rects: Sequence[Any]) -> NDArray[np.uint8] | None:
        """The picture of parts that PyAV decoded: RGBA, shape (height, width, 4).

        It is None if nothing is visible, or if the same was drawn before.
        """
        left, top, right, bottom = self.box(rects)
        made = np.zeros((bottom - top, right - left, 4), np.uint8)
        for one in rects:
            numbers = np.frombuffer(one[0], np.uint8).reshape(one.height, one.width)
            part = self._palette.of(one)[numbers]
            at = made[one.y - top :, one.x - left :][: one.height, : one.width]
            np.copyto(at, part, where=part[..., 3:] > 0)
        visible = made[..., 3] > 0
        rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
        if not len(rows):
            return None
        made = made[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        margin = ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0))
        made = np.pad(made, margin)
        digest = hashlib.blake2b(made.tobytes(), digest_size=16).digest()
        if digest in self._known:
            return None
        if len(self._known) < _MAX_KNOWN:
            self._known.add(digest)
        return made


def _segments(packet: bytes, *, kind: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Segments of a packet: their kind, and their content.

    Args:
        packet: The packet.
        kind: The byte of a segment's head that tells its kind.
        size: The two bytes that tell its length, after which its content begins.
    """
    at = 0
    while at + size + 2 <= len(packet):
        length = _wide(packet, at + size)
        begin = at + size + 2
        yield packet[at + kind], packet[begin : begin + length]
        at = begin + length


def _wide(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def _nothing() -> _Colours:
    return np.zeros((256, 4), np.uint8)


def _rgb(luma: Any, red: Any, blue: Any) -> NDArray[np.uint8]:
    """RGB of Y, Cr and Cb (ITU-R BT.601), shape (n, 3)."""
    y, r, b = (np.asarray(one, np.float32) for one in (luma, red, blue))
    y, r, b = 1.1644 * (y - 16), r - 128, b - 128
    made = np.stack([y + 1.596 * r, y - 0.813 * r - 0.3918 * b, y + 2.0172 * b], axis=-1)
    return np.asarray(np.clip(made.round(), 0, 255), np.uint8)


def _broadcast(bits: int) -> _Colours:
    """The colours of DVB where none are told."""
    number = np.arange(1 << bits, dtype=np.int32)
    made = _nothing()
    if bits == 2:
        made[:4, :3] = np.array([0, 255, 0, 127])[:, None]
        made[1:4, 3] = 255
        return made
    channels = np.stack([number >> n & 1 for n in range(3)], axis=-1)
    if bits == 4:
        made[:16, :3] = channels * np.where(number & 8, 127, 255)[:, None]
        made[1:16, 3] = 255
        return made
    more = np.stack([number >> n & 1 for n in range(4, 7)], axis=-1)
    bright = np.where(number & 128, 43, 85)[:, None] * channels
    bright = bright + np.where(number & 128, 85, 170)[:, None] * more
    made[:, :3] = bright + np.where(number & 0x88 == 0x80, 127, 0)[:, None]
    made[:, 3] = np.where(number & 0x88 == 0x08, 127, 255)
    made[:8, :3], made[:8, 3] = channels[:8] * 255, 63
    made[0] = 0
    return made
