"""A file is decoded once for all, and frames that nobody looks at are left out: nothing changes."""

from __future__ import annotations

import gc
from fractions import Fraction
from itertools import product

import av
import numpy as np
import pytest

from quorum.models.features.decode import GRID, Decoding, decode
from quorum.models.features.decoders import read_media
from quorum.models.features.reading import Wanted
from quorum.models.fingerprint.fingerprint import fingerprint
from quorum.models.media import container
from quorum.models.media.ahead import Ahead
from quorum.models.media.between import Looks
from quorum.models.media.clock import TrackClock
from quorum.models.media.door import open_media
from quorum.models.media.limits import Limits
from quorum.models.media.tracks import Shown, TrackKind
from tests.models.copyright.clips import picture_frames
from tests.models.features.media_files import video

LIMITS = {"max_seconds": 60.0, "max_pixels": 10**7}


def film(path, times, codec="libx264", **options):
    """A film of many B-frames of which each shows its number, at some times in milliseconds."""
    pictures = picture_frames(5, rate=20)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=30, options={"bf": "7", **options})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number, time in enumerate(times):
            pixels = np.array(
                av.VideoFrame.from_ndarray(pictures[number % len(pictures)], format="rgb24")
                .reformat(320, 180).to_ndarray()
            )  # fmt: skip
            pixels[:20] = number * 2 % 256
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


MANY = {"x264-params": "b-pyramid=none:bframes=7:b-adapt=0"}
#: Times of frames: steady, and some that are shown for long between others.
STEADY = [33 * n for n in range(150)]
UNSTEADY = [*range(0, 990, 33), 1010, 1040, 4010, 4040, 4300, *range(5000, 6000, 50), 9000, 9040]


@pytest.mark.parametrize(
    ("name", "times", "options"),
    [
        *product(["a.mp4", "a.mkv", "a.ts"], [STEADY, UNSTEADY], [{}, MANY]),
        ("a.avi", STEADY, MANY),
    ],
)
def test_frames_are_the_same_as_if_all_were_decoded(name, times, options, tmp_path, monkeypatch):
    path = film(tmp_path / name, times, **options)
    made = decode(path, frames=True, audio=False, max_pages=6, motion=True, **LIMITS)
    few = counted(path, GRID)
    monkeypatch.setattr(Decoding, "MOMENTS", None)
    whole = decode(path, frames=True, audio=False, max_pages=6, motion=True, **LIMITS)
    np.testing.assert_array_equal(made.frames.times, whole.frames.times)
    np.testing.assert_array_equal(made.frames.pixels, whole.frames.pixels)
    np.testing.assert_array_equal(made.pages.pixels, whole.pages.pixels)
    np.testing.assert_array_equal(made.motion.times, whole.motion.times)
    np.testing.assert_array_equal(made.motion.statistics, whole.motion.statistics)
    if name != "a.avi" and times is STEADY:
        assert few < (0.5 if options else 0.9) * counted(path, None)


def counted(path, moments):
    with open_media(path, Limits()) as media:
        read = media.read([TrackKind.VIDEO], moments=moments)
        return sum(isinstance(one, Shown) for one in read)


class Packet:
    def __init__(self, pts, size=1):
        self.pts, self.size, self.time_base = pts, size, Fraction(1, 1000)


def test_what_is_shown_at_a_moment_is_looked_at():
    clock = TrackClock(10.0, 0.04, resets=False)
    ahead = Ahead(clock, Looks(0.25, b""))
    times = [10_000, 10_120, 10_040, 10_080, 10_240, 10_160, 10_200, 10_400, 10_280, 10_320]
    packets = [*map(Packet, times), Packet(None), Packet(0, size=0)]
    found = [each for packet in packets for each in ahead.through(packet)]
    assert [packet for packet, _ in found] == packets
    looked = {packet.pts for packet, looked_at in found if looked_at}
    assert looked == {10_000, 10_160, 10_240, 10_400, None, 0}


def test_one_pass_gives_what_two_gave(tmp_path, monkeypatch):
    path = video(tmp_path / "a.mp4", seconds=4.0, sound=True)
    opened = []
    true = container.ContainerReader.__init__
    monkeypatch.setattr(
        container.ContainerReader, "__init__", lambda *a, **k: (opened.append(1), true(*a, **k))[1]
    )
    made = read_media(path, Wanted(True, True, 4, True, Limits(max_seconds=60.0)))
    assert len(opened) == 1
    alone = decode(path, frames=True, audio=True, max_pages=4, **LIMITS)
    printed = fingerprint(path, **LIMITS)
    np.testing.assert_array_equal(made.decoded.frames.pixels, alone.frames.pixels)
    np.testing.assert_array_equal(made.decoded.audio.samples, alone.audio.samples)
    np.testing.assert_array_equal(made.decoded.pages.pixels, alone.pages.pixels)
    mine = made.fingerprint
    assert (mine.digest, mine.streams, mine.notices) == (
        printed.digest,
        printed.streams,
        printed.notices,
    )
    np.testing.assert_array_equal(mine.audio.items, printed.audio.items)
    assert abs(len(mine.video) - len(printed.video)) <= 1


@pytest.mark.parametrize("content", [b"", b"no media at all", bytes(5000)])
def test_what_is_no_media_has_a_reason_for_each(content, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    made = read_media(path, Wanted(True, True, 4, True))
    assert made.decoded is None
    assert made.fingerprint is None
    assert made.refused.startswith("media cannot be read")
    assert made.no_fingerprint.startswith("no fingerprint: the media is not readable media")


def test_a_fingerprint_that_fails_leaves_the_rest(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("x")

    path = video(tmp_path / "a.mp4")
    for method in ("take", "finish", "__init__"):
        with monkeypatch.context() as patch:
            patch.setattr(f"quorum.models.features.reading.Fingerprinting.{method}", fail)
            made = read_media(path, Wanted(frames=True, fingerprint=True))
        assert made.decoded.frames is not None
        assert made.no_fingerprint == "no fingerprint: RuntimeError: x"


@pytest.mark.parametrize("codec", ["libx264", "ffv1"])
def test_frames_are_freed_at_once(codec, tmp_path, monkeypatch):
    """Also where the collector of cycles rests: frames of a film do not fill the memory."""
    monkeypatch.setattr(container, "_MAX_UNCOLLECTED", 10 * 64 * 48)
    path = video(tmp_path / "a.mkv", seconds=12.0, codec=codec)
    gc.collect()
    gc.disable()
    try:
        with open_media(path, Limits()) as media:
            most = 0
            for number, _ in enumerate(media.read([TrackKind.VIDEO])):
                if number % 20 == 0:
                    held = sum(isinstance(one, av.VideoFrame) for one in gc.get_objects())
                    most = max(most, held)
    finally:
        gc.enable()
    assert 0 < most < 25
