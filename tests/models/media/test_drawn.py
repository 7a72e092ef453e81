"""Subtitles that are pictures: their colours, which ones are read, and what is told."""

from __future__ import annotations

import random

import numpy as np
import pytest

from quorum.models.features import decode as decoding
from quorum.models.features.decode import decode
from quorum.models.media.door import open_media
from quorum.models.media.drawn import DRAWN_CODECS, DrawnSubtitles
from quorum.models.media.limits import Limits
from quorum.models.media.tracks import TrackKind
from tests.models.media.blu_ray import SHADES, write_subtitles

odd = pytest.importorskip("tests.models.media.odd", reason="no ffmpeg tool")


class Part:
    """A part as PyAV gives it."""

    def __init__(self, numbers, x=0, y=0):
        self._plane = np.asarray(numbers, np.uint8)
        self.x, self.y = x, y
        self.height, self.width = self._plane.shape

    def __getitem__(self, number):
        return self._plane


def colours(codec: str, packet: bytes, numbers, extradata: bytes = b"") -> list[tuple[int, ...]]:
    subtitles = DrawnSubtitles(codec, extradata)
    subtitles.tell(packet)
    made = subtitles.draw([Part([numbers])])
    return [tuple(map(int, one)) for one in made[8, 8:-8]]


def segment(kind: int, data: bytes) -> bytes:
    return bytes([0x0F, kind, 0, 1]) + len(data).to_bytes(2, "big") + data


def region(width: int, bits: int, table: int = 0) -> bytes:
    return segment(0x11, bytes([0, 0, 0, width, 0, 1, {2: 4, 4: 8, 8: 12}[bits], table, 0, 0]))


@pytest.mark.parametrize(
    ("bits", "numbers", "found"),
    [
        (2, [1, 2, 3], [(255, 255, 255, 255), (0, 0, 0, 255), (127, 127, 127, 255)]),
        (4, [1, 7, 15], [(255, 0, 0, 255), (255, 255, 255, 255), (127, 127, 127, 255)]),
        (
            8, [7, 0x77, 0x7F, 0xF7, 0xFF],
            [(255, 255, 255, 63), (255,) * 4, (255, 255, 255, 127), (255,) * 4,
             (128, 128, 128, 255)],
        ),
    ],
)  # fmt: skip
def test_colours_of_broadcasts_that_tell_none_are_those_of_the_standard(bits, numbers, found):
    made = colours("dvbsub", region(len(numbers), bits), numbers)
    assert np.abs(np.array(made) - np.array(found)).max() <= 1


def test_colours_of_a_broadcast_are_those_of_its_regions_table():
    white, clear = bytes([1, 0x41, 235, 128, 128, 0]), bytes([2, 0x41, 0, 0, 0, 0])
    short = bytes([3, 0x40, 0xEA, 0x20])
    told = segment(0x12, bytes([7, 0]) + white + clear + short)
    made = colours("dvbsub", region(3, 4, 7) + told, [1, 2, 3])
    assert made[0] == (255, 255, 255, 255)
    assert made[1][3] == 0
    assert made[2][3] == 255
    assert colours("dvbsub", region(1, 4, 6) + told, [1]) == [(255, 0, 0, 255)]


def control(*blocks: bytes) -> bytes:
    made, at = b"", 4
    for number, block in enumerate(blocks):
        end = at + 4 + len(block) + 1
        made += bytes(2) + (at if number == len(blocks) - 1 else end).to_bytes(2, "big")
        made += block + b"\xff"
        at = end
    return (4 + len(made)).to_bytes(2, "big") + b"\0\4" + made


def test_colours_of_a_disc_are_those_of_the_file_or_greys():
    packet = control(b"\3\x3a\x10\4\xff\xf0")  # 3: colour 3, 2: 10, 1: 1, 0: 0
    told = b"size: 720x480\npalette: " + b", ".join(b"%06x" % (n * 0x10101) for n in range(16))
    found = [(one,) * 3 + (255,) for one in (1, 10, 3)]
    assert colours("dvdsub", packet, [1, 2, 3], told) == found
    greys = [(one,) * 3 + (255,) for one in (0, 127, 255)]
    assert colours("dvdsub", packet, [1, 2, 3]) == greys
    faded = control(b"\3\x3a\x10\4\0\0", b"\4\xff\xf0", b"\4\0\0")
    assert colours("dvdsub", faded, [1, 2, 3], told) == found


def test_colours_of_divx_are_in_each_packet():
    packet = bytes(41) + bytes(range(12))
    assert colours("xsub", packet, [1, 3]) == [(3, 4, 5, 255), (9, 10, 11, 255)]


def test_parts_are_put_together_and_each_picture_is_drawn_once():
    subtitles = DrawnSubtitles("xsub", b"")
    assert not subtitles.lost
    subtitles.tell(bytes(41) + bytes(range(12)))
    parts = [Part([[1]], 100, 50), Part([[2]], 110, 53), Part([[0]], 100, 50)]
    made = subtitles.draw(parts)
    assert made.shape == (4 + 16, 11 + 16, 4)
    assert np.argwhere(made[..., 3]).tolist() == [[8, 8], [11, 18]]
    assert subtitles.draw(parts[:2]) is None
    assert subtitles.draw([Part([[0]])]) is None
    assert not subtitles.lost


@pytest.mark.parametrize("codec", sorted(DRAWN_CODECS))
def test_any_bytes_are_read(codec):
    made = random.Random(15)
    for _ in range(200):
        subtitles = DrawnSubtitles(codec, made.randbytes(60))
        packet = bytearray(made.randbytes(made.randrange(90)))
        packet[:1] = b"\x0f"
        for at in range(1, len(packet), 7):
            packet[at] = made.choice([0, 0x10, 0x11, 0x12, 0x14, 0x16, 4])
        subtitles.tell(bytes(packet))
        assert subtitles.draw([Part([[0]])]) is None or codec == "dvbsub"


def film(path, *pictures, **options):
    lines = path.with_suffix(".sup")
    write_subtitles(lines, *pictures, **options)
    source = ("-f", "lavfi", "-i", "color=gray:s=64x48:r=5:d=2")
    odd.ffmpeg(*source, "-i", lines, "-map", 0, "-map", 1, "-c:s", "copy", path)
    return path


def read(path, **options):
    return decode(
        path, frames=True, audio=False, max_seconds=60, max_pixels=10**7, max_pages=6, **options
    )


def marked(number: int) -> np.ndarray:
    made = np.zeros((20, 200), int)
    made[5:-number, 10:20] = 3
    return made


def test_more_pictures_than_are_read_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "_MAX_DRAWN", 4)
    path = film(tmp_path / "many.mkv", *[marked(1 + n % 9) for n in range(18)])
    made = read(path)
    drawn = [one for one in made.pages.sights if "subtitle" in one.name]
    assert [one.pixels.shape[0] for one in drawn] == [2] * 4
    assert len({one.pixels.shape for one in drawn}) == 4
    starts = [float(one.times[0]) for one in drawn]
    assert starts == sorted(starts)
    assert made.frames.unread == ("only 4 of 9 pictures of subtitles were read",)


def test_a_subtitle_that_is_more_than_lines_is_a_picture_for_all(tmp_path):
    large = np.random.default_rng(0).integers(0, 4, (24, 32)).repeat(10, 0).repeat(10, 1)
    made = read(film(tmp_path / "large.mkv", marked(1), large))
    names = [one.name for one in made.frames.sights]
    assert [name.partition(" on ")[2] for name in names if "subtitle" in name] == ["white", "black"]
    (seen,) = (one for one in made.frames.sights if one.name.endswith("on black"))
    assert seen.pixels.shape[:1] == (1,)
    assert seen.pixels.std() > 50


def test_a_picture_beyond_the_limit_and_one_of_nothing_are_told(tmp_path):
    path = film(tmp_path / "wide.mkv", marked(1), size=(640, 360))
    with open_media(path, Limits(max_pixels=64 * 48)) as media:
        assert len(list(media.read({TrackKind.VIDEO, TrackKind.SUBTITLE}))) == 10
        assert media.problems
    clear = tuple((*one[:3], 0) for one in SHADES)
    made = read(film(tmp_path / "clear.mkv", marked(1), palette=clear))
    assert made.frames.unread[0].startswith("no picture of subtitle track 2")
