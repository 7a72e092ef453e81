from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from quorum.core.errors import ArtifactError
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.catalogue.works import Work, WorkPrint
from quorum.models.copyright.matching import disguised
from quorum.models.copyright.matching.geometry import Pairs, located, moved
from quorum.models.copyright.matching.matching import find_matches
from quorum.models.fingerprint.fingerprint import WORK_RATE, Fingerprint, fingerprint
from quorum.models.fingerprint.local import LOCAL, STEP, LocalPrint
from tests.models.copyright.clips import picture_frames, write_video
from tests.models.copyright.matching.test_matching import catalogue_of

SIZE = (180, 320)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    frames = picture_frames(1, size=SIZE, seconds=8)
    folder = tmp_path_factory.mktemp("film")
    path = write_video(folder / "film.mp4", frames)
    another = write_video(folder / "another.mp4", picture_frames(7, size=SIZE, seconds=8))
    return catalogue_of(path, another), frames


def warped(frames, corners):
    height, width = frames[0].shape[:2]
    ends = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    turn = cv2.getPerspectiveTransform(ends, (corners * (width, height)).astype(np.float32))
    return [cv2.warpPerspective(frame, turn, (width, height)) for frame in frames]


def keystone(frames):
    return warped(frames, np.array([[0.05, 0.04], [0.95, 0.0], [1.0, 1.0], [0.0, 0.96]]))


def upright_crop(frames):
    wide = int(SIZE[0] * 9 / 16) // 2 * 2
    return [np.ascontiguousarray(frame[:, 150 : 150 + wide]) for frame in frames]


def corner(frames):
    around = picture_frames(9, size=SIZE, seconds=8)
    made = []
    for frame, back in zip(frames, around, strict=True):
        pixels = back.copy()
        pixels[8:88, 170:312] = cv2.resize(frame, (142, 80), interpolation=cv2.INTER_AREA)
        made.append(pixels)
    return made


def filmed(frames):
    rng = np.random.default_rng(3)
    bent = warped(frames, np.array([[0.12, 0.1], [0.9, 0.13], [0.88, 0.9], [0.1, 0.87]]))
    stripes = 12 * np.sin(np.arange(SIZE[1]) * 1.3)[None, :, None]
    return [
        np.clip(frame + stripes + rng.normal(0, 5, frame.shape), 0, 255).astype(np.uint8)
        for frame in bent
    ]


def both(frames):
    return keystone([np.ascontiguousarray(frame[:, ::-1]) for frame in frames])


@pytest.mark.parametrize(
    ("disguise", "area", "visible"),
    [
        (keystone, 0.95, 1.0),
        (upright_crop, 1.0, 0.31),
        (corner, 0.2, 1.0),
        (filmed, 0.6, 1.0),
        (both, 0.95, 1.0),
    ],
)
def test_a_disguised_copy_is_found_with_its_place(film, tmp_path, disguise, area, visible):
    catalogue, frames = film
    found = fingerprint(write_video(tmp_path / "u.mp4", disguise(frames), crf=28))
    (match,) = find_matches(found, catalogue)
    assert match.work.id == "film"
    assert match.score > 0.9
    assert match.mirrored == (disguise is both)
    assert match.start < 1.0
    assert match.end > 6.5
    assert match.work_start == pytest.approx(match.start, abs=0.3)
    assert match.area == pytest.approx(area, abs=0.12)
    assert match.visible == pytest.approx(visible, abs=0.12)
    assert find_matches(dataclasses.replace(found, local=None, others=()), catalogue) == []


def test_an_edit_of_the_shape_is_told(film, tmp_path):
    catalogue, frames = film
    found = fingerprint(write_video(tmp_path / "u.mp4", corner(frames), crf=28))
    (match,) = find_matches(found, catalogue)
    assert any("of the upload's picture" in edit for edit in match.edits)


def test_the_same_scene_with_other_movement_is_no_copy(tmp_path, monkeypatch):
    """Two takes of one room share every corner of it, and nothing of what happens there."""
    room = picture_frames(4, size=SIZE, seconds=1)[0]

    def take(seed):
        rng = np.random.default_rng(seed)
        path = np.cumsum(rng.normal(0, 9, (80, 2)), axis=0) + np.array([90, 160])
        made = []
        for y, x in path:
            pixels = room.copy()
            at = (int(x) % SIZE[1], int(y) % SIZE[0])
            cv2.circle(pixels, at, 26, (230, 60, 40), -1)
            cv2.circle(pixels, at, 12, (20, 200, 90), -1)
            made.append(pixels)
        return made

    catalogue = catalogue_of(write_video(tmp_path / "take.mp4", take(1)))
    copy = fingerprint(write_video(tmp_path / "copy.mp4", keystone(take(1))))
    assert [match.work.id for match in find_matches(copy, catalogue)] == ["take"]
    other = fingerprint(write_video(tmp_path / "other.mp4", keystone(take(2))))
    assert other.local is not None
    assert find_matches(other, catalogue) == []

    # Where features agree on no place, a cut is found by its pictures.
    monkeypatch.setattr(disguised, "located", lambda pairs: [])
    for seed, works in ((1, ["take"]), (2, [])):
        cut = [np.ascontiguousarray(frame[:, 100:280]) for frame in take(seed)]
        found = fingerprint(write_video(tmp_path / "cut.mp4", cut))
        assert [match.work.id for match in find_matches(found, catalogue)] == works


def test_a_still_in_a_corner_is_no_evidence(film, tmp_path):
    _, frames = film
    catalogue = catalogue_of(write_video(tmp_path / "still.mp4", frames[:1] * 80))
    upload = write_video(tmp_path / "u.mp4", corner(frames[:1] * 80))
    assert find_matches(fingerprint(upload), catalogue) == []


def pairs_of(turn, count, wrong, rng):
    work = rng.uniform(0, 1.7, (count, 2))
    upload = moved(turn, work) + rng.normal(0, 0.004, (count, 2))
    upload[:wrong] = rng.uniform(0, 1.7, (wrong, 2))
    octaves = np.full(count, round(np.log(np.hypot(*turn[:2, 0])) / np.log(STEP)))
    return Pairs(upload, work, octaves, np.arange(count) % 50)


def test_a_map_is_found_among_wrong_pairs():
    rng = np.random.default_rng(0)
    turn = np.array([[0.55, 0.02, 0.3], [-0.01, 0.5, 0.2], [0.03, -0.05, 1.0]])
    (place, agreeing), *_ = located(pairs_of(turn, 80, 40, rng).distinct())
    assert 35 <= agreeing <= 50
    corners = np.array([[0.1, 0.1], [1.5, 0.1], [1.5, 1.5], [0.1, 1.5]])
    assert moved(place, corners) == pytest.approx(moved(turn, corners), abs=0.04)


def test_pairs_by_chance_and_pairs_in_one_place_are_no_map():
    rng = np.random.default_rng(1)
    assert located(pairs_of(np.eye(3), 60, 60, rng).distinct()) == []
    together = pairs_of(np.eye(3), 60, 0, rng)
    near = Pairs(
        together.upload * 0.02 + 0.5, together.work * 0.02 + 0.5, together.octaves,
        together.distances,
    )  # fmt: skip
    assert located(near.distinct()) == []


def test_a_map_is_found_of_pairs_in_a_narrow_strip():
    """A tall crop of a bottling line shows one bottle: its corners lie in a strip."""
    rng = np.random.default_rng(2)
    turn = np.array([[1.7, 0.0, -1.4], [0.0, 1.7, 0.05], [0.0, 0.0, 1.0]])
    made = pairs_of(turn, 60, 20, rng)
    strip = made.work * (0.06, 0.5) + (0.85, 0.2)
    upload = moved(turn, strip) + rng.normal(0, 0.01, strip.shape)
    upload[:20] = made.upload[:20]
    (place, agreeing), *_ = located(Pairs(upload, strip, made.octaves, made.distances).distinct())
    assert agreeing >= 20
    corners = np.array([[0.7, 0.0], [1.2, 0.0], [1.2, 1.0], [0.7, 1.0]])
    assert moved(place, corners) == pytest.approx(moved(turn, corners), abs=0.15)


def test_the_next_map_is_made_of_the_pairs_that_are_left():
    rng = np.random.default_rng(3)
    first, second = np.eye(3), np.array([[1.0, 0.0, 0.9], [0.0, 1.0, 0.1], [0.0, 0.0, 1.0]])
    parts = [pairs_of(first, 50, 0, rng), pairs_of(second, 30, 0, rng)]
    joined = (np.concatenate([getattr(part, name) for part in parts])
              for name in ("upload", "work", "octaves", "distances"))  # fmt: skip
    places = [place for place, _ in located(Pairs(*joined).distinct())]
    assert len(places) == 2
    middle = np.array([[0.8, 0.8]])
    for place, turn in zip(places, (first, second), strict=True):
        assert moved(place, middle) == pytest.approx(moved(turn, middle), abs=0.03)


def spliced(first, then, at):
    """A long work: one film at its beginning, another after so many seconds."""
    local = LocalPrint(
        *(
            getattr(then.local, name)
            if name == "shape"
            else np.concatenate([getattr(first.local, name), moved_on])
            for name in LOCAL
            for moved_on in [
                getattr(then.local, name)
                + {"times": np.float32(at), "frames": np.uint32(len(first.local.times))}.get(
                    name, np.uint8(0)
                )
                if name != "shape"
                else None
            ]
        )
    )
    joined = {
        name: np.concatenate([getattr(first, name), getattr(then, name)])
        for name in ("quality", "published", "views", "luma")
    }
    times = np.concatenate([first.times, then.times + np.float32(at)])
    duration = at + then.duration
    return dataclasses.replace(first, times=times, duration=duration, local=local, **joined)


def test_of_a_long_work_only_what_the_upload_may_show_is_compared(film, tmp_path, monkeypatch):
    _, frames = film
    path = write_video(tmp_path / "film.mp4", frames)
    part = WorkPrint.of(fingerprint(path, rate=WORK_RATE))
    other = write_video(tmp_path / "other.mp4", picture_frames(7, size=SIZE, seconds=8))
    another = WorkPrint.of(fingerprint(other, rate=WORK_RATE))
    catalogue = Catalogue()
    catalogue.add(Work(id="long", title="long", owner="-"), spliced(another, part, 5000.0))
    catalogue.refresh()
    compared = []
    real = disguised.followed

    def counted(view, turn, times, work_times):
        compared.append(len(work_times))
        return real(view, turn, times, work_times)

    monkeypatch.setattr(disguised, "followed", counted)
    found = fingerprint(write_video(tmp_path / "u.mp4", keystone(frames), crf=28))
    (match,) = find_matches(found, catalogue)
    assert match.score > 0.9
    assert match.work_start == pytest.approx(5000.0 + match.start, abs=0.3)
    assert max(compared) == len(part.times)


def test_a_stored_fingerprint_keeps_its_local_features(film, tmp_path):
    _, frames = film
    path = write_video(tmp_path / "u.mp4", frames[:30])
    found = fingerprint(path)
    again = Fingerprint.from_bytes(found.to_bytes())
    assert len(again.local) > 100
    assert (again.video.luma == found.video.luma).all()
    for name in ("times", "frames", "points", "kinds", "descriptors", "flipped", "shape"):
        assert (getattr(again.local, name) == getattr(found.local, name)).all()
    work = WorkPrint.of(fingerprint(path, rate=WORK_RATE))
    same = WorkPrint.from_bytes(work.to_bytes())
    assert (same.luma == work.luma).all()
    assert (same.local.descriptors == work.local.descriptors).all()


def test_a_thinned_fingerprint_is_smaller_and_still_finds(film, tmp_path):
    catalogue, frames = film
    found = fingerprint(write_video(tmp_path / "u.mp4", keystone(frames), crf=28))
    thin = Fingerprint.from_bytes(found.thinned().to_bytes())
    assert len(thin.local) < len(found.local) / 2
    assert [match.work.id for match in find_matches(thin, catalogue)] == ["film"]


def test_local_features_that_do_not_fit_together_are_refused(film, tmp_path):
    _, frames = film
    local = fingerprint(write_video(tmp_path / "u.mp4", frames[:20])).local
    arrays = {name: getattr(local, name) for name in LOCAL}
    assert len(LocalPrint.of(arrays)) == len(local)
    for name, wrong in {
        "frames": local.frames + 100,
        "times": local.times[::-1],
        "points": local.points[:-1],
        "kinds": local.kinds % 16,
        "descriptors": local.descriptors[:, :16],
        "flipped": local.flipped[:-1],
        "shape": local.shape * 0,
    }.items():
        with pytest.raises(ArtifactError):
            LocalPrint.of({**arrays, name: np.ascontiguousarray(wrong)})
    del arrays["kinds"]
    with pytest.raises(ArtifactError):
        LocalPrint.of(arrays)
