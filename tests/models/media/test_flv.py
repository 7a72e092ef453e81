"""Flash video whose tracks begin, or change their coding, on the way."""

from __future__ import annotations

import io
import random

import pytest

from quorum.models.media import flv
from quorum.models.media.door import open_media
from quorum.models.media.flv import LaterFlash, later_tags
from quorum.models.media.tracks import Shown, TrackKind

carriers = pytest.importorskip("tests.models.media.carriers", reason="no ffmpeg tool")
odd = pytest.importorskip("tests.models.media.odd", reason="no ffmpeg tool")

HEAD = b"FLV\1\5\0\0\0\x09\0\0\0\0"


def tag(kind: int, data: bytes) -> bytes:
    return bytes([kind]) + len(data).to_bytes(3, "big") + bytes(7) + data + bytes(4)


H263, H264, HEVC, COMMAND = (
    b"\x12" + bytes(9),
    b"\x17" + bytes(9),
    b"\x90hvc1xx",
    b"\x57" + bytes(9),
)
MP3, OPUS = b"\x2f" + bytes(9), b"\x94Opusxx"


def test_each_coding_begins_at_its_first_tag():
    tags = [(18, b"x" * 30), (9, H263), (9, COMMAND), (8, MP3), (9, H263), (9, H264), (8, OPUS),
            (9, HEVC), (9, H264)]  # fmt: skip
    starts = [len(HEAD)]
    for one in tags:
        starts.append(starts[-1] + len(tag(*one)))
    file = io.BytesIO(HEAD + b"".join(tag(*one) for one in tags))
    file.seek(7)
    assert later_tags(file, 2) == (starts[5], starts[6], starts[7])
    assert later_tags(file, 1) == (starts[3], *later_tags(file, 2))
    assert file.tell() == 7


def test_a_file_begins_again_with_a_head_of_its_own():
    later = LaterFlash(io.BytesIO(bytes(range(100))), 60)
    assert later.read(5) + later.read(10) + later.read() == HEAD + bytes(range(60, 100))
    assert later.seek(10) == 10 == later.tell()
    assert later.read(4) == HEAD[10:] + bytes([60])


def test_any_bytes_are_read():
    made = random.Random(15)
    for _ in range(100):
        file = io.BytesIO(made.randbytes(made.randrange(300)))
        assert len(later_tags(file, 0)) < 30


def test_what_begins_later_is_shown_then_or_told(tmp_path, monkeypatch):
    path = tmp_path / "a.flv"
    odd.PICTURES["sound-first.flv"](carriers.plain_picture(tmp_path), path)
    with open_media(path) as media:
        shown = [one for one in media.read({TrackKind.VIDEO}) if isinstance(one, Shown)]
        assert media.left_out == []
    assert shown[0].start == pytest.approx(12, abs=0.2)
    assert shown[-1].end == pytest.approx(15, abs=0.3)
    monkeypatch.setattr(flv, "_MAX_TAGS", 30)
    with open_media(path) as media:
        assert list(media.read({TrackKind.VIDEO})) == []
        assert media.left_out[0].endswith("s were not judged")
