from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.catalogue.works import Work, WorkPrint
from quorum.models.copyright.matching import picture
from quorum.models.copyright.matching.matching import find_matches
from quorum.models.fingerprint import audio
from quorum.models.fingerprint.fingerprint import WORK_RATE, fingerprint
from tests.models.copyright.clips import picture_frames, write_sound, write_video
from tests.models.copyright.data import DATA, needs_clips


def catalogue_of(*paths) -> Catalogue:
    made = Catalogue()
    for path in paths:
        found = fingerprint(path, rate=WORK_RATE)
        made.add(Work(id=path.stem, title=path.stem, owner="x"), WorkPrint.of(found))
    made.refresh()
    return made


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    frames = picture_frames(1, size=(144, 192), seconds=16)
    return write_video(tmp_path_factory.mktemp("film") / "film.mp4", frames), frames


def test_a_part_inside_another_video_is_found_where_it_is(film, tmp_path):
    path, frames = film
    other = picture_frames(5, size=(144, 192), seconds=5)
    upload = write_video(tmp_path / "u.mp4", [*other, *frames[40:110], *other[::-1]], crf=30)
    (match,) = find_matches(fingerprint(upload), catalogue_of(path))
    assert match.start == pytest.approx(5.0, abs=0.6)
    assert match.end == pytest.approx(12.0, abs=0.6)
    assert match.work_start == pytest.approx(4.0, abs=0.6)
    assert match.work_end == pytest.approx(11.0, abs=0.6)
    assert match.speed == pytest.approx(1.0, abs=0.03)
    assert (match.medium, match.mirrored) == ("video", False)
    assert match.upload_fraction == pytest.approx(7 / 17, abs=0.06)
    assert match.work_fraction == pytest.approx(7 / 16, abs=0.06)


def test_a_faster_copy_is_found_with_its_speed(film, tmp_path):
    path, frames = film
    upload = write_video(tmp_path / "fast.mp4", [f for i, f in enumerate(frames) if i % 4])
    (match,) = find_matches(fingerprint(upload), catalogue_of(path))
    assert match.speed == pytest.approx(4 / 3, abs=0.04)


def test_the_order_in_which_hits_arrive_does_not_matter(film, tmp_path):
    path, frames = film
    found = fingerprint(write_video(tmp_path / "u.mp4", frames[30:120], crf=34))
    catalogue = catalogue_of(path)
    queries = picture.queries_of(found.video)
    hits = catalogue.search(queries.hashes, picture.RADIUS)
    (_, kept) = catalogue.get("film")
    expected = picture.runs_of(found.video, queries, hits, kept)
    assert expected
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(hits))
        again = picture.runs_of(found.video, queries, hits.where(order), kept)
        assert [(run.start, run.end, run.view, round(run.agreement, 6)) for run in again] == [
            (run.start, run.end, run.view, round(run.agreement, 6)) for run in expected
        ]


def test_a_still_is_no_evidence(tmp_path):
    still = [picture_frames(8, size=(144, 192), seconds=1)[0]] * 80
    work = write_video(tmp_path / "still.mp4", still, crf=20)
    upload = write_video(tmp_path / "again.mp4", still, crf=36)
    assert find_matches(fingerprint(upload), catalogue_of(work)) == []


@pytest.mark.skipif(not audio.AudioHasher.available(), reason="Chromaprint is not installed")
def test_sound_is_followed(tmp_path):
    song = write_sound(tmp_path / "song.m4a", 3, seconds=20)
    again = write_sound(tmp_path / "again.m4a", 3, seconds=12, rate=16_000)
    other = write_sound(tmp_path / "other.m4a", 4, seconds=12)
    catalogue = catalogue_of(song)
    (match,) = find_matches(fingerprint(again), catalogue)
    assert match.medium == "audio"
    assert match.seconds > 8
    assert match.work_start == pytest.approx(match.start, abs=0.5)
    assert find_matches(fingerprint(other), catalogue) == []


@pytest.mark.skipif(not audio.AudioHasher.available(), reason="Chromaprint is not installed")
@pytest.mark.parametrize("speed", [1 / 1.1, 1 / 1.02])
def test_sound_that_is_slowed_with_its_pitch_is_followed_at_its_times(tmp_path, speed):
    song = write_sound(tmp_path / "song.m4a", 3, seconds=20)
    other = write_sound(tmp_path / "other.m4a", 4, seconds=20)
    again = fingerprint(write_sound(tmp_path / "again.m4a", 3, seconds=15, speed=speed))
    (match,) = find_matches(again, catalogue_of(song, other))
    assert match.work.id == "song"
    assert match.pitch == pytest.approx(speed, abs=0.015)
    assert match.speed == pytest.approx(speed, abs=0.02)
    assert match.seconds > 9
    assert match.work_start == pytest.approx(match.start * speed, abs=0.5)
    assert match.work_end == pytest.approx(match.end * speed, abs=0.5)
    assert any("its pitch" in edit for edit in match.edits)
    plain = dataclasses.replace(again, audio=audio.AudioPrint(again.audio.items))
    assert find_matches(plain, catalogue_of(song, other)) == []


def scrolled(covered=slice(0), height=0):
    """A page that is scrolled and rests; a panel lies over it in some frames."""
    rng = np.random.default_rng(3)
    page = np.kron(rng.integers(60, 250, (40, 6, 3)), np.ones((24, 32, 1))).astype(np.uint8)
    places = [0, 0, 130, 130, 260, 260, 90, 90, 0, 0]
    frames = [page[int(at) : int(at) + 144].copy() for at in np.interp(
        np.arange(120) / 15, np.arange(10) * 8 / 9, places)]  # fmt: skip
    for frame in frames[covered]:
        frame[:height] = (90, 60, 140)
    return frames


def test_a_film_that_shows_something_else_for_a_while_is_no_copy(tmp_path):
    """Two recordings of one page, scrolled alike: in one a panel opens for two seconds."""
    catalogue = catalogue_of(write_video(tmp_path / "page.mp4", scrolled(), rate=15))
    later = {
        "same": scrolled()[1:],
        "panel": scrolled(slice(60, 90), 50)[1:],
    }
    found = {
        name: {
            match.work.id
            for match in find_matches(
                fingerprint(write_video(tmp_path / f"{name}.mp4", frames, rate=15)), catalogue
            )
        }
        for name, frames in later.items()
    }
    assert found == {"same": {"page"}, "panel": set()}


@needs_clips
def test_look_alikes_are_no_copies():
    takes = sorted((DATA / "clips").glob("asl_*.mkv"))[:12]
    catalogue = catalogue_of(*takes)
    for take in takes:
        names = {match.work.id for match in find_matches(fingerprint(take), catalogue)}
        assert names == {take.stem}
