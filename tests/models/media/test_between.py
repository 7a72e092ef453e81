"""A film that shows something else at each look of the grid than between them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from quorum.models.copyright.matching.matching import find_matches
from quorum.models.features.decode import decode
from quorum.models.features.grid import Pages
from quorum.models.fingerprint.fingerprint import fingerprint
from quorum.models.media.between import Between, Looks
from quorum.models.media.door import pictures_at
from quorum.models.media.tracks import Shown, Track, TrackKind
from tests.models.copyright.matching.test_matching import catalogue_of

carriers = pytest.importorskip("tests.models.media.carriers", reason="no ffmpeg tool")

LIMITS = {"max_seconds": 60.0, "max_pixels": 10**7}


def sights(path):
    return decode(path, frames=True, audio=False, max_pages=6, **LIMITS).frames.sights


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return carriers.plain_film(tmp_path_factory.mktemp("between"))


@pytest.fixture(scope="module")
def lying(film):
    path = film.with_name("lying.mp4")
    carriers.converted(*carriers.LYING)(film, path)
    return path


def test_what_lies_between_the_looks_is_a_track_of_its_own(film, lying):
    first, between = sights(lying)
    assert first.name.endswith("played by default)")
    assert np.ptp(first.pixels[:-1]) < 8  # nothing but grey
    assert np.ptp(first.pixels[-1]) > 100  # what stays on the screen at the end
    assert between.name.endswith("between the looks)")
    assert between.share_seen(between.times) == 1
    assert len(between.times) > 24
    shown = [picture.rgb(192, 144) for picture, _ in pictures_at(film, between.times)]
    assert np.abs(np.stack(shown).astype(int) - between.pixels).mean() < 8


def test_a_copy_between_the_looks_is_found(film, lying):
    found = find_matches(fingerprint(lying, **LIMITS), catalogue_of(film))
    assert [match.work.id for match in found] == ["plain"]


def test_a_film_that_moves_has_one_track(film):
    path = film.with_name("slow.mp4")
    carriers.converted("-vf", "setpts=3*PTS", "-t", "6")(film, path)
    assert len(sights(path)) == 1
    assert fingerprint(path, **LIMITS).others == ()


def test_the_looks_of_a_file_stay_and_those_of_another_are_others(lying):
    longer = lying.with_name("longer.mp4")
    longer.write_bytes(lying.read_bytes() + b"\0\0\0\x09free!")
    times = [sights(path)[1].times.tolist() for path in (lying, lying, longer)]
    assert times[0] == times[1] != times[2]


def test_one_of_two_steps_has_a_look_between_at_a_time_that_nobody_knows():
    looks = Looks(0.25, b"seed")
    steps = [number for number in range(800) if looks.after(number) < 1e9]
    assert [number // 2 for number in steps] == list(range(400))
    assert 170 < sum(number % 2 for number in steps) < 230
    part = np.array([looks.after(number) / 0.25 - number for number in steps])
    assert np.histogram(part, 4, (0, 1))[0].min() > 70
    at = looks.after(steps[7])
    assert looks.within(0.24, 0.26)
    assert looks.within(at - 0.0001, at + 0.0001)
    assert not looks.within(at + 0.0001, at + 0.0002)
    looks.each = True
    assert looks.after(steps[7]) == at
    assert all(0 < looks.after(number) / 0.25 - number < 1 for number in range(800))


def test_nobody_knows_the_pages_and_what_stands_for_two_seconds_is_on_one():
    looks = Looks(0.25, b"seed")
    times = np.array([looks.page(number) for number in range(400)])
    gaps = np.diff(times)
    assert times[0] == 0
    assert {*gaps} == {1.25, 1.5, 1.75, 2.0}
    assert all(80 < (gaps == gap).sum() < 120 for gap in {*gaps})
    assert times[1:9].tolist() != [Looks(0.25, b"other").page(number) for number in range(1, 9)]
    assert next(looks.pages_from(times[7] + 0.1)) == times[8]
    assert all(0 < Looks(0.25, bytes([n])).spare < 2 for n in range(99))


def test_words_of_a_short_film_that_begins_innocently_are_on_a_page():
    pages = Pages(6, looks=Looks(0.25, b"seed"))
    for number in range(12):
        pages.show(number / 10, (number + 1) / 10, lambda: np.zeros((2, 2, 3), np.uint8))
    pages.finish()
    assert pages.times == [0.0, Looks(0.25, b"seed").spare]


class Level:
    frame = SimpleNamespace(
        format=SimpleNamespace(name="yuyv422", components=[SimpleNamespace(bits=8)])
    )

    def __init__(self, level):
        self.level = level

    def look(self):
        return np.full((18, 32), self.level, np.float32)

    def gray(self, width, height):
        return np.full((height, width), self.level, np.uint8)


@pytest.mark.parametrize(
    ("levels", "count"),
    [
        ([50, 90], 8),  # another picture in each step; after three, all are looked at
        ([50, 50], 0),
        ([50, 55], 0),  # as much as a film moves
        ([50, 90] * 4 + [50] * 12, 0),  # two flashes
        ([10] * 6 + [90] * 6, 0),  # the scene changes
    ],
)
def test_pictures_are_told_apart(levels, count):
    looks = Looks(0.25, b"")
    between = Between(Track(0, TrackKind.VIDEO, "h264", chosen=True), looks)
    found = []
    for number in range(10):
        at = 0.25 * number
        for half, start in enumerate((at, at + 0.0001)):
            level = Level(levels[(2 * number + half) % len(levels)])
            end = at + (0.25 if half else 0.0001)
            found += between.take(Shown(between.track, level, start, end))
    found += between.rest()
    assert len(found) == count
    assert all(one.start == looks.after(int(one.start / 0.25)) for one in found)
