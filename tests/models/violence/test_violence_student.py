"""The student settles ordinary words without the embedding, and changes no action."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from quorum.core.messages import Status, Upload
from quorum.core.settings import MediaAccess
from quorum.models.detectors import Feature
from quorum.models.features import embedding, vocabulary
from quorum.models.features.embedding import shared_embedder
from quorum.models.features.extract import Extractor
from quorum.models.features.normalise import normalise
from quorum.models.features.vocabulary import shared_vocabulary
from quorum.models.registry.artifacts import open_artifact
from quorum.models.scoring.calibration import Platt
from quorum.models.scoring.student import Student
from quorum.models.violence.detector import ARTIFACT, STUDENT, ViolenceDetector
from quorum.models.violence.network import Network
from quorum.models.violence.sources import Sentence
from quorum.models.violence.train_words import FLOOR, Sentences, kept

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


#: Threats whose telling words stand in no training sentence, and such in scripts and languages of
#: which it saw little: the student leaves them to the embedding.
UNSEEN = [
    "gonna shank you behind the bus stop tonight",
    "I'll curb stomp your brother",
    "your skull meets my crowbar tomorrow",
    "Ik steek je huis in brand terwijl je slaapt",
    "Jag ska krossa skallen på dig",
    "내일 학교에서 너를 찔러 버릴 거야",
    "ฉันจะฆ่าแกคืนนี้",
    "මම ඔයාව මරනවා",
]


@pytest.mark.parametrize("number", range(len(UNSEEN)))
def test_a_threat_in_words_that_it_never_saw_is_embedded(detector, number):
    assert not detector._student.settles([UNSEEN[number]], shared_vocabulary()).any()


def test_most_titles_of_many_kinds_are_settled(detector):
    titles = [
        "how i organise my kitchen drawers", "unboxing the new camera and first photos",
        "a relaxing evening of piano music", "learn to draw a cat in ten minutes",
        "top ten places to visit in portugal", "we built a treehouse for the kids",
        "my favourite books of the year", "beginner guitar lesson: three chords",
        "recette facile de gâteau au chocolat", "cómo hacer pan en casa",
    ]  # fmt: skip
    assert detector._student.settles(titles, shared_vocabulary()).mean() >= 0.6


def test_a_student_that_fails_leaves_all_to_the_embedding(monkeypatch):
    made = ViolenceDetector()

    def broken():
        raise OSError("no memory")

    monkeypatch.setattr(vocabulary, "shared_vocabulary", broken)
    features = features_of(*ORDINARY)
    before = shared_embedder().texts
    findings = made.score(features)
    assert shared_embedder().texts > before
    told = [one.score for one in without_student(features)]
    assert [one.score for one in findings] == pytest.approx(told, abs=1e-6)


def test_an_artifact_with_the_student_of_hashed_words_has_none():
    assert (
        Student.restore({"weights": np.zeros(4), "seen": np.zeros(4), "numbers": np.zeros(3)})
        is None
    )


def test_words_that_cannot_be_embedded_fail_unless_frames_tell(detector, monkeypatch):
    def broken():
        raise OSError("no memory")

    monkeypatch.setattr(embedding, "shared_embedder", broken)
    (finding,) = detector.score(features_of((THREAT, "")))
    assert finding.status is Status.FAILED
    assert "embedding failed: OSError" in finding.reason


def test_a_student_that_stays_settles_no_written_violence_and_its_cut_never_rises():
    held = open_artifact(ARTIFACT, "violence")
    network = Network.restore(held.tensors("words.safetensors"))
    harm = Platt.from_document(held.document("model.json")["calibration"]["text"])
    student = Student.restore(held.tensors(STUDENT))
    found = [
        Sentence(THREAT, "threat", "en", "written", "1"),
        Sentence("Follow me on instagram", "comment", "en", "comments", "2"),
    ]
    sentences = Sentences(found, None, lambda _: None)
    eager = replace(student, cut=1e9)
    made, told = kept(eager, sentences, network, harm)
    texts, vocabulary = [normalise(THREAT)], shared_vocabulary()
    assert eager.settles(texts, vocabulary).all()
    assert not made.settles(texts, vocabulary).any()
    assert (told["harmful_over_the_floor"], told["harmful_missed"]) == (1, 0)
    timid = replace(student, cut=-1e9)
    assert kept(timid, sentences, network, harm)[0].cut == timid.cut
