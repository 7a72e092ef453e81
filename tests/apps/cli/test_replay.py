import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from quorum.aggregator.decider import Decider
from quorum.aggregator.policy.policy import load_policy
from quorum.apps.cli.replay import app
from quorum.core.messages import Action, Prediction, Review, Upload, prediction_id
from quorum.store.histories import history_before
from quorum.store.ledger import Ledger

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCORES = {"clean": 0.01, "hinted": 0.45, "likely": 0.96, "certain": 0.99}


def run(*words):
    result = CliRunner().invoke(app, list(words), env={"COLUMNS": "200", "TERM": "dumb"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


@pytest.fixture
def database(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    policy = load_policy("balanced")
    with Ledger(url, create=True) as ledger:
        for name, spam in SCORES.items():
            upload = Upload(id=name, uploader="ann", published_at=START)
            said = [
                Prediction(
                    id=prediction_id(name, detector, "1"), upload_id=name, detector=detector,
                    version="1", status="scored", score=score, at=START,
                )
                for detector, score in (("spam", spam), ("violence", 0.0), ("copyright", 0.0))
            ]  # fmt: skip
            at = START + timedelta(seconds=1)
            verdict = Decider(policy).first(upload, said, arrived=START, at=at).verdict
            ledger.record([upload, *said, verdict])
            if name == "certain":
                review = Review(
                    upload_id=name, verdict_id=verdict.id, action="allow", reviewer="r", at=at
                )
                ledger.record([review])
    return url


def actions(url):
    with Ledger(url) as ledger:
        return {
            name: [(v.revision, v.action.value) for v in ledger.get_case(name).verdicts]
            for name in SCORES
        }


def test_a_dry_run_tells_and_changes_nothing(database):
    before = actions(database)
    out = run("--policy", "strict", "--database", database)
    assert "4 cases decided again, 3 actions change" in out
    assert "dry run" in out
    assert actions(database) == before


def test_what_changes_is_published_and_recorded_once(database, tmp_path):
    file = tmp_path / "verdicts.jsonl"
    words = ["--policy", "strict", "--database", database, "--verdicts", str(file), "--yes"]
    assert "3 actions change" in run(*words)
    found = actions(database)
    assert found["hinted"] == [(1, "allow"), (2, "restrict")]
    assert found["likely"] == [(1, "review"), (2, "remove")]
    assert found["certain"] == [(1, "remove"), (2, "allow")], "the reviewer decides"
    assert found["clean"] == [(1, "allow")]
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {line["upload_id"] for line in lines} == {"hinted", "likely", "certain"}
    assert all(line["revision"] == 2 and line["supersedes"] for line in lines)

    assert "0 actions change" in run(*words)
    assert actions(database) == found
    back = run("--policy", "balanced", "--database", database, "--yes")
    assert "2 actions change" in back, "rolled back, but for what the reviewer decided"
    assert actions(database)["likely"][-1] == (3, Action.REVIEW.value)


def test_the_uploaders_history_is_as_it_stood(tmp_path):
    """Else what is replayed first would change what comes after, and a second replay more."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    cautious, strict = load_policy("cautious"), load_policy("strict")
    with Ledger(url, create=True) as ledger:
        for number in range(6):
            name = f"u{number}"
            upload = Upload(id=name, uploader="ann", published_at=START)
            spam = 0.99 if number < 3 else 0.85
            said = [
                Prediction(
                    id=prediction_id(name, detector, "1"), upload_id=name, detector=detector,
                    version="1", status="scored", score=score, at=START,
                )
                for detector, score in (("spam", spam), ("violence", 0.0), ("copyright", 0.0))
            ]  # fmt: skip
            at = START + timedelta(seconds=10 * number)
            used = strict if number < 3 else cautious
            known = history_before(ledger, used, upload, at)
            assert known.removals == min(number, 3)
            verdict = Decider(used).first(upload, said, arrived=at, at=at, uploader=known).verdict
            ledger.record([upload, *said, verdict])
        before = [row.action.value for row in ledger.find(newest_first=False)]
    assert before == ["remove"] * 3 + ["review"] * 3
    words = ["--policy", "strict", "--database", url]
    told = "without its uploader's three removals a suspect upload would stay under review"
    assert "6 cases decided again, 3 actions change" in run(*words), told
    assert "3 actions change" in run(*words, "--yes")
    assert "0 actions change" in run(*words)


def test_removals_stop_at_the_cap(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    before = load_policy("cautious")
    with Ledger(url, create=True) as ledger:
        for number in range(10):
            upload = Upload(id=f"u{number}", uploader=f"ann-{number}", published_at=START)
            said = [
                Prediction(
                    id=prediction_id(upload.id, detector, "1"), upload_id=upload.id,
                    detector=detector, version="1", status="scored", score=score, at=START,
                )
                for detector, score in (("spam", 0.99), ("violence", 0.0), ("copyright", 0.0))
            ]  # fmt: skip
            verdict = Decider(before).first(upload, said, arrived=START, at=START).verdict
            assert verdict.action is Action.REVIEW
            ledger.record([upload, *said, verdict])
    capped = tmp_path / "capped.yaml"
    capped.write_text(
        load_policy("balanced").text.replace("total: {removals: 500", "total: {removals: 3")
    )
    words = ["--policy", str(capped), "--database", url]
    assert "10 actions change" in run(*words)
    assert "10 actions change" in run(*words, "--yes")
    with Ledger(url) as ledger:
        latest = [ledger.get_case(f"u{number}").verdict for number in range(10)]
    assert sorted((v.revision, v.action.value, v.decided_by) for v in latest) == [
        *[(2, "remove", "deadline")] * 3,
        *[(2, "review", "cap")] * 7,
    ]
    assert "0 actions change" in run(*words, "--yes"), "humans have the rest"


def test_plans_that_are_due_are_carried_out_once(tmp_path):
    """What batch, web, and a stream that lost its state leave to do."""
    file = tmp_path / "timed.yaml"
    file.write_text(TIMED)
    policy = load_policy(file)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with Ledger(url, create=True) as ledger:
        for name, hours in (("old", 3), ("young", 1), ("seen", 3)):
            at = datetime.now(UTC) - timedelta(hours=hours)
            upload = Upload(id=name, uploader="ann", published_at=at)
            said = Prediction(
                id=prediction_id(name, "spam", "1"), upload_id=name, detector="spam", version="1",
                status="scored", score=0.7, at=at,
            )  # fmt: skip
            verdict = Decider(policy).first(upload, [said], arrived=at, at=at).verdict
            assert verdict.plan is not None
            ledger.record([upload, said, verdict])
            if name == "seen":
                decider = Decider(policy)
                review = Review(
                    upload_id=name, verdict_id=verdict.id, action="allow", reviewer="r", at=at
                )
                made = decider.again(upload, [said], (), verdict, at=at, review=review)
                ledger.record([review, made])
    words = ("--policy", str(file), "--database", url, "--due")
    assert "1 cases decided again, 1 actions change" in run(*words)
    run(*words, "--yes")
    with Ledger(url) as ledger:
        found = {
            name: [one.action.value for one in ledger.get_case(name).verdicts]
            for name in ("old", "young", "seen")
        }
    assert found == {"old": ["review", "remove"], "young": ["review"], "seen": ["review", "allow"]}
    assert "0 cases decided again" in run(*words)


TIMED = """\
name: timed
retention: 1 d
detectors: {spam: {}}
rules:
  - name: held
    when: score("spam") >= 0.5
    action: review
    category: spam
    reason: Likely spam.
    then: {after: 2 h, action: remove}
"""
