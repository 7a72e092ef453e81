"""One picture, one film and one sound, carried in many ways, give the same findings."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from quorum.core.messages import Status, Upload
from quorum.core.settings import MediaAccess
from quorum.models.copyright.matching.matching import find_matches
from quorum.models.features.decode import decode
from quorum.models.features.extract import Extractor
from quorum.models.fingerprint.audio import AudioHasher
from quorum.models.fingerprint.fingerprint import fingerprint
from quorum.models.spam.detector import SpamDetector
from tests.models.copyright.matching.test_matching import catalogue_of

carriers = pytest.importorskip("tests.models.media.carriers", reason="no ffmpeg tool")

pytestmark = pytest.mark.slow


def upload(path):
    return Upload(
        id="u", uploader="x", media=path.as_uri(), published_at=datetime(2026, 1, 1, tzinfo=UTC)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("carriers")


@pytest.fixture(scope="module")
def picture(folder):
    return carriers.plain_picture(folder)


@pytest.fixture(scope="module")
def film(folder):
    return carriers.plain_film(folder)


@pytest.fixture(scope="module")
def sound(folder):
    return carriers.plain_sound(folder)


@pytest.fixture(scope="module")
def judge(folder):
    detector = SpamDetector()
    extractor = Extractor(detector.needs, MediaAccess(folders=(str(folder),)))
    return lambda path: detector.score(extractor.extract([upload(path)]))[0]


@pytest.fixture(scope="module")
def plain_score(judge, picture):
    return judge(picture).score


@pytest.mark.parametrize("name", carriers.PICTURES)
def test_words_in_a_picture_are_read(name, folder, picture, judge, plain_score):
    path = folder / f"picture-{name}"
    carriers.PICTURES[name](picture, path)
    finding = judge(path)
    assert finding.status is Status.SCORED, finding
    assert finding.score == pytest.approx(plain_score, abs=0.05)
    assert plain_score > 0.9


@pytest.fixture(scope="module")
def works(film):
    return catalogue_of(film)


@pytest.fixture(scope="module")
def plain_frames(film):
    return decode(film, frames=True, audio=False, max_seconds=60, max_pixels=10**7).frames


@pytest.mark.parametrize("name", carriers.FILMS)
def test_a_copied_film_is_found_and_looks_the_same(name, folder, film, works, plain_frames):
    path = folder / f"film-{name}"
    carriers.FILMS[name](film, path)
    matches = find_matches(fingerprint(path, max_seconds=60.0), works)
    assert [match.work.id for match in matches] == ["plain"], fingerprint(path).notices
    frames = decode(path, frames=True, audio=False, max_seconds=60, max_pixels=10**7).frames
    cut = 1.0 if name == "edited.mp4" else 0.0
    sights = [
        sight for sight in frames.sights if sight.pixels.shape[1:] == plain_frames.pixels.shape[1:]
    ]
    distances = []
    for sight in sights:
        common = [
            (mine, np.abs(plain_frames.times - cut - at).argmin())
            for mine, at in enumerate(sight.times)
            if np.abs(plain_frames.times - cut - at).min() < 0.13
        ]
        if len(common) >= 0.8 * len(plain_frames.times) * (8 - cut) / 8:
            mine, theirs = np.array(common).T
            change = sight.pixels[mine].astype(float) - plain_frames.pixels[theirs]
            distances.append(float(np.median(np.abs(change).mean(axis=(1, 2, 3)))))
    assert distances, [(sight.name, sight.times, sight.pixels.shape) for sight in frames.sights]
    assert min(distances) < 8


@pytest.mark.skipif(not AudioHasher.available(), reason="no Chromaprint")
@pytest.mark.parametrize("name", carriers.SOUNDS)
def test_a_copied_sound_is_found(name, folder, sound):
    path = folder / f"sound-{name}"
    carriers.SOUNDS[name](sound, path)
    matches = find_matches(fingerprint(path, max_seconds=60.0), catalogue_of(sound))
    assert [match.work.id for match in matches] == ["plain"]
    assert matches[0].score > 0.5
