"""Statistics of optical flow: what moves, what stands still, and what the camera does."""

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from quorum.models.features.decode import decode
from quorum.models.features.motion import LINES, PICTURES, STATISTICS, STEP, Still, measured
from quorum.models.media import limits
from quorum.models.media.door import Media, open_media
from quorum.models.media.tracks import TrackKind

LIMITS = {"max_seconds": 600.0, "max_pixels": 10**7}


def texture(shape, seed):
    noise = np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return np.clip(128 + 50 * smooth / smooth.std(), 0, 255).astype(np.uint8)


GROUND, THING = texture((300, 400), 1), texture((24, 24), 2)


def scene(camera=0, places=((40, 40),) * PICTURES, lines=LINES):
    """Pictures of a thing at some places before a ground that a camera pans over."""
    made = []
    for number, (left, top) in enumerate(places):
        picture = GROUND[:lines, number * camera : number * camera + 128].copy()
        picture[top : top + 24, left : left + 24] = THING[: max(0, lines - top)]
        made.append(Still(number * STEP, picture))
    return made


def told(stills):
    statistics = measured(stills)
    return None if statistics is None else dict(zip(STATISTICS, statistics, strict=True))


def speed(pixels):
    """Pixels from picture to picture, as statistics hold them."""
    return np.log1p(20 * pixels / LINES / STEP)


STEADY = [(20 + 3 * number, 40) for number in range(PICTURES)]
SHAKEN = [(40 + 3 * (number % 2), 40) for number in range(PICTURES)]


def test_a_thing_that_moves_has_its_speed_and_its_area():
    found = told(scene(places=STEADY))
    assert found["speed 99%, mean"] == pytest.approx(speed(3), abs=0.15)
    assert found["speed 50%, mean"] < 0.02
    assert found["area faster than 0.1, mean"] == pytest.approx(24 * 24 / (96 * 128), rel=0.6)
    assert found["camera, mean"] < 0.02
    assert found["persistence, mean"] > 0.9


def test_the_movement_of_the_camera_is_told_apart():
    found = told(scene(camera=2, places=STEADY))
    assert found["camera, mean"] == pytest.approx(speed(2), abs=0.15)
    assert found["speed 50%, mean"] < 0.3
    assert found["speed 99%, mean"] > 1.0


def test_what_is_shaken_does_not_persist_and_accelerates():
    steady, shaken = told(scene(places=STEADY)), told(scene(places=SHAKEN))
    assert shaken["persistence, mean"] < 0 < steady["persistence, mean"]
    assert shaken["acceleration 99%, mean"] > steady["acceleration 99%, mean"]
    assert shaken["wander"] < steady["wander"]


def shown_twice(stills):
    return [stills[number // 2] for number in range(PICTURES)]


@pytest.mark.parametrize(
    "stills",
    [
        [],
        scene(),
        scene(places=STEADY)[:4],
        scene(places=STEADY, lines=30),
        shown_twice(scene(places=STEADY)),
        [Still(0.0, one.luma) for one in scene(places=STEADY)],
        [Still(at, np.full_like(luma, 255 * (at * 8 % 2))) for at, luma in scene(places=STEADY)],
    ],
    ids=["nothing", "still", "short", "small", "three pairs", "one moment", "cuts"],
)
def test_what_tells_nothing_is_unknown(stills):
    assert measured(stills) is None


def film(path, seconds, moves=True, rate=8):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 128, LINES, "yuv420p"
        stream.bit_rate = 2_000_000
        for number in range(round(seconds * rate)):
            at = number % 16 if moves else 0
            (one,) = scene(places=[(20 + 3 * at, 40)])
            picture = np.repeat(one.luma[..., None], 3, axis=2)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    return path


def test_a_film_is_seen_in_windows_and_its_frames_stay_the_same(tmp_path):
    path = film(tmp_path / "a.mkv", 3.0)
    made = decode(path, frames=True, audio=False, motion=True, **LIMITS)
    assert made.motion.times.tolist() == [0.0, 1.0, 2.0]
    assert made.motion.statistics.shape == (3, len(STATISTICS))
    assert np.isfinite(made.motion.statistics).all()
    assert made.motion.name == made.frames.name
    plain = decode(path, frames=True, audio=False, **LIMITS)
    np.testing.assert_array_equal(plain.frames.pixels, made.frames.pixels)
    assert plain.motion is None


def test_windows_of_a_long_film_are_spread(tmp_path):
    made = decode(film(tmp_path / "a.mkv", 40.0), frames=False, audio=False, motion=True, **LIMITS)
    assert made.motion.times.tolist() == [float(second) for second in range(0, 40, 4)]


def test_movement_is_measured_within_the_work_that_the_file_allows(tmp_path, monkeypatch):
    path = film(tmp_path / "a.mkv", 3.0)
    for answers, times in (([False, False, True], [0.0, 1.0]), ([True], None)):
        spent = iter(answers)
        monkeypatch.setattr(Media, "spent", property(lambda _, spent=spent: next(spent)))
        made = decode(path, frames=True, audio=False, motion=True, **LIMITS)
        told = f"the movement of {made.frames.name} was measured only to {len(answers) - 1} s"
        assert made.problems == [f"too slow to decode: {told}"]
        if times is None:
            assert (made.motion, made.no_motion) == (None, made.problems[0])
        else:
            assert made.motion.times.tolist() == times


def test_what_is_done_after_a_file_was_read_counts(tmp_path, monkeypatch):
    with open_media(film(tmp_path / "a.mkv", 1.0)) as media:
        list(media.read({TrackKind.VIDEO}))
        assert not media.spent
        now = limits.time.thread_time() + 9.0  # 8 for any file, a quarter each second
        monkeypatch.setattr(limits.time, "thread_time", lambda: now)
        monkeypatch.setattr(limits, "_LOOK_SECONDS", 0.0)
        assert media.spent


def test_pictures_that_do_not_move_have_a_reason(tmp_path):
    still = tmp_path / "a.png"
    Image.fromarray(GROUND).save(still)
    paths = [still, film(tmp_path / "one.mkv", 0.125), film(tmp_path / "b.mkv", 2.0, moves=False)]
    for path in paths:
        made = decode(path, frames=True, audio=False, motion=True, **LIMITS)
        assert made.frames is not None
        assert (made.motion, made.no_motion) == (None, "nothing moves in the media")
