"""The words of subtitles, without their markup."""

from __future__ import annotations

import html
import re

__all__ = ["TEXT_CODECS", "subtitle_text"]

#: Codings of subtitles that are text; the others are pictures.
TEXT_CODECS = frozenset({"mov_text", "subrip", "srt", "text", "webvtt", "ass", "ssa", "ttml"})

_TAGS = re.compile(r"<[^<>]{0,200}>|\{\\[^{}]{0,200}\}")
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
    else:
        text = data.decode("utf-8", "replace")
    if codec in ("ass", "ssa"):
        text = text.split(",", _ASS_FIELDS)[-1].replace("\\N", " ").replace("\\n", " ")
    return " ".join(html.unescape(_TAGS.sub(" ", text)).replace("\0", " ").split())
