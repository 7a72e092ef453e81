import numpy as np
import pytest

from quorum.core.errors import MediaRefused
from quorum.models.features.decode import AUDIO_RATE, BURST, GRID, MAX_BURSTS, decode
from tests.models.features.media_files import audio, png_bomb, video


def read(path, *, max_seconds=600.0, max_pixels=40_000_000):
    return decode(path, frames=True, audio=True, max_seconds=max_seconds, max_pixels=max_pixels)


def test_frames_lie_on_the_grid_and_sound_is_mono(tmp_path):
    made = read(video(tmp_path / "a.mp4", seconds=2.0, sound=True))
    assert made.frames.pixels.shape == (8, 48, 64, 3)
    assert made.frames.pixels.dtype == np.uint8
    assert np.allclose(made.frames.times, np.arange(8) * GRID, atol=0.1)
    assert made.frames.duration == pytest.approx(2.0, abs=0.05)
    assert made.audio.rate == AUDIO_RATE
    assert made.audio.samples.dtype == np.float32
    assert len(made.audio.samples) / AUDIO_RATE == pytest.approx(2.0, abs=0.1)
    assert 0.3 < np.abs(made.audio.samples).max() <= 1.0
    assert made.problems == []


def test_brightness_rises_with_time(tmp_path):
    means = read(video(tmp_path / "a.mp4")).frames.pixels.mean(axis=(1, 2, 3))
    assert (np.diff(means) > 0).all()


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.mov"])
def test_common_containers_are_read(tmp_path, name):
    assert len(read(video(tmp_path / name)).frames.times) == 8


def test_a_long_clip_is_seen_in_bursts(tmp_path):
    times = read(video(tmp_path / "a.mkv", seconds=70.0, rate=8)).frames.times
    starts = times[::BURST]
    assert len(times) % BURST == 0 or times[-1] > 69
    assert MAX_BURSTS / 2 <= len(starts) <= MAX_BURSTS
    assert np.allclose(np.diff(starts), 8.0, atol=0.1)
    assert np.allclose(np.diff(times.reshape(-1, BURST), axis=1), GRID, atol=0.1)


@pytest.mark.parametrize("seconds", [1.0, 15.9, 16.1, 33.0])
def test_bursts_stay_within_their_number(tmp_path, seconds):
    times = read(video(tmp_path / "a.mkv", seconds=seconds, rate=4)).frames.times
    assert len(times) <= MAX_BURSTS * BURST
    assert (np.diff(times) > 0).all()
    assert times[0] == 0.0


def test_a_single_frame(tmp_path):
    made = read(video(tmp_path / "a.mp4", times=[0.0]))
    assert made.frames.pixels.shape[0] == 1
    assert made.no_audio == "no sound in the media"


def test_a_variable_frame_rate(tmp_path):
    times = [0.0, 0.05, 0.1, 0.9, 1.0, 3.0, 3.02, 3.5]
    made = read(video(tmp_path / "a.mkv", times=times))
    assert np.allclose(made.frames.times, np.arange(15) * GRID, atol=0.01)
    levels = made.frames.pixels.mean(axis=(1, 2, 3))
    shown = [max(n for n, at in enumerate(times) if at <= second) for second in made.frames.times]
    assert np.allclose(levels, [255 * n // len(times) for n in shown], atol=6)


def test_sound_alone(tmp_path):
    made = read(audio(tmp_path / "a.wav"))
    assert made.frames is None
    assert made.no_frames == "no video in the media"
    assert len(made.audio.samples) == pytest.approx(2 * AUDIO_RATE, abs=200)


def test_a_small_picture_stays_and_a_large_one_is_reduced(tmp_path):
    made = read(video(tmp_path / "a.mp4", seconds=0.3, size=(1920, 1080)))
    assert made.frames.pixels.shape[1:] == (256, 455, 3)


def test_frames_of_too_many_pixels_are_refused_before_they_are_decoded(tmp_path):
    path = video(tmp_path / "a.mp4", seconds=0.2, size=(640, 480), sound=True)
    made = read(path, max_pixels=100_000)
    assert made.frames is None
    assert made.no_frames == "frames of 640 x 480 pixels; the limit is 100,000 pixels"
    assert made.audio is not None


def test_a_bomb_of_an_image_is_refused(tmp_path):
    path = png_bomb(tmp_path / "a.png", 30_000)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(MediaRefused, match="the limit is 40,000,000 pixels"):
        read(path)


def test_a_file_without_its_index(tmp_path):
    path = video(tmp_path / "a.mp4")
    data = path.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaRefused, match="media cannot be read"):
        read(tmp_path / "cut.mp4")


def test_of_a_damaged_file_what_can_be_read_is_read(tmp_path):
    path = video(tmp_path / "a.mkv", seconds=4.0, size=(320, 240))
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    start = len(data) // 2
    data[start : start + 4000] = rng.bytes(len(data[start : start + 4000]))
    path.write_bytes(data)
    made = read(path)
    assert made.frames is not None
    assert made.frames.times[0] == 0.0
    whole = len(read(video(tmp_path / "b.mkv", seconds=4.0, size=(320, 240))).frames.times)
    assert 1 <= len(made.frames.times) <= whole
    assert made.problems or len(made.frames.times) < whole


def test_of_a_vast_file_the_beginning_is_read(tmp_path):
    day = [0.0, 1.0, 2.0, 3.0, 35_999.0, 36_000.0]
    made = read(video(tmp_path / "a.mkv", times=day), max_seconds=10.0)
    assert made.frames.times.max() <= 10.0
    assert made.problems == ["only the first 10 s were read"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not media at all",
        b"#EXTM3U\n#EXTINF:10,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile '/etc/hostname'\n",
        b"v=0\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n",
        b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
        b"\x00" * 4096,
        b"RIFF\xff\xff\xff\xffAVI LIST",
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8", "%03d.jpg"])
def test_what_is_no_media_is_refused(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MediaRefused):
        read(path)
