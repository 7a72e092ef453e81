"""Closed captions within the coded pictures of a film: CEA-608 and CEA-708, in ATSC A/53 data."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final

from quorum.models.media.lines import MediaLine

__all__ = ["Captions", "caption_data"]

#: How the data begin in a message by ITU-T T.35 (United States, ATSC).
_MESSAGE: Final = b"\xb5\x00\x31GA94\x03"
#: How they begin in the user data of MPEG-2: by ATSC A/53, by SCTE 20, and on a DVD.
_USER_DATA: Final = b"\x00\x00\x01\xb2"
_ATSC, _SCTE, _DVD = b"GA94\x03", b"\x03", b"CC\x01\xf8"
#: Codings in which a byte stands after two zeros, so that they hold no start code.
_ESCAPED: Final = frozenset({"h264", "hevc"})
#: Bytes that hold the data of a picture, or on a DVD of a group of pictures.
_MOST: Final = 400
#: The most data of one picture; broadcasts have one, or two of two fields.
_MAX_DATA: Final = 64
#: The longest line; a longer one is told in parts.
_MAX_LINE: Final = 500
#: Bytes of 7 bits that are not those of ASCII.
_BASIC: Final = str.maketrans("*\\^_`{|}~\x7f", "áéíóúç÷Ññ█")
_SPECIAL: Final = "®°½¿™¢£♪à èâêîôû"
_EXTENDED: Final = (
    "ÁÉÓÚÜü‘¡*’—©℠•“”ÀÂÇÈÊËëÎÏïÔÙùÛ«»",
    "ÃãÍÌìÒòÕõ{}\\^_|~ÄäÖöß¥¤¦ÅåØø┌┐└┘",
)
#: Commands of CEA-608: the second byte.
_POP_ON, _BACKSPACE, _ROLL_UP, _PAINT_ON = 0x20, 0x21, range(0x25, 0x28), 0x29
_TEXT, _ERASE_SHOWN, _RETURN, _ERASE_HIDDEN, _SHOW = range(0x2A, 0x2C), 0x2C, 0x2D, 0x2E, 0x2F
#: Bytes after each command of CEA-708 from 0x80 on.
_BYTES_AFTER: Final = bytes([0] * 8 + [1] * 6 + [0, 0, 2, 3, 2, 0, 0, 0, 0, 4] + [6] * 8)
#: Characters and commands of CEA-708 that end a line.
_ENDS: Final = frozenset({0x0C, 0x0D, 0x0E, 0x88, 0x8A, 0x8B, 0x8C, 0x8F})


def caption_data(data: bytes, codec: str) -> bytes:
    """The captions of one coded picture: three bytes for each pair of characters.

    Args:
        data: The packet, in any wrapping of its units.
        codec: The coding of the pictures, by FFmpeg's name.
    """
    user_data = codec.startswith("mpeg")
    start = _USER_DATA if user_data else _MESSAGE
    found, at = b"", -1
    for _ in range(_MAX_DATA):
        at = data.find(start, at + 1)
        if at < 0:
            break
        begin = at + len(start)
        body = data[begin : begin + _MOST]
        if codec in _ESCAPED:
            body = body.replace(b"\0\0\3", b"\0\0")
        found += _of_user_data(body) if user_data else _of_message(body)
    return found


def _of_message(body: bytes) -> bytes:
    return body[2 : 2 + 3 * (body[0] & 31)] if body else b""


def _of_user_data(body: bytes) -> bytes:
    """What FFmpeg's ``mpeg12dec.c`` takes for captions, too."""
    if body.startswith(_ATSC):
        return _of_message(body[len(_ATSC) :])
    if body.startswith(_DVD):
        return _of_disc(body[len(_DVD) :])
    if body.startswith(_SCTE) and body[1:2] in (b"\x01", b"\x81"):
        return _of_cable(body[2:])
    return b""


def _of_disc(body: bytes) -> bytes:
    """Source: CEA-608 on a DVD: a byte with the field that comes first, then pairs of fields."""
    found = b""
    first = body[:1] >= b"\x80"
    for at in range(1, len(body) - 5, 6):
        if body[at] & 0xFE != 0xFE:
            break
        for mark, field in ((at, first), (at + 3, not first)):
            kind = 0xFC if body[mark] == 0xFF and field else 0xFD
            found += bytes([kind]) + body[mark + 1 : mark + 3]
    return found


def _of_cable(body: bytes) -> bytes:
    """Source: ANSI/SCTE 20, whose characters have their lowest bit first."""
    bits = "".join(f"{one:08b}" for one in body)
    count, at, found = int(bits[:5] or "0", 2), 5, b""
    while count and at + 26 <= len(bits):
        field = int(bits[at + 2 : at + 4], 2)
        pair = [int(bits[begin : begin + 8][::-1], 2) for begin in (at + 9, at + 17)]
        if field:
            found += bytes([0xFC | (field == 2), *pair])
        count, at = count - 1, at + 26
    return found


class _Line:
    """A line that grows."""

    def __init__(self) -> None:
        self._text = ""
        self._start = 0.0

    def add(self, text: str, at: float) -> None:
        if not self._text.strip():
            self._start = at
        self._text += text

    def back(self) -> None:
        self._text = self._text[:-1]

    def clear(self) -> str:
        text, self._text = self._text, ""
        return text

    @property
    def long(self) -> bool:
        return len(self._text) >= _MAX_LINE

    def end(self, at: float) -> Iterator[MediaLine]:
        text = " ".join(self.clear().split())
        if text:
            yield MediaLine(text, self._start, max(at, self._start))


class _Channel:
    """One of the four channels of CEA-608."""

    def __init__(self) -> None:
        self._hidden, self._shown = _Line(), _Line()
        self._pops = False

    def write(self, text: str, at: float) -> Iterator[MediaLine]:
        line = self._hidden if self._pops else self._shown
        line.add(text, at)
        if line.long:
            yield from line.end(at)

    def back(self) -> None:
        (self._hidden if self._pops else self._shown).back()

    def command(self, code: int, at: float) -> Iterator[MediaLine]:
        if code == _BACKSPACE:
            self.back()
        elif code == _ERASE_HIDDEN:
            self._hidden.clear()
        elif code in (_ERASE_SHOWN, _RETURN):
            yield from self._shown.end(at)
        elif code == _SHOW:
            yield from self._shown.end(at)
            self._shown.add(self._hidden.clear(), at)
            self._pops = True
        elif code in _ROLL_UP or code in _TEXT or code in (_POP_ON, _PAINT_ON):
            self._pops = code == _POP_ON

    def rest(self, at: float) -> Iterator[MediaLine]:
        yield from self._shown.end(at)


class Captions:
    """The lines of the captions of one track.

    Pictures come in the order in which they are coded; their captions are read as they are shown.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, bytes]] = []
        self._count = 0
        self._at = 0.0
        self._channels: dict[tuple[int, int], _Channel] = {}
        self._tuned = [0, 0]
        self._last = [b"", b""]
        self._other_data = False
        self._packet = b""
        self._services: dict[int, _Line] = {}

    def add(self, data: bytes, at: float) -> None:
        """Have the captions of a picture that is shown at a second."""
        self._count += 1
        heapq.heappush(self._waiting, (at, self._count, data))

    @property
    def waits(self) -> bool:
        """Whether there are captions of pictures that are not shown yet."""
        return bool(self._waiting)

    def through(self, at: float) -> Iterator[MediaLine]:
        """The lines that are complete when no picture before a second is to come."""
        while self._waiting and self._waiting[0][0] <= at:
            self._at, _, data = heapq.heappop(self._waiting)
            for n in range(0, len(data) - 2, 3):
                kind, pair = data[n], data[n + 1 : n + 3]
                if not kind & 4:  # not valid
                    continue
                if kind & 2:
                    yield from self._digital(pair, begins=bool(kind & 1))
                else:
                    yield from self._analogue(kind & 1, bytes(byte & 127 for byte in pair))

    def rest(self) -> Iterator[MediaLine]:
        """The lines that are shown at the end."""
        yield from self.through(float("inf"))
        for channel in self._channels.values():
            yield from channel.rest(self._at)
        for line in self._services.values():
            yield from line.end(self._at)

    def _analogue(self, field: int, pair: bytes) -> Iterator[MediaLine]:
        """A pair of characters of CEA-608."""
        first, second = pair
        if first == 0 == second:
            return
        again, self._last[field] = pair == self._last[field], pair
        if first >= 0x20:
            if field and self._other_data:
                return
            text = "".join(chr(one) for one in pair if one >= 0x20).translate(_BASIC)
            yield from self._channel(field).write(text, self._at)
        elif first < 0x10:  # data on the programme
            self._other_data = bool(field) and first != 0x0F
        elif again:  # commands are sent twice
            self._last[field] = b""
        else:
            self._other_data &= not field
            self._tuned[field] = first >> 3 & 1
            yield from self._command(self._channel(field), first & 7, second)

    def _command(self, channel: _Channel, first: int, second: int) -> Iterator[MediaLine]:
        if first in (4, 5) and 0x20 <= second < 0x30:
            yield from channel.command(second, self._at)
        elif first == 1 and 0x30 <= second < 0x40:
            yield from channel.write(_SPECIAL[second - 0x30], self._at)
        elif first in (2, 3) and 0x20 <= second < 0x40:
            channel.back()  # a like letter for those that do not know it
            yield from channel.write(_EXTENDED[first - 2][second - 0x20], self._at)
        else:  # a place or a style
            yield from channel.write(" ", self._at)

    def _channel(self, field: int) -> _Channel:
        return self._channels.setdefault((field, self._tuned[field]), _Channel())

    def _digital(self, pair: bytes, *, begins: bool) -> Iterator[MediaLine]:
        """Two bytes of CEA-708."""
        self._packet = pair if begins else self._packet + pair
        size = (self._packet[0] & 63) * 2 or 128
        if len(self._packet) < size:
            return
        data, self._packet = self._packet[1:size], b""
        while data:
            service, length = data[0] >> 5, data[0] & 31
            extended = service == 7
            if extended and len(data) > 1:
                service = data[1] & 63
            begin = 2 if extended else 1
            if length:
                line = self._services.setdefault(service, _Line())
                yield from self._service(line, data[begin : begin + length])
            data = data[begin + length :]

    def _service(self, line: _Line, data: bytes) -> Iterator[MediaLine]:
        n = 0
        while n < len(data):
            code, after = data[n], 0
            if code in _ENDS or line.long:
                yield from line.end(self._at)
            if code == 0x08:
                line.back()
            elif code == 0x10:  # the next one is of further sets
                further = data[n + 1] if n + 1 < len(data) else 0
                after = 1 + (further >> 3 if further < 0x20 else 0)
                line.add(" ", self._at)
            elif code == 0x18:
                after = 2
                line.add(data[n + 1 : n + 3].decode("utf-16-be", "ignore"), self._at)
            elif code < 0x20:
                after = max(0, (code >> 3) - 1)
            elif 0x80 <= code < 0xA0:
                after = _BYTES_AFTER[code - 0x80]
                line.add(" ", self._at)
            else:
                line.add(chr(code), self._at)
            n += 1 + after
