from __future__ import annotations

import json
import random
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from typer.testing import CliRunner

from quorum.apps.cli.models import app
from quorum.apps.console.desk import labels, outbox, tasks
from quorum.apps.console.desk.labels import Shares
from quorum.core.messages import Action, Review, now
from quorum.models.training.dataset import read_labelled
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import samples
from tests.apps.console.cases_for_console import choose, record_case, take

PARTS = st.floats(0, 1)


@given(
    cases=st.lists(st.tuples(PARTS, PARTS), min_size=1, max_size=50),
    count=st.integers(1, 60),
    shares=st.builds(Shares, PARTS, PARTS, PARTS),
)
def test_every_case_has_a_positive_probability(cases, count, shares):
    found = labels.probabilities(cases, count, shares)
    assert all(0 < p <= 1 for p in found)
    assert sum(found) <= count + 1e-6


def test_weighted_sums_are_unbiased():
    chance = random.Random(1)
    cases = [(chance.random(), chance.random()) for _ in range(200)]
    # The harm goes with what is drawn more often: without weights the estimate would be far off.
    harms = [one > 0.8 for one, _ in cases]
    chances = labels.probabilities(cases, 40, Shares())
    weighted, plain = [], []
    for _ in range(2000):
        drawn = [i for i, p in enumerate(chances) if chance.random() < p]
        weighted.append(sum(harms[i] / chances[i] for i in drawn))
        plain.append(sum(harms[i] for i in drawn) * len(cases) / 40)
    assert sum(weighted) / len(weighted) == pytest.approx(sum(harms), rel=0.05)
    assert sum(plain) / len(plain) > 1.2 * sum(harms)


def test_drawn_cases_become_labels_that_training_reads(ledger: Ledger, tmp_path: Path):
    for number in range(30):
        record_case(ledger, number, action=Action.ALLOW, category=None, score=0.4)
    record_case(ledger, 40)
    tasks.sync(ledger)
    drawn = labels.draw(ledger, 10, chance=random.Random(2))
    assert 3 <= drawn <= 20
    assert tasks.sync(ledger) == (0, 0)
    assert labels.draw(ledger, 1000, chance=random.Random(2)) == 30 - drawn
    kept = ledger.transact(lambda c: c.execute(select(samples)).all())
    rest = {row.upload_id: row.probability for row in kept}
    numbers = [int(name.removeprefix("up-")) for name in list(rest)[:3]]
    choose(ledger, take(ledger, numbers[0], "ana"), "ana", Action.REMOVE)
    choose(ledger, take(ledger, numbers[1], "ana"), "ana", Action.ALLOW)
    choose(ledger, take(ledger, 40, "ana"), "ana", Action.REMOVE)
    outbox.publish_due(ledger, lambda _: None, double_rate=0)
    out = tmp_path / "labels.jsonl"
    args = ["--out", str(out), "--database", f"sqlite:///{tmp_path}/console.db"]
    for category, count in (("spam", 1), ("violence", 3)):
        run = ["export-labels", "--category", category, *args]
        done = CliRunner().invoke(app, run, catch_exceptions=False)
        assert f"{count} labels" in done.output
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    for row in rows:
        if row["sampled"]:
            assert row["weight"] == pytest.approx(1 / rest[row["id"]])
        else:
            assert (row["id"], row["weight"]) == ("up-40", 1.0)
    assert sorted(row["label"] for row in rows) == [0, 1, 1]
    assert sum(read_labelled(out).labels) == 2


def test_reviews_of_other_tools_become_labels(ledger: Ledger, tmp_path: Path):
    verdicts = [record_case(ledger, number) for number in range(7)]
    tasks.sync(ledger)
    choose(ledger, take(ledger, 0, "ana"), "ana", Action.REMOVE)
    sent: list[Review] = []
    outbox.publish_due(ledger, sent.extend, double_rate=0)
    by_stream = [
        (1, Action.REMOVE, ("violence/fight",)),
        (2, Action.RESTRICT, ()),  # it confirms the verdict's category
        (3, Action.REMOVE, ("spam",)),
        (4, Action.ALLOW, ()),
        (5, Action.REVIEW, ("violence",)),
    ]
    for number, action, harms in by_stream:
        sent.append(
            Review(
                upload_id=f"up-{number}",
                verdict_id=verdicts[number].id,
                action=action,
                reviewer="tool",
                labels=harms,
                at=now(),
            )
        )
    later = sent[1].at + timedelta(seconds=1)
    # Two reviews of one upload: the later one counts, whoever made it.
    sent += [sent[4].model_copy(update={"upload_id": "up-6", "verdict_id": verdicts[6].id})]
    sent += [sent[-1].model_copy(update={"action": Action.REMOVE, "at": later})]
    sent += [sent[0].model_copy(update={"reviewer": "tool", "action": Action.ALLOW, "at": later})]
    ledger.record(sent)
    out = tmp_path / "labels.jsonl"
    args = ["--category", "violence", "--out", str(out)]
    database = f"sqlite:///{tmp_path}/console.db"
    done = CliRunner().invoke(
        app, ["export-labels", *args, "--database", database], catch_exceptions=False
    )
    assert "(0 by the console, 5 by the stream)" in done.output.replace("\n", " ")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {row["id"]: row["label"] for row in rows} == {
        "up-0": 0, "up-1": 1, "up-2": 1, "up-4": 0, "up-6": 1
    }  # fmt: skip
    assert all(row["weight"] == 1.0 for row in rows)


def test_what_a_cap_restricted_waits_in_the_queue_and_leaves_no_strike(ledger: Ledger):
    restricted = {"action": Action.RESTRICT, "uploader": "ann"}
    record_case(ledger, 1, **restricted)
    record_case(ledger, 2, **restricted, decided_by="cap")
    assert tasks.sync(ledger) == (1, 0)
    assert tasks.sync(ledger) == (0, 0)
    wanted = frozenset({Action.RESTRICT, Action.REMOVE})
    past = ledger.past_verdicts(["ann"], wanted)["ann"]
    assert ([name for name, *_ in past.chosen], past.decided) == (["up-1"], 2)
    before = ledger.verdicts_before("ann", wanted, now())
    assert ([name for name, *_ in before.chosen], before.decided) == (["up-1"], 2)
    choose(ledger, take(ledger, 2, "ana"), "ana", Action.RESTRICT)
