"""Which decided cases a trial reads: all of a period, or whole uploaders within a bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.aggregator.study.trial import try_policy
from quorum.core.messages import Action, Upload, Verdict
from quorum.store.ledger import Ledger, TimeRange
from quorum.store.past_cases import draw_sample, read_sample

START = datetime(2026, 3, 1, tzinfo=UTC)
BALANCED = load_policy("balanced")
_UPLOADERS = 60


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """300 cases of 60 uploaders in 300 minutes, and 200 of one who floods."""
    folder: Path = tmp_path_factory.mktemp("past")
    with Ledger(f"sqlite:///{folder}/ledger.db", create=True) as made:
        names = [f"by-{number % _UPLOADERS}" for number in range(300)] + ["flood"] * 200
        messages: list[Upload | Verdict] = []
        for number, uploader in enumerate(names):
            at = START + timedelta(minutes=number % 300)
            upload = Upload(id=f"u{number}", uploader=uploader, published_at=at, views=2)
            messages.append(upload)
            messages.append(
                Verdict(
                    id=f"v{number}", upload_id=upload.id, action=Action.ALLOW, revision=1,
                    policy_version="x", rule="y", reasons=(), decided_by="policy", at=at, latency=0,
                )
            )  # fmt: skip
        made.record(messages)
        yield made


def test_a_period_within_the_bound_is_read_whole(ledger: Ledger):
    hour = TimeRange(START, START + timedelta(hours=1))
    sample = draw_sample(ledger, hour, 1000)
    assert (sample.frame.uploads, sample.frame.uploaders) == (120, 61)
    assert len(sample.ids) == 120
    assert sample.weights == {}
    radius = try_policy(read_sample(ledger, sample, BALANCED), BALANCED, None, sample.frame).radius
    assert (radius.read, radius.sampled) == (120, False)
    assert radius.uploads.value == 120, "without a prediction all wait for a human"
    assert radius.views is not None
    assert radius.views.value == 240


def test_beyond_the_bound_whole_uploaders_are_drawn(ledger: Ledger):
    sample = draw_sample(ledger, TimeRange(START, START + timedelta(days=7)), 100)
    assert (sample.frame.uploads, sample.frame.uploaders) == (500, 61)
    assert 80 < len(sample.ids) <= 100
    read = list(read_sample(ledger, sample, BALANCED))
    assert [str(case.facts["id"]) for case, _ in read] == list(sample.ids)
    drawn: Counter[str] = Counter()
    stands: dict[str, float] = {}
    for case, weight in read:
        uploader = str(case.facts["uploader"])
        drawn[uploader] += 1
        stands[uploader] = stands.get(uploader, 0.0) + weight
    # Whole uploaders; of one with many a part, which stands for all that it has.
    assert drawn.pop("flood", 10) == 10
    assert stands.pop("flood", 200.0) == pytest.approx(200)
    assert set(drawn.values()) == {5}
    assert set(stands.values()) == {5.0}
    assert draw_sample(ledger, TimeRange(START, None), 100).ids == sample.ids, "always the same"


def test_one_who_floods_is_never_the_whole_sample(ledger: Ledger):
    sample = draw_sample(ledger, TimeRange(START, None), 499)
    read = read_sample(ledger, sample, BALANCED)
    uploaders = Counter(str(case.facts["uploader"]) for case, _ in read)
    assert uploaders["flood"] == 10
    assert sum(sample.weights.values()) == pytest.approx(200)
    assert len(uploaders) == 61


def test_the_history_is_that_of_the_time_of_the_verdict(tmp_path: Path):
    text = BALANCED.text.replace(
        "rules:\n",
        "rules:\n  - name: struck\n    when: uploader.removals >= 1\n    action: restrict\n"
        "    category: spam\n    reason: Again.\n",
        1,
    )
    policy = Policy.from_text(text)
    assert policy.reads_history
    with Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True) as made:
        for number in range(3):
            at = START + timedelta(minutes=number)
            made.record(
                [
                    Upload(id=f"u{number}", uploader="ann", published_at=at),
                    Verdict(
                        id=f"v{number}", upload_id=f"u{number}", action=Action.REMOVE, revision=1,
                        policy_version="x", rule="y", reasons=(), decided_by="policy", at=at,
                        latency=0,
                    ),
                ]
            )  # fmt: skip
        week = TimeRange(START + timedelta(seconds=30), None)
        cases = list(read_sample(made, draw_sample(made, week, 100), policy))
    assert [case.uploader.removals for case, _ in cases] == [1, 2]
