from __future__ import annotations

import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from quorum.core.errors import InputError, MediaRefused
from quorum.models.fingerprint import audio, pdq
from quorum.models.fingerprint.fingerprint import fingerprint
from quorum.models.fingerprint.video import View, active_areas
from tests.models.copyright.clips import picture_frames, remux, write_sound, write_video

FRAMES = picture_frames(7, size=(180, 240))


def seen(path, view=View.ACTIVE, mirrored=False):
    found = fingerprint(path).video
    return (found.mirrored if mirrored else found.views)[:, view]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "plain.mp4", FRAMES)


def apart(one, other):
    count = min(len(one), len(other))
    assert count >= 20
    return float(np.median(pdq.distances(one[:count], other[:count])))


def test_frames_are_taken_four_times_a_second(plain):
    times = fingerprint(plain).video.times
    assert len(times) == 24
    assert (np.diff(times) > 0).all()
    assert times[-1] == pytest.approx(5.8, abs=0.1)


def test_bars_are_taken_away(plain, tmp_path):
    padded = [np.pad(frame, ((40, 40), (0, 0), (0, 0))) for frame in FRAMES]
    boxed = write_video(tmp_path / "boxed.mp4", padded)
    assert apart(seen(boxed), seen(plain)) <= 24
    assert apart(seen(boxed, View.FULL), seen(plain)) > 60


def test_a_mirrored_copy_is_seen_in_the_mirror(plain, tmp_path):
    flipped = write_video(tmp_path / "flip.mp4", [np.ascontiguousarray(f[:, ::-1]) for f in FRAMES])
    assert apart(seen(flipped, mirrored=True), seen(plain)) <= 16
    assert apart(seen(flipped), seen(plain)) > 80


@pytest.mark.parametrize(("share", "view"), [(0.8, View.FULL), (0.9, View.FULL_89)])
def test_a_crop_meets_the_crop_of_the_work(plain, tmp_path, share, view):
    height, width = (round(side * share / 2) * 2 for side in (180, 240))
    top, left = (180 - height) // 2, (240 - width) // 2
    cut = [np.ascontiguousarray(f[top : top + height, left : left + width]) for f in FRAMES]
    cropped = write_video(tmp_path / "crop.mp4", cut)
    assert apart(seen(cropped, view), seen(plain, View.FULL_80)) <= 24


def test_the_active_area_of_a_plain_picture_is_all_of_it():
    luma = np.random.default_rng(0).integers(0, 255, (20, 128, 128), np.uint8)
    assert (active_areas(luma) == (0.0, 0.0, 1.0, 1.0)).all()
    luma[:, :16] = 3
    luma[:, :, 112:] = 5
    luma[:, :16, 112:] = 3
    assert (active_areas(luma) == (0.125, 0.0, 1.0, 0.875)).all()
    assert (active_areas(np.zeros((4, 128, 128), np.uint8)) == (0.0, 0.0, 1.0, 1.0)).all()


def test_bars_are_looked_for_where_they_are():
    luma = np.random.default_rng(0).integers(0, 255, (40, 128, 128), np.uint8)
    luma[:20, :32] = 0
    areas = active_areas(luma)
    assert (areas[:16, 0] == 0.25).all()
    assert (areas[20:, 0] == 0.0).all()


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_phone_that_was_turned_is_turned_back(plain, tmp_path, quarters):
    lying = [np.ascontiguousarray(np.rot90(frame, -quarters)) for frame in FRAMES]
    source = write_video(tmp_path / "lying.mp4", lying)
    marked = tmp_path / "marked.mp4"
    with av.open(str(source)) as old, av.open(str(marked), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        marker = BitStreamFilterContext(
            f"h264_metadata=display_orientation=insert:rotate={quarters * 90}", old.streams.video[0]
        )
        for packet in [*old.demux(video=0), None]:
            for each in marker.filter(packet):
                if each.dts is not None:
                    each.stream = stream
                    new.mux(each)
    assert apart(seen(marked), seen(plain)) <= 24
    assert apart(seen(source), seen(plain)) > 60


@pytest.mark.parametrize("rate", [1, 5, 60, 240])
def test_any_frame_rate_gives_the_same_hashes(tmp_path, rate):
    slow = picture_frames(9, rate=rate)
    found = fingerprint(write_video(tmp_path / f"{rate}.mp4", slow, rate=rate)).video
    assert len(found) == 6 * min(rate, 4)
    usual = fingerprint(write_video(tmp_path / "usual.mp4", picture_frames(9, rate=20), 20)).video
    nearest = np.abs(usual.times[None] - found.times[:, None]).argmin(axis=1)
    near = pdq.distances(found.views[:, 1], usual.views[nearest, 1])
    assert np.median(near) <= 48


def test_a_variable_rate_keeps_its_times(tmp_path):
    path = tmp_path / "variable.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width, stream.pix_fmt = 180, 240, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        at = 0
        for index, pixels in enumerate(FRAMES):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            at += 900 if index % 5 == 0 else 20
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    times = fingerprint(path).video.times
    assert (np.diff(times) > 0).all()
    assert times[-1] == pytest.approx(at / 1000, abs=1.2)


def test_ten_bits_are_read(tmp_path, plain):
    path = tmp_path / "hdr.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = 180, 240, "yuv420p10le"
        stream.codec_context.color_trc = 16
        for pixels in FRAMES:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    assert apart(seen(path), seen(plain)) <= 16


def test_black_has_no_quality(tmp_path):
    black = [np.zeros((96, 128, 3), np.uint8)] * 40
    assert fingerprint(write_video(tmp_path / "b.mp4", black)).video.quality.max() == 0


def test_the_limit_of_seconds_holds_and_is_told(plain):
    found = fingerprint(plain, max_seconds=2.0)
    assert found.video.times[-1] <= 2.0
    assert found.notices == ("only the first 2 s were compared",)
    assert found.streams == ()


def test_frames_too_large_are_refused(plain):
    with pytest.raises(MediaRefused, match="240 x 180"):
        fingerprint(plain, max_pixels=1000)


def test_damage_in_the_middle_keeps_what_can_be_read(plain, tmp_path):
    data = bytearray(remux(plain, tmp_path / "whole.mkv").read_bytes())
    rng = np.random.default_rng(1)
    for at in rng.integers(len(data) // 2, len(data), 200):
        data[at] ^= 0xFF
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(data)
    found = fingerprint(broken)
    assert len(found.video) >= 8
    assert found.streams != fingerprint(plain).streams


@pytest.mark.skipif(not audio.AudioHasher.available(), reason="Chromaprint is not installed")
def test_sound_alone_is_enough(tmp_path):
    found = fingerprint(write_sound(tmp_path / "song.m4a", 3, seconds=12))
    assert found.video is None
    assert len(found.audio) > 60
    assert found.audio.distinctive().mean() > 0.8
    assert found.audio.words().shape == (len(found.audio) - 7, 32)


def test_silence_tells_nothing(tmp_path):
    if not audio.AudioHasher.available():
        pytest.skip("Chromaprint is not installed")
    found = fingerprint(write_sound(tmp_path / "silence.m4a", None, seconds=8))
    assert not found.audio.distinctive().any()


def test_without_chromaprint_the_fingerprint_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "_library", lambda: None)
    found = fingerprint(write_sound(tmp_path / "song.m4a", 3, seconds=4))
    assert found.audio is None
    assert found.notices == (audio.ABSENT,)


def test_a_container_of_subtitles_only_is_told(tmp_path):
    path = tmp_path / "words.srt"
    path.write_text("1\n00:00:00,000 --> 00:00:02,000\nHello\n")
    ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    wrapped = tmp_path / "words.mkv"
    subprocess.run([ffmpeg, "-v", "error", "-i", path, wrapped], check=True)
    with pytest.raises(InputError, match="neither video nor audio"):
        fingerprint(wrapped)
    with pytest.raises(InputError, match="is not readable media"):
        fingerprint(path)
