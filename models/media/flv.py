"""Flash video (FLV): where within a file tracks begin, or change their coding."""

from __future__ import annotations

from typing import BinaryIO, Final

from quorum.models.media.appended import Tail

__all__ = ["FLASH", "LaterFlash", "later_tags"]

#: FFmpeg's name of the format.
FLASH: Final = "flv"

#: What a file begins with, and the length of a tag before the first.
_HEAD: Final = b"FLV\x01\x05\0\0\0\x09\0\0\0\0"
_AUDIO, _VIDEO = 8, 9
#: Codings whose name is in four letters (Enhanced RTMP), and a command instead of a picture.
_NAMED_AUDIO, _NAMED_VIDEO, _COMMAND = 9, 0x80, 5
#: The most tags of a file that are looked at: an hour of film has some 300,000.
_MAX_TAGS: Final = 400_000


class LaterFlash(Tail):
    """A Flash video from a tag on, as a file of its own.

    Args:
        file: The file.
        start: Where the tag begins, in bytes.
    """

    def __init__(self, file: BinaryIO, start: int) -> None:
        super().__init__(file, start - len(_HEAD))
        self.read = self._read

    def _read(self, size: int = -1) -> bytes:
        at = self.tell()
        data = self._file.read(size)
        head = _HEAD[at : at + len(data)]
        return head + data[len(head) :]


def later_tags(file: BinaryIO | Tail, known: int) -> tuple[int, ...]:
    """Where the first tag of each coding begins, but for the first codings of a file.

    Args:
        file: The file; its position is kept.
        known: The number of codings that are known.
    """
    kept = file.tell()
    found: dict[tuple[int, bytes], int] = {}
    at = len(_HEAD)
    for _ in range(_MAX_TAGS):
        file.seek(at)
        head = file.read(16)
        if len(head) < 16:
            break
        coding = _coding(head[0] & 31, head[11:])
        if coding is not None:
            found.setdefault(coding, at)
        at += 15 + int.from_bytes(head[1:4], "big")
    file.seek(kept)
    return tuple(found.values())[known:]


def _coding(kind: int, data: bytes) -> tuple[int, bytes] | None:
    """The kind and coding of a tag of sound or pictures."""
    if kind == _AUDIO:
        number = data[0] >> 4
        return kind, data[1:5] if number == _NAMED_AUDIO else bytes([number])
    if kind == _VIDEO and data[0] >> 4 & 7 != _COMMAND:
        return kind, data[1:5] if data[0] & _NAMED_VIDEO else bytes([data[0] & 15])
    return None
