from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from quorum.core.messages import now
from quorum.store.alerts.episodes import Notices, newest, open_keys, record
from quorum.store.alerts.values import Bounds, Judgement, Signal, State
from quorum.store.ledger import Ledger

AT = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
BOUNDS = Bounds(calm_seconds=1800)
RULE = Signal("rule", "spam")
LEASE = timedelta(seconds=60)


def judged(state: State, signal: Signal = RULE) -> Judgement:
    return Judgement(signal, state, True, 0.12, 0.1, 0.14, 0.03, 120, 1000, 4)


def look(ledger: Ledger, state: State, minutes: float, channels=("desk", "mail")):
    at = AT + timedelta(minutes=minutes)
    told = record(ledger, [judged(state)], channels, BOUNDS, at)
    return [event for event, _ in told]


def test_an_episode_begins_once_lasts_and_ends_after_a_calm(ledger: Ledger):
    assert look(ledger, State.OFF, 0) == ["opened"]
    assert look(ledger, State.OFF, 5) == []
    assert open_keys(ledger) == {"rule:spam"}
    assert look(ledger, State.USUAL, 10) == []
    # It comes back before the calm is over, and is between.
    assert look(ledger, State.OFF, 30) == []
    assert look(ledger, State.USUAL, 35) == []
    assert look(ledger, State.BETWEEN, 60) == []
    assert look(ledger, State.USUAL, 65) == []
    assert look(ledger, State.USUAL, 94) == []
    assert look(ledger, State.USUAL, 95) == ["resolved"]
    assert open_keys(ledger) == set()
    assert look(ledger, State.USUAL, 100) == []
    # The next time is another episode.
    assert look(ledger, State.OFF, 105) == ["opened"]
    first, second = newest(ledger)[1], newest(ledger)[0]
    assert first.id != second.id
    assert first.opened == judged(State.OFF)
    assert first.last == judged(State.USUAL)
    assert second.resolved_at is None


def test_what_is_not_heard_of_any_more_ends_after_a_day(ledger: Ledger):
    look(ledger, State.OFF, 0)
    assert look(ledger, State.UNKNOWN, 60) == []
    assert record(ledger, [], (), BOUNDS, AT + timedelta(hours=20)) == []
    ((event, alert),) = record(ledger, [], (), BOUNDS, AT + timedelta(hours=26))
    assert event == "resolved"
    assert alert.last.state is State.UNKNOWN


def test_a_restart_or_a_second_process_tells_nobody_twice(ledger: Ledger, url: str):
    begin = threading.Barrier(6)
    opened = []

    def process() -> None:
        with Ledger(url) as own:
            begin.wait(60)
            opened.extend(record(own, [judged(State.OFF)], ("desk",), BOUNDS, AT))

    threads = [threading.Thread(target=process) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(opened) == 1
    queue = Notices(ledger)
    assert queue.claim("desk", LEASE).event == "opened"
    # It is leased, and then sent.
    again = Notices(ledger)
    assert again.claim("desk", LEASE) is None


def test_notices_are_of_a_channel_and_in_order(ledger: Ledger):
    at = [now()]
    look_at = at[0]
    record(ledger, [judged(State.OFF)], ("desk", "mail"), BOUNDS, look_at)
    queue = Notices(ledger, lambda: at[0])
    first = queue.claim("desk", LEASE)
    queue.postpone(first, 3600, "TimeoutError")
    for minutes in (1, 40):
        later = look_at + timedelta(minutes=minutes)
        record(ledger, [judged(State.USUAL)], ("desk", "mail"), BOUNDS, later)
    at[0] = look_at + timedelta(minutes=41)
    # The end is not told before the beginning was, and the other channel does not wait for it.
    assert queue.claim("desk", LEASE) is None
    mail = queue.claim("mail", LEASE)
    assert mail.event == "opened"
    queue.end(mail)
    assert queue.claim("mail", LEASE).event == "resolved"
    at[0] = look_at + timedelta(minutes=61)
    again = queue.claim("desk", LEASE)
    assert (again.event, again.attempts, again.id) == ("opened", 2, first.id)
    queue.end(again, "given up")
    assert queue.claim("desk", LEASE).event == "resolved"


def test_a_lease_that_ended_is_taken_over(ledger: Ledger):
    at = [now()]
    record(ledger, [judged(State.OFF)], ("desk",), BOUNDS, at[0])
    queue = Notices(ledger, lambda: at[0])
    assert queue.claim("desk", LEASE) is not None
    at[0] += LEASE
    assert queue.claim("desk", LEASE).attempts == 2


def test_retention_takes_what_has_ended(ledger: Ledger):
    look(ledger, State.OFF, 0)
    ledger.prune(AT + timedelta(days=30), dry_run=False)
    assert len(newest(ledger)) == 1
    look(ledger, State.USUAL, 10)
    look(ledger, State.USUAL, 60)
    ledger.prune(AT + timedelta(minutes=30), dry_run=False)
    assert len(newest(ledger)) == 1
    ledger.prune(AT + timedelta(days=30), dry_run=False)
    assert newest(ledger) == []
