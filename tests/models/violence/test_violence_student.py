"""The student settles ordinary words without the embedding, and changes no action."""

from datetime import UTC, datetime

import pytest

from quorum.core.messages import Status, Upload
from quorum.core.settings import MediaAccess
from quorum.models.detectors import Feature
from quorum.models.features import embedding
from quorum.models.features.embedding import shared_embedder
from quorum.models.features.extract import Extractor
from quorum.models.violence.detector import ViolenceDetector
from quorum.models.violence.train_words import FLOOR

ORDINARY = [
    ("Official music video", "Follow me on instagram"),
    ("Minecraft let's play part 12", ""),
    ("Subscribe for more videos every week", ""),
]
THREAT = "I will find you and kill you and your whole family"


@pytest.fixture(scope="module")
def detector():
    made = ViolenceDetector()
    assert made._student is not None
    return made


def features_of(*texts):
    at = datetime(2026, 1, 1, tzinfo=UTC)
    uploads = [
        Upload(id="u", uploader="x", title=title, description=description, published_at=at)
        for title, description in texts
    ]
    return Extractor(frozenset({Feature.TEXT}), MediaAccess()).extract(uploads)


def without_student(features):
    made = ViolenceDetector()
    made._student = None
    return made.score(features)


def test_ordinary_texts_are_not_embedded(detector):
    features = features_of(*ORDINARY)
    before = shared_embedder().texts
    findings = detector.score(features)
    settled = [one for one in findings if one.score == detector._student.score]
    assert len(settled) >= 2
    assert shared_embedder().texts == before or len(settled) < len(findings)
    assert all(one.status is Status.SCORED and one.score < FLOOR for one in findings)
    assert 0.0 < detector._student.score < FLOOR / 2


def test_a_threat_is_embedded_and_scores_as_without_the_student(detector):
    features = features_of((THREAT, ""), (ORDINARY[1][0], f"{ORDINARY[0][1]}\n{THREAT}"))
    for made, other in zip(detector.score(features), without_student(features), strict=True):
        assert made.score == pytest.approx(other.score, abs=0.05)
        assert made.score >= 0.5


def test_words_that_cannot_be_embedded_fail_unless_frames_tell(detector, monkeypatch):
    def broken():
        raise OSError("no memory")

    monkeypatch.setattr(embedding, "shared_embedder", broken)
    (finding,) = detector.score(features_of((THREAT, "")))
    assert finding.status is Status.FAILED
    assert "embedding failed: OSError" in finding.reason
