from datetime import UTC, datetime

from aggregator.decision import decide, weigh
from aggregator.policy import load_policy
from models.base import Detector, Feature, Finding
from models.cascade import Cascade
from quorum.messages import Action, Upload
from quorum.settings import MediaAccess

AT = datetime(2026, 1, 1, tzinfo=UTC)


class Fixed(Detector):
    """Says what a test gives it, by the upload's title."""

    version = "1"

    def __init__(self, name, scores, needs=(Feature.TEXT,)):
        self.name = name
        self.needs = frozenset(needs)
        self._scores = scores
        self.seen = []

    def score(self, batch):
        self.seen.extend(features.upload.title for features in batch)
        return [Finding.scored(self._scores.get(f.upload.title, 0.0)) for f in batch]

    @classmethod
    def examples(cls):
        return []


def uploads(*titles):
    return [
        Upload(id=f"u{index}", uploader="x", title=title, published_at=AT)
        for index, title in enumerate(titles)
    ]


def by(policy):
    """Settled: nothing is more severe than a removal, whichever rule is named for it."""

    def settled(upload, said, later):
        weighed = weigh(policy, lambda: upload, said, {}, later)
        return weighed.settled or weighed.decision.action is Action.REMOVE

    return settled


def test_costly_detectors_see_only_what_is_not_settled():
    policy = load_policy("balanced")
    cheap = Fixed("spam", {"spam": 0.999, "maybe": 0.9})
    costly = Fixed("violence", {"fight": 0.9}, (Feature.TEXT, Feature.FRAMES))
    third = Fixed("copyright", {}, (Feature.FRAMES,))
    cascade = Cascade([[cheap], [costly, third]], MediaAccess())
    batch = uploads("spam", "maybe", "fight", "calm")
    judged = cascade.run(batch, by(policy), AT)
    assert costly.seen == ["maybe", "fight", "calm"]
    assert judged[0].skipped == {"violence", "copyright"}
    assert [len(one.predictions) for one in judged] == [1, 3, 3, 3]
    assert cascade.costs[0].decodes == 0
    whole = Cascade([[cheap, costly, third]], MediaAccess())
    for upload, one, full in zip(batch, judged, whole.run(batch, by(policy), AT), strict=True):
        said = {each.detector: each for each in one.predictions}
        everything = {each.detector: each for each in full.predictions}
        assert decide(policy, upload, said).action == decide(policy, upload, everything).action


def test_an_upload_that_is_settled_is_not_asked_about_again():
    first, second, third = (Fixed(name, {}) for name in ("a", "b", "c"))
    asked = []

    def settled(upload, said, later):
        asked.append((upload.title, len(said), sorted(later)))
        return upload.title == "x"

    judged = Cascade([[first], [second], [], [third]], MediaAccess()).run(
        uploads("x", "y"), settled, AT
    )
    assert asked == [("x", 1, ["b", "c"]), ("y", 1, ["b", "c"]), ("y", 2, ["c"])]
    assert second.seen == third.seen == ["y"]
    assert judged[0].skipped == {"b", "c"}
    assert judged[1].skipped == frozenset()


def test_where_all_is_settled_nothing_more_is_made():
    costly = Fixed("b", {})
    cascade = Cascade([[Fixed("a", {})], [costly]], MediaAccess())
    cascade.run(uploads("x", "y"), lambda upload, said, later: True, AT)
    assert costly.seen == []
    assert cascade.run([], lambda upload, said, later: False, AT) == []
