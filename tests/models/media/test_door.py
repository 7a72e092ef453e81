"""Drawing single pictures through the door, and scenes that are found by change."""

from __future__ import annotations

import numpy as np
import pytest

from quorum.core.errors import MediaRefused
from quorum.models.features.grid import Bursts, Changes
from quorum.models.media.container import _AnonymousFile
from quorum.models.media.door import open_media, picture_at, pictures_at
from quorum.models.media.tracks import TrackKind
from tests.models.features.media_files import audio, video


def level(picture):
    return float(picture.rgb(*picture.size).mean())


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_the_picture_of_a_second_is_drawn(tmp_path, name):
    path = video(tmp_path / name, seconds=30.0, rate=5, codec="libx264", size=(64, 48))
    for second in (0.0, 1.0, 14.9, 29.0):
        assert level(picture_at(path, second)) == pytest.approx(255 * second / 30, abs=12)
    drawn = list(pictures_at(path, [0.0, 10.0, 20.0, 99.0]))
    assert [round(at) for _, at in drawn][:3] == [0, 10, 20]
    assert [level(one) for one, _ in drawn] == pytest.approx([0, 85, 170, 253], abs=12)


def test_sound_has_no_picture(tmp_path):
    with pytest.raises(MediaRefused, match="no picture could be read"):
        picture_at(audio(tmp_path / "a.wav"), 1.0)


def test_the_track_that_a_player_would_choose_is_first_and_named(tmp_path):
    with open_media(video(tmp_path / "a.mkv", sound=True)) as media:
        first = media.of(TrackKind.VIDEO)[0]
        assert str(first) == "video track 1 (mpeg4, 64 x 48, played by default)"
        assert media.of(TrackKind.AUDIO)[0].chosen


def test_a_scene_between_two_bursts_is_found_by_its_change():
    changes, grid = Changes(), Bursts()
    for step in range(4 * 200):
        at = step / 4
        bright = np.full((18, 32), 250 if 101.0 <= at < 103.0 else 20, np.float32)
        grid.show(at, at + 0.25, lambda bright=bright: bright)
        changes.show(at, at + 0.25, lambda bright=bright: bright, lambda bright=bright: bright)
    assert changes.found == [101.0, 103.0]
    assert all(pixels.max() < 100 for pixels in grid.pixels), "the grid alone has not seen it"
    times, pixels = changes.merged(grid.times, grid.pixels)
    assert (np.diff(times) > 0).all()
    assert sum(one.max() > 100 for one in pixels) == 4


def test_only_the_greatest_changes_are_kept():
    changes = Changes()
    rng = np.random.default_rng(0)
    for step in range(400):
        picture = np.full((18, 32), rng.integers(0, 255), np.float32)
        changes.show(step / 4, (step + 1) / 4, lambda one=picture: one, lambda one=picture: one)
    assert len(changes.found) <= 8
    assert changes.found == sorted(changes.found)


@pytest.mark.parametrize("seconds", [300, 600])
def test_no_stretch_of_long_media_goes_unseen(seconds):
    grid = Bursts(20.0)
    picture = np.zeros((2, 2, 3), np.uint8)
    for step in range(4 * seconds):
        grid.show(step / 4, (step + 1) / 4, lambda: picture)
    assert np.diff(grid.times).max() <= 20.0
    assert grid.times[-1] > seconds - 20.0


def test_a_place_that_cannot_be_is_told_quietly(tmp_path, capfd):
    """A damaged file may ask for places before its start: FFmpeg is told, nobody else."""
    path = video(tmp_path / "a.mp4")
    with path.open("rb") as file:
        anonymous = _AnonymousFile(file)
        assert anonymous.seek(-5) == -1
        assert anonymous.seek(2**70) == -1
        assert anonymous.seek(3) == 3
    assert capfd.readouterr().err == ""
