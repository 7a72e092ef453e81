import numpy as np
import pytest

from benchmarks.spam_uploads import scores_of, short
from quorum.core.messages import Status
from quorum.models.contract import upload
from quorum.models.detectors import Feature, Features
from quorum.models.features.embedding import shared_embedder
from quorum.models.features.text import text_of
from quorum.models.media.lines import MediaLine
from quorum.models.spam.detector import SpamDetector, handicap
from tests.contract.detector import DetectorContract

LONG = "A long day at the river with my brother and his dog. " * 12


class TestSpam(DetectorContract):
    detector = SpamDetector

    def test_the_more_parts_the_less_one_of_them_counts(self, made, extractor):
        spam = "check out my channel and subscribe"
        calm = "the river was calm that morning and we walked along it for a while"
        batch = extractor.extract(
            [upload(title=spam), *(upload(title=spam, comments=(calm,) * n) for n in (6, 40))]
        )
        alone, few, many = (finding.score for finding in made.score(batch))
        assert alone > few >= many > 0.5


def test_the_handicap_grows_with_the_parts_to_its_end():
    assert handicap(1) == 0.0
    assert 0 < handicap(2) < handicap(8) < handicap(16) == handicap(600)
    assert handicap(8) < handicap(8, 2.0)


OWN = ["", "Check out my channel and subscribe", "A walk by the river", "🎉🎉", LONG]
SEEN = [[], ["FREE GIFT CARDS", "subscribe to my channel"], ["a calm caption"], ["Directed by Ann"]]


@pytest.mark.parametrize("own", OWN, ids=lambda text: text[:12] or "none")
def test_words_in_frames_never_lower_what_the_own_words_score(own):
    """The cascade relies on it: text in frames never lowers the score of the upload's own text."""
    detector = SpamDetector()
    batch = [features_of(upload(title=own), lines) for lines in SEEN]
    alone, spam, calm, credit = detector.score(batch)
    for finding in (spam, calm, credit):
        assert finding.status is Status.SCORED
        assert finding.score >= (alone.score or 0.0)
    assert spam.score > 0.5


def features_of(one, lines):
    text, _ = text_of(one, [MediaLine(line, 0.0, 1.0) for line in lines])
    if not text.joined:
        return Features(one, absent={Feature.TEXT: "no text"})
    (vector,) = shared_embedder().embed([text.own or text.in_frames])
    return Features(one, text, embedding=vector)


def test_honest_notices_and_offers_are_told_from_their_imitations():
    """Deliveries, codes, bills, jobs, sales and draws in many languages; none was trained on."""
    detector = SpamDetector()
    honest, spam = (
        np.array(scores_of(detector, [one for one, _, _ in short(part)]))
        for part in ("honest", "spam")
    )
    assert (honest < 0.98).all()
    assert np.mean(honest >= 0.85) <= 0.15
    assert np.mean(honest >= 0.5) <= 0.3
    assert np.mean(spam >= 0.5) >= 0.75
