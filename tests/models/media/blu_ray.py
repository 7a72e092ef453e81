"""Writes subtitles that are pictures, as of a Blu-ray disc; FFmpeg writes none."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

#: Y, Cr, Cb and alpha: nothing, and three shades of grey.
SHADES = ((16, 128, 128, 0), (90, 128, 128, 255), (160, 128, 128, 255), (235, 128, 128, 255))


def lettered(*lines: str) -> np.ndarray:
    """Lines of words, in the numbers of four shades."""
    picture = Image.new("L", (640, 60 * len(lines)), 0)
    for row, line in enumerate(lines):
        ImageDraw.Draw(picture).text(
            (10, 8 + 60 * row), line, font=ImageFont.load_default(36), fill=255
        )
    return np.asarray(picture) // 64


def coded(numbers: np.ndarray) -> bytes:
    """Runs of one colour."""
    out = b""
    for row in numbers:
        ends = np.append(np.flatnonzero(np.diff(row)) + 1, len(row))
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            colour = int(row[start])
            out += bytes([0, (0xC0 if colour else 0x40) | (end - start) >> 8, (end - start) & 255])
            out += bytes([colour]) if colour else b""
        out += b"\0\0"
    return out


def shown(numbers: np.ndarray, start: float, end: float, palette=SHADES, size=(640, 360)) -> bytes:
    """A picture that is shown from one second to another."""
    height, width = numbers.shape
    place = (size[0] - width, size[1] - height)
    data = coded(numbers)
    facts = struct.pack(">HHBH", *size, 0x10, 0)
    parts = {
        0x16: facts + struct.pack(">BBBBHBBHH", 0x80, 0, 0, 1, 0, 0, 0, *place),
        0x17: struct.pack(">BBHHHH", 1, 0, *place, width, height),
        0x14: b"\0\0" + b"".join(bytes([n, *one]) for n, one in enumerate(palette)),
        0x15: b"\0\0\0\xc0" + (len(data) + 4).to_bytes(3, "big")
        + struct.pack(">HH", width, height) + data,
        0x80: b"",
    }  # fmt: skip
    gone = {0x16: facts + bytes(4), 0x80: b""}
    return b"".join(
        b"PG" + struct.pack(">IIBH", round(at * 90_000), 0, kind, len(one)) + one
        for at, each in ((start, parts), (end, gone))
        for kind, one in each.items()
    )


def write_subtitles(out: Path, *pictures: np.ndarray, **options: object) -> None:
    """A file of pictures, each shown for a tenth of a second."""
    out.write_bytes(
        b"".join(shown(one, n / 10, n / 10 + 0.05, **options) for n, one in enumerate(pictures))
    )
