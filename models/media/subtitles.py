"""The words of subtitles, without their markup."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

__all__ = ["TEXT_BOXES", "TEXT_CODECS", "draws", "subtitle_text"]

#: Codings of subtitles that are text; the others are pictures.
TEXT_CODECS = frozenset(
    {"mov_text", "subrip", "srt", "text", "webvtt", "ass", "ssa", "ttml", "wvtt", "cc_dec"}
)
#: Codings of ISO media that FFmpeg does not decode, by the four letters of their samples.
TEXT_BOXES = {"stpp": "ttml", "wvtt": "wvtt"}

_TAGS = re.compile(r"<[^<>]{0,2000}>|\{\\[^{}]{0,200}\}")
#: Codings whose lines may be drawings: ``{\p1}`` begins one, ``{\p0}`` ends it.
_STYLED = frozenset({"ass", "ssa"})
_BLOCK = re.compile(r"(\{[^{}]{0,2000}\})([^{}]*)")
_DRAWS = re.compile(r"\\p[1-9]")
#: How a script of FLV begins: a string and the length of its name.
_SCRIPT = b"\x02\0"
#: Fields of a line of ASS before its text.
_ASS_FIELDS = 8


def subtitle_text(codec: str, data: bytes) -> str:
    """The words of one packet; empty if there are none.

    Args:
        codec: Its coding, by FFmpeg's name.
        data: The packet.
    """
    if codec not in TEXT_CODECS:
        return ""
    if codec == "mov_text":
        length = int.from_bytes(data[:2], "big")
        raw = data[2 : 2 + length]
        wide = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
        text = raw.decode("utf-16" if wide else "utf-8", "replace")
    elif codec == "wvtt":
        text = "\n".join(_payloads(data))
    elif codec == "text" and data.startswith(_SCRIPT):
        return ""
    else:
        text = data.decode("utf-8", "replace")
    if codec in _STYLED:
        text = _BLOCK.sub(lambda block: " " if _DRAWS.search(block[1]) else block[0], text)
        text = text.split(",", _ASS_FIELDS)[-1].replace("\\N", " ").replace("\\n", " ")
    return " ".join(html.unescape(_TAGS.sub(" ", text)).replace("\0", " ").split())


def draws(codec: str, data: bytes) -> bool:
    """Whether a packet has drawings, which are no words.

    Args:
        codec: Its coding, by FFmpeg's name.
        data: The packet.
    """
    if codec not in _STYLED or b"\\p" not in data:
        return False
    return any(_DRAWS.search(one[1]) for one in _BLOCK.finditer(data.decode("utf-8", "replace")))


def _payloads(data: bytes) -> Iterator[str]:
    """The words of WebVTT's cues in boxes (ISO/IEC 14496-30)."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + size]
        if size < 8:
            return
        if kind == b"payl":
            yield content.decode("utf-8", "replace")
        elif kind == b"vttc":
            yield from _payloads(content)
        at += size
