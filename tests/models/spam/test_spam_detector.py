from models.spam.detector import SpamDetector, handicap
from models.testing import upload
from tests.contract.detector import DetectorContract


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
