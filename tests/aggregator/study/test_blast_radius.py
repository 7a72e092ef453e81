"""The blast radius: exact where all is read, an interval that holds the truth where it is not."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from quorum.aggregator.decision.evaluate import Decision
from quorum.aggregator.policy.policy import load_policy
from quorum.aggregator.study.backtest import Retried
from quorum.aggregator.study.blast_radius import Frame, RadiusCounter, views_of
from quorum.aggregator.study.record import PastCase
from quorum.aggregator.study.trial import try_policy
from quorum.core.messages import Action
from tests.aggregator.study.test_backtest import CASES, past

BALANCED, STRICT = load_policy("balanced"), load_policy("strict")
_SAME = past(1, 0.01).decide(BALANCED)
_CHANGED = replace(_SAME, action=Action.REMOVE)


def tried(uploader: str, number: int, changed: bool, views: float | None) -> Retried:
    facts = {"id": f"{uploader}/{number}", "uploader": uploader}
    if views is not None:
        facts["views"] = views
    decision: Decision = _CHANGED if changed else _SAME
    return Retried(PastCase(facts, ()), "allow", "default", decision, _SAME)


def test_all_that_is_read_is_counted_exactly():
    radius = try_policy(((case, 1.0) for case in CASES), STRICT).radius
    assert (radius.read, radius.sampled) == (4, False)
    for one, value in ((radius.uploads, 2), (radius.uploaders, 1), (radius.severer, 2)):
        assert (one.value, one.low, one.high) == (value, value, value)
    assert radius.milder.value == 0
    assert radius.views is None, "no upload says its views"
    assert set(radius.changes) == {("review", "remove"), ("allow", "restrict")}
    told = radius.to_json()
    assert told["of"] == {"uploads": 4, "uploaders": 1}
    assert told["views"] is None
    seen = []
    assert try_policy(((case, 1.0) for case in CASES), BALANCED, BALANCED, None, seen.append)
    assert seen == [1, 2, 3, 4]


def test_views_are_those_of_the_uploads_that_change():
    cases = [past(1, 0.96, views=1000), past(2, 0.01, views=5), past(3, 0.96)]
    radius = try_policy(((case, 1.0) for case in cases), STRICT, BALANCED).radius
    assert radius.views is not None
    assert (radius.views.value, radius.uploads.value) == (1000, 2)
    assert radius.views_of_all is not None
    assert radius.views_of_all.value == 1005


@pytest.mark.parametrize("given", [True, -1, "7", None, float("nan")], ids=str)
def test_what_is_no_number_of_views_is_none(given):
    assert views_of({"views": given}) is None


def test_another_harm_for_the_same_action_is_told():
    counter = RadiusCounter()
    same = tried("a", 1, False, None)
    counter.count(same)
    counter.count(replace(same, decision=replace(_SAME, category="spam")))
    assert counter.result().reworded.value == 1
    assert counter.result().uploads.value == 0


def population(draw: random.Random) -> dict[str, list[Retried]]:
    """1,000 uploaders with 1 to 8 uploads; those of 80 change, more or less of them."""
    made = {}
    for at in range(1000):
        uploader = f"u{at}"
        share = draw.random() if at < 80 else 0.0
        made[uploader] = [
            tried(uploader, number, draw.random() < share, float(draw.randrange(200)))
            for number in range(draw.randrange(1, 9))
        ]
    return made


def test_the_intervals_of_a_sample_hold_the_truth():
    """Over 200 samples of a third of the uploaders: 95 % are meant, 90 % are demanded."""
    draw = random.Random(5)
    people = population(draw)
    whole = RadiusCounter()
    for uploads in people.values():
        for one in uploads:
            whole.count(one)
    truth = whole.result()
    held = dict.fromkeys(("uploads", "uploaders", "views", "views_of_all"), 0)
    values = dict.fromkeys(held, 0.0)
    for _ in range(200):
        counter = RadiusCounter(truth.frame)
        for uploader in draw.sample(sorted(people), 330):
            for one in people[uploader]:
                counter.count(one)
        found = counter.result()
        assert found.sampled
        for name in held:
            estimate, true = getattr(found, name), getattr(truth, name).value
            held[name] += estimate.low <= true <= estimate.high
            values[name] += estimate.value / 200
    assert all(count >= 180 for count in held.values()), held
    for name, mean in values.items():
        assert mean == pytest.approx(getattr(truth, name).value, rel=0.05), name


def test_nothing_seen_in_a_sample_is_not_nothing():
    counter = RadiusCounter(Frame(10_000, 5000))
    for at in range(200):
        counter.count(tried(f"u{at}", 1, False, 10.0))
    found = counter.result()
    assert (found.uploads.value, found.uploads.low) == (0, 0)
    assert 50 < found.uploads.high < 400
    assert found.views is not None
    assert found.views.high == pytest.approx(found.uploads.high * 10)


def test_an_uploader_of_whom_a_part_was_read_counts_for_all():
    counter = RadiusCounter(Frame(1010, 11))
    for number in range(10):
        counter.count(tried("flood", number, number < 5, 1.0), 100.0)
    for at in range(10):
        counter.count(tried(f"u{at}", 1, False, 1.0))
    found = counter.result()
    assert found.uploads.value == pytest.approx(500)
    assert found.uploads.low < 500 < found.uploads.high
    assert found.uploaders.value == pytest.approx(1)
