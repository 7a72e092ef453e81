"""A legal hold keeps rows from erasure and retention until it ends."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from quorum.core.errors import InputError
from quorum.core.messages import DeadLetter
from quorum.store.ledger import Ledger
from quorum.store.ledger import ledger as module
from quorum.store.ledger.holds import Hold, end_hold, insert_hold
from tests.store.ledger.messages_for_ledger import at, prediction, upload, verdict


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """A clock that the test moves."""
    times = [at(10_000)]
    monkeypatch.setattr(module, "now", lambda: times[0])

    def move(by: timedelta) -> datetime:
        times[0] += by
        return times[0]

    return move


def hold(ledger: Ledger, kind: str, subject: str, until: datetime | None = None) -> Hold:
    return ledger.transact(
        lambda c: insert_hold(c, kind, subject, why="file 7", by="lea", at=at(10_000), until=until),
        writes=True,
    )


def release(ledger: Ledger, made: Hold, when: datetime) -> Hold:
    return ledger.transact(
        lambda c: end_hold(c, made.id, why="closed", by="lea", at=when), writes=True
    )


def test_forget_keeps_an_upload_on_hold_and_says_so(ledger: Ledger, clock) -> None:
    ledger.record([upload(1), verdict(1), upload(4), verdict(4), prediction(4)])
    made = hold(ledger, "upload", "up-4")
    counted = ledger.forget("by-1")
    assert (counted.rows.held, counted.rows.uploads) == (("up-4",), 1)
    done = ledger.forget("by-1", dry_run=False)
    assert done.rows.held == ("up-4",)
    assert ledger.get_case("up-1") is None
    kept = ledger.get_case("up-4")
    assert kept is not None
    assert kept.upload and kept.verdicts and kept.predictions
    ledger.record([verdict(4, 2)])  # what is kept is still written to
    assert len(ledger.get_case("up-4").verdicts) == 2
    release(ledger, made, clock(timedelta(days=1)))
    assert ledger.forget("by-1", dry_run=False).rows.held == ()
    assert ledger.get_case("up-4") is None


def test_a_hold_on_an_uploader_covers_all_uploads_and_those_to_come(ledger: Ledger, clock) -> None:
    hold(ledger, "uploader", "by-1")
    ledger.record([upload(1), upload(4), upload(2)])
    done = ledger.forget("by-1", dry_run=False)
    assert (done.rows.held, done.rows.total) == (("up-1", "up-4"), 0)
    assert ledger.forget("by-2", dry_run=False).rows.uploads == 1


def test_prune_keeps_what_is_held_until_the_hold_ends(ledger: Ledger, clock) -> None:
    ledger.record([one for n in range(5) for one in (upload(n), verdict(n))])
    ledger.record([prediction(77)])  # of no case
    hold(ledger, "upload", "up-3", until=at(10_000) + timedelta(days=30))
    hold(ledger, "upload", "up-77", until=at(10_000) + timedelta(days=30))
    assert ledger.prune(at(9_000)).held == ("up-3",)
    done = ledger.prune(at(9_000), dry_run=False)
    assert (done.held, done.uploads, done.predictions) == (("up-3",), 4, 0)
    clock(timedelta(days=29))
    assert ledger.prune(at(9_000), dry_run=False).total == 0
    clock(timedelta(days=1))
    done = ledger.prune(at(9_000), dry_run=False)
    assert (done.held, done.uploads, done.predictions) == ((), 1, 1)


def test_a_hold_on_an_uploader_keeps_the_rows_that_name_the_upload_alone(
    ledger: Ledger, clock
) -> None:
    ledger.record([one for n in range(5) for one in (upload(n), verdict(n))])
    ledger.record([prediction(77), prediction(78)])  # of no case
    for n in range(5):  # a malformed prediction names no uploader
        raw = prediction(n).to_bytes()[:-1] + b', "score": "much"}'
        ledger.record(DeadLetter.of(raw, {}, "decide.predictions", "bad", at(1)))
    made = hold(ledger, "uploader", upload(1).uploader)
    planned = ledger.prune(at(9_000))
    done = ledger.prune(at(9_000), dry_run=False)
    assert done == planned
    theirs = [f"up-{n}" for n in range(5) if upload(n).uploader == upload(1).uploader]
    assert done.held == tuple(theirs)
    assert {json.loads(one.data)["upload_id"] for one in ledger.dead_letters()} == set(theirs)
    assert done.predictions == 2
    release(ledger, made, clock(timedelta(days=1)))
    done = ledger.prune(at(9_000), dry_run=False)
    assert (done.held, done.dead_letters) == ((), len(theirs))
    assert list(ledger.dead_letters()) == []


def test_a_hold_states_what_cannot_be_taken(ledger: Ledger) -> None:
    for kind, subject, words in (
        ("case", "up-1", "upload or on an uploader"),
        ("upload", "", "1 to 256"),
    ):
        with pytest.raises(InputError, match=words):
            hold(ledger, kind, subject)
    with pytest.raises(InputError, match="past"):
        hold(ledger, "upload", "up-1", until=at(1))
    made = hold(ledger, "upload", "up-1")
    release(ledger, made, at(10_001))
    with pytest.raises(InputError, match="ended already"):
        release(ledger, made, at(10_002))
    with pytest.raises(InputError, match="no hold"):
        release(ledger, Hold("x", "upload", "u", "b", at(1), "w"), at(10_002))
