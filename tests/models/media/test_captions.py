"""Closed captions within the pictures: CEA-608 and CEA-708."""

from __future__ import annotations

import random

import av
import pytest

from quorum.models.features.decode import Decoding
from quorum.models.media import limits
from quorum.models.media.captions import Captions, caption_data
from quorum.models.media.door import open_media
from quorum.models.media.limits import Limits
from quorum.models.media.lines import MediaLine
from quorum.models.media.tracks import TrackKind

odd = pytest.importorskip("tests.models.media.odd", reason="no ffmpeg tool")

POP, SHOW, ROLL, RETURN = b"\x14\x20", b"\x14\x2f", b"\x14\x25", b"\x14\x2d"


def read(*pairs: bytes, kind: int = 0xFC) -> list[str]:
    captions = Captions()
    for second, pair in enumerate(pairs):
        captions.add(bytes([kind]) + pair, float(second))
    return [line.text for line in captions.rest()]


@pytest.mark.parametrize(
    ("pairs", "lines"),
    [
        ((POP, POP, b"AB", SHOW, SHOW), ["AB"]),
        ((POP, b"AB", b"\x14\x2e", b"CD", SHOW), ["CD"]),  # erased before it was shown
        ((POP, b"AB"), []),  # never shown
        ((ROLL, b"AB", RETURN, b"CD"), ["AB", "CD"]),
        ((ROLL, b"AB", b"\x14\x21", b"C\0"), ["AC"]),  # one step back
        ((ROLL, b"\\*", b"\x11\x37", b"\x11\x37", b"A\0", b"\x12\x20"), ["éá♪Á"]),
        ((ROLL, b"AB", b"\x1c\x25", b"xy", b"\x14\x25", b"CD"), ["ABCD", "xy"]),  # two channels
        ((ROLL, b"AB", b"\x14\x40", b"\x14\x40", b"CD"), ["AB CD"]),  # another place
        ((ROLL, b"\xc1\x42"), ["AB"]),  # with the bit of parity
    ],
)
def test_what_is_shown_is_a_line(pairs, lines):
    assert read(*pairs) == lines


def test_data_on_the_programme_are_no_words():
    pairs = (b"\x15\x25", b"AB", b"\x01\x03", b"xy", b"\x0f\x1d", b"CD")
    assert read(*pairs, kind=0xFD) == ["ABCD"]


def test_a_line_has_its_seconds_in_the_order_in_which_pictures_are_shown():
    captions = Captions()
    for second, pair in ((0, ROLL), (3, RETURN), (1, b"AB"), (2, b"CD")):
        captions.add(b"\xfc" + pair, float(second))
        assert list(captions.through(0.0)) == []
    (line,) = captions.through(3.0)
    assert (line.text, line.start, line.end) == ("ABCD", 1.0, 3.0)


def test_commands_of_the_digital_captions_are_no_words():
    line = b"\x98abcdefA\x10\x20B\x18\x00\xe9\x11zC\x90yy\xd1\x08D\x0d"
    packet = bytes([(len(line) + 3) // 2, 1 << 5 | len(line)]) + line
    pairs = [packet[n : n + 2].ljust(2, b"\0") for n in range(0, len(packet), 2)]
    captions = Captions()
    captions.add(b"".join(bytes([0xFE | (not n)]) + one for n, one in enumerate(pairs)), 0.0)
    assert [one.text for one in captions.rest()] == ["A BéC D"]


def test_lines_beyond_the_most_are_told(tmp_path):
    path = tmp_path / "grey.png"
    odd.blank().save(path)
    for count, unread in (
        (2000, ()),
        (2002, ("only the first 2,000 lines of subtitles were read",)),
    ):
        with open_media(path) as media:
            made = Decoding(media, Limits(), frames=True, audio=False, max_pages=1, motion=False)
            for one in media.read(made.kinds):
                made.take(one)
            for second in range(count):
                made.take(MediaLine("words", second, second))
            decoded = made.finish()
        assert len(decoded.lines) == 2000
        assert decoded.frames.unread == unread
        assert decoded.problems == list(unread)


@pytest.mark.parametrize("form", [odd.by_atsc, odd.by_scte, odd.on_disc])
def test_captions_in_user_data_are_those_that_ffmpeg_finds(form, tmp_path):
    path = tmp_path / "captions.mkv"
    odd.captioned(odd.analogue("some words"), *odd.MPEG2, suffix=".mkv", form=form)(path, path)
    ours, theirs = [], []
    with av.open(str(path)) as film:
        for packet in film.demux(video=0):
            ours.append(caption_data(bytes(packet), "mpeg2video") if packet.size else b"")
            theirs += [bytes(one.side_data.get("A53_CC") or b"") for one in packet.decode()]
    ours, theirs = (
        [{one[n + 1 : n + 3] for n in range(0, len(one), 3)} for one in each if one]
        for each in (ours, theirs)
    )
    # Of cable's, FFmpeg takes the fields of progressive pictures the other way round.
    assert ours == theirs
    assert len(ours) > 10


def test_a_byte_behind_two_zeros_is_left_out_only_where_coders_put_one_there():
    body = bytes([0x42, 0xFF, 0xFC, 0, 0, 3, 1, 2, 0xFC, 0x41, 0x42])
    begin = b"\xb5\0\x31GA94\3"
    assert caption_data(begin + body, "h264") == bytes([0xFC, 0, 0, 1, 2, 0xFC])
    assert caption_data(begin + body, "libdav1d") == body[2:8]
    assert caption_data(b"\0\0\1\xb2GA94\3" + body, "mpeg2video") == body[2:8]
    assert caption_data(b"\0\0\1\xb2GA94\3" + body, "h264") == b""


def test_a_sample_of_nothing_but_captions_is_read_within_the_limits(tmp_path, monkeypatch):
    path = tmp_path / "full.mov"
    odd.full_of_captions(path, ROLL + (b"AB" * 40 + RETURN) * 3_000)
    with open_media(path) as media:
        lines = [one.text for one in media.read({TrackKind.SUBTITLE})]
        assert lines == ["AB" * 40] * 3_000
        assert media.problems == []
    monkeypatch.setattr(limits, "_BASE_SECONDS", 0.02)
    with open_media(path) as media:
        assert len(list(media.read({TrackKind.SUBTITLE}))) < 3_000
        assert media.problems == ["too slow to decode: only the first 0 s"]


def test_a_long_subtitle_is_read_to_its_end(tmp_path):
    path = tmp_path / "long.mkv"
    lines = path.with_suffix(".srt")
    text = " ".join(f"word{number}" for number in range(400))
    lines.write_text(f"1\n00:00:00,500 --> 00:00:01,000\n{text} {'x' * 2500} end\n")
    odd.ffmpeg(*odd.NOTHING, "-i", lines, "-map", 0, "-map", 1, path)
    with open_media(path) as media:
        found = [one for one in media.read({TrackKind.SUBTITLE}) if isinstance(one, MediaLine)]
    whole = "".join(one.text for one in found)
    assert whole.replace(" ", "") == text.replace(" ", "") + "x" * 2500 + "end"
    assert all(one.text.endswith(tuple("0123456789")) for one in found[:3])
    assert max(len(one.text) for one in found) == 1000
    assert {(one.start, one.end) for one in found} == {(0.5, 1.0)}


def test_drawings_of_subtitles_are_no_words_and_are_told(tmp_path):
    path = tmp_path / "drawn.mkv"
    script = path.with_suffix(".ass")
    text = r"one{\an5\p1\pos(1,2)}m 0 0 l 100 0 100 100{\p0} two{\pos(3,4)} three"
    script.write_text(
        "[Script Info]\nScriptType: v4.00+\n[Events]\nFormat: Layer, Start, End, Style, Name, "
        "MarginL, MarginR, MarginV, Effect, Text\n"
        f"Dialogue: 0,0:00:00.50,0:00:01.00,,,0,0,0,,{text}\n"
    )
    odd.ffmpeg(*odd.NOTHING, "-i", script, "-map", 0, "-map", 1, "-c:s", "copy", path)
    with open_media(path) as media:
        (line,) = (one for one in media.read({TrackKind.SUBTITLE}) if isinstance(one, MediaLine))
        assert line.text == "one two three"
        assert [one.partition(" of ")[0] for one in media.left_out] == ["the drawings"]


def test_any_bytes_are_read():
    made = random.Random(15)
    for _ in range(300):
        data = made.randbytes(made.randrange(200))
        captions = Captions()
        begin = made.choice([b"GA94\3", b"CC\1\xf8", b"\3\x81"])
        user = caption_data(b"\0\0\1\xb2" + begin + data, "mpeg2video")
        captions.add(caption_data(b"\xb5\0\x31GA94\3" + data, "hevc") + user, 0.0)
        for line in captions.rest():
            assert line.text
            assert line.start == line.end == 0.0
