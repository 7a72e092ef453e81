"""Which format a file of pictures has, by its first bytes."""

from __future__ import annotations

from typing import BinaryIO, Final

__all__ = ["is_jpeg_xl", "picture_format", "webp_size"]

#: Brands of HEIF; those of AVIF begin with ``avi``.
_HEIF: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
#: Sizes of the header of a BMP file.
_BMP_HEADERS: Final = frozenset({12, 40, 52, 56, 64, 108, 124})


def picture_format(head: bytes) -> str | None:
    """Pillow's name of a picture format by the first bytes of a file; None if it is none."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if head[4:8] == b"ftyp":
        length = int.from_bytes(head[:4], "big")
        brands = {
            head[8:12],
            *(head[at : at + 4] for at in range(16, min(length, len(head)) - 3, 4)),
        }
        if head[8:12] in (b"avif", b"avis") or (head[8:12] in _HEIF and b"avif" in brands):
            return "AVIF"
        if head[8:12] in _HEIF:
            return "HEIF"
    return None


def is_jpeg_xl(head: bytes) -> bool:
    """Whether the first bytes of a file are those of JPEG XL, bare or in its container."""
    return head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"))


def webp_size(file: BinaryIO) -> tuple[int, int]:
    """Width and height of a WebP file's canvas."""
    head = file.read(64)
    file.seek(0)
    kind, data = head[12:16], head[20:]
    if kind == b"VP8X" and len(data) >= 10:
        return 1 + int.from_bytes(data[4:7], "little"), 1 + int.from_bytes(data[7:10], "little")
    if kind == b"VP8L" and len(data) >= 5:
        bits = int.from_bytes(data[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and len(data) >= 10:
        width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        return width, height
    return 0, 0
