from __future__ import annotations

import pickle
import shutil
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import pytest

from models.base import Feature, Features
from models.copyright.catalogue import Catalogue, Work, load_catalogue
from models.copyright.detector import CopyrightDetector
from models.copyright.fingerprint import fingerprint
from quorum.errors import ConfigurationError
from quorum.messages import Status, Upload
from tests.models.copyright.clips import remux


def upload(media: str | None = "file:///clip.mp4") -> Upload:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    return Upload(id="u1", uploader="someone", media=media, published_at=when)


def of(path: Path) -> Features:
    return Features(upload(), fingerprint=fingerprint(path))


@pytest.fixture
def catalogue(clips, tmp_path) -> Path:
    file = tmp_path / "catalogue.json"
    works = [Work.of("w1", "One", "Studio", "CC0-1.0", fingerprint(clips["one"]))]
    Catalogue(works).save(file)
    return file


def test_a_copy_in_another_container_is_found(clips, catalogue, tmp_path):
    detector = CopyrightDetector(catalogue=catalogue)
    copy, other = detector.score([of(remux(clips["one"], tmp_path / "c.mkv")), of(clips["two"])])
    assert copy.status is Status.SCORED
    assert copy.score == 1.0
    assert copy.labels == {"copyright/match": 1.0}
    (evidence,) = copy.evidence
    assert (evidence.kind, evidence.work) == ("match", "w1")
    assert evidence.end == pytest.approx(6.0, abs=0.2)
    assert evidence.work_end == pytest.approx(6.0, abs=0.2)
    assert (other.status, other.score, other.evidence) == (Status.SCORED, 0.0, ())


def test_no_media_abstains_and_lost_media_fails(catalogue):
    detector = CopyrightDetector(catalogue=catalogue)
    none = Features(upload(media=None), absent={Feature.FINGERPRINT: "no media"})
    gone = Features(upload(), absent={Feature.FINGERPRINT: "media is gone: HTTP 404"})
    first, second = detector.score([none, gone])
    assert (first.status, first.reason) == (Status.ABSTAINED, "no media")
    assert (second.status, second.reason) == (Status.FAILED, "media is gone: HTTP 404")


def test_the_version_follows_the_content(clips, catalogue, tmp_path):
    copied = shutil.copy(catalogue, tmp_path / "same.json")
    more = tmp_path / "more.json"
    works = [*load_catalogue(catalogue).works.values()]
    works.append(Work.of("w2", "Two", "Studio", "", fingerprint(clips["two"])))
    Catalogue(works).save(more)
    version = CopyrightDetector(catalogue=catalogue).version
    assert CopyrightDetector(catalogue=copied).version == version
    assert CopyrightDetector(catalogue=more).version != version


def test_examples_hold_with_the_shipped_catalogue():
    detector = CopyrightDetector()
    for example in CopyrightDetector.examples():
        media = example.upload.media
        if media is None:
            features = Features(example.upload)
        else:
            path = Path(unquote(urlparse(media).path))
            features = Features(example.upload, fingerprint=fingerprint(path))
        (finding,) = detector.score([features])
        told = "abstained" if finding.score is None else ("clear", "flagged")[finding.score >= 0.5]
        assert told == example.expect, example.why


def test_a_fingerprint_travels_between_processes(clips):
    found = fingerprint(clips["one"])
    back = pickle.loads(pickle.dumps(found))
    assert back.digests() == found.digests()
    np.testing.assert_array_equal(back.video.views, found.video.views)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is no catalogue"),
        ('{"format": 2, "works": []}', "is no catalogue: format"),
        ('{"format": 1, "works": [{"id": "w"}]}', r"works\.0\.title"),
    ],
)
def test_a_file_that_is_no_catalogue_is_told(tmp_path, content, told):
    file = tmp_path / "catalogue.json"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=told):
        CopyrightDetector(catalogue=file)


def test_a_missing_catalogue_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot read the catalogue"):
        CopyrightDetector(catalogue=tmp_path / "none.json")


def test_a_work_twice_is_told(catalogue):
    text = catalogue.read_text()
    work = text[text.index("  {") : text.rindex("  }") + 3]
    catalogue.write_text(text.replace(work, f"{work},\n{work}"))
    with pytest.raises(ConfigurationError, match="w1 is there twice"):
        load_catalogue(catalogue)
