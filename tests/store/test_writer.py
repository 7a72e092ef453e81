from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from quorum.apps.web.recorder import AnswerRecorder
from quorum.core.messages import Upload
from quorum.store.ledger import LedgerRefused, LedgerUnavailable
from quorum.store.writer import Entry, LedgerWriter
from tests.store.ledger.messages_for_ledger import upload


class FakeLedger:
    """Keeps uploads; refuses some ids, and is away for some calls."""

    def __init__(self, refused: Sequence[str] = (), away: int = 0) -> None:
        self.refused, self.away = set(refused), away
        self.recorded: list[str] = []
        self.calls = 0

    def record(self, messages: Sequence[Upload]) -> None:
        self.calls += 1
        if self.away > 0:
            self.away -= 1
            msg = "away"
            raise LedgerUnavailable(msg)
        if self.refused & {one.id for one in messages}:
            msg = "the database refuses a value: DataError"
            raise LedgerRefused(msg)
        self.recorded += [one.id for one in messages]


def entries(count: int, instead: Sequence[Upload] = ()) -> list[Entry]:
    return [Entry([upload(n)], lambda _reason: instead) for n in range(count)]


def writer(ledger: FakeLedger, stop: threading.Event | None = None) -> LedgerWriter:
    return LedgerWriter(ledger, stop or threading.Event(), (0.01, 0.02))  # type: ignore[arg-type]


def test_a_batch_is_one_transaction() -> None:
    ledger = FakeLedger()
    assert writer(ledger).write(entries(100))
    assert (ledger.calls, len(ledger.recorded)) == (1, 100)


def test_a_refused_entry_is_replaced_and_holds_up_no_other() -> None:
    ledger = FakeLedger(refused=["up-37"])
    assert writer(ledger).write(entries(64, [upload(99)]))
    assert sorted(ledger.recorded) == sorted(f"up-{n}" for n in (*range(37), *range(38, 64), 99))
    # Halves, not one transaction an entry.
    assert ledger.calls == 14


def test_an_entry_whose_replacement_is_refused_too_is_not_durable() -> None:
    ledger = FakeLedger(refused=["up-1"])
    assert not writer(ledger).write(entries(3, [upload(1)]))
    assert sorted(ledger.recorded) == ["up-0", "up-2"]


def test_an_outage_is_retried_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    ledger = FakeLedger(away=5)
    made = writer(ledger)
    assert made.write(entries(2))
    assert not made.away
    assert ledger.calls == 6
    assert [one.getMessage() for one in caplog.records] == [
        "away; 2 messages wait for the ledger",
        "the ledger is reachable again",
    ]


def test_stop_ends_the_retries() -> None:
    stop = threading.Event()
    made = writer(FakeLedger(away=10**6), stop)
    threading.Timer(0.1, stop.set).start()
    assert not made.write(entries(1))
    assert made.away


def test_a_refused_answer_holds_up_no_other() -> None:
    ledger = FakeLedger(refused=["up-1"])

    async def record() -> list[bool]:
        recorder = AnswerRecorder(ledger)  # type: ignore[arg-type]
        done = [recorder.put([upload(n)]) for n in range(3)]
        results = await asyncio.wait_for(asyncio.gather(*done), 10)
        await recorder.close()
        assert recorder.backlog == 0
        return results

    assert asyncio.run(record()) == [True, False, True]
    assert sorted(ledger.recorded) == ["up-0", "up-2"]
