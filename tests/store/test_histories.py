from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from quorum.aggregator.policy.policy import load_policy
from quorum.core.messages import Action, Upload
from quorum.store.histories import AWAY_SECONDS, MEMORY_SECONDS, UNKNOWN, Histories
from quorum.store.ledger import LedgerUnavailable, PastVerdicts

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
BALANCED = load_policy("balanced")
STRUCK = PastVerdicts(
    4, (("old", Action.REMOVE, AT), ("mine", Action.REMOVE, AT - timedelta(days=90)))
)


def upload(upload_id: str = "u", uploader: str = "ann") -> Upload:
    return Upload(id=upload_id, uploader=uploader, published_at=AT)


class Source:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.open = threading.Event()
        self.open.set()
        self.error: Exception | None = None

    def past_verdicts(
        self, uploaders: Sequence[str], actions: frozenset[Action]
    ) -> Mapping[str, PastVerdicts]:
        assert Action.REMOVE in actions
        self.asked += uploaders
        self.open.wait(20)
        if self.error is not None:
            raise self.error
        return {name: STRUCK if name == "ann" else PastVerdicts() for name in uploaders}


class Known:
    """Histories over a source that can go away, with a clock that a test moves."""

    def __init__(self) -> None:
        self.source, self.clock, self.unknown = Source(), 0.0, 0
        self.histories = Histories(
            BALANCED, self.source, self._count, patience=0.2, clock=lambda: self.clock
        )

    def _count(self) -> None:
        self.unknown += 1


@pytest.fixture
def known() -> Iterator[Known]:
    made = Known()
    yield made
    made.source.open.set()
    made.histories.close()


def test_strikes_decay_and_an_upload_is_not_held_against_itself(known: Known) -> None:
    found = known.histories.of(upload(), AT)
    half_life = BALANCED.strikes.half_life / 86400
    assert found.strikes == pytest.approx(1 + 0.5 ** (90 / half_life))
    assert (found.removals, found.verdicts, found.known) == (2, 4, True)
    again = known.histories.of(upload("mine"), AT)
    assert (again.strikes, again.removals, again.verdicts) == (1.0, 1, 3)
    assert known.histories.of(upload("v", "bob"), AT).removals == 0


def test_what_was_found_is_good_for_a_while(known: Known) -> None:
    for _ in range(5):
        known.histories.of(upload(), AT)
    assert known.source.asked == ["ann"]
    known.clock = MEMORY_SECONDS
    known.histories.of(upload(), AT)
    assert known.source.asked == ["ann", "ann"]


def test_a_ledger_that_hangs_is_asked_no_more_for_a_while(
    known: Known, caplog: pytest.LogCaptureFixture
) -> None:
    known.source.open.clear()
    for number in range(20):
        assert known.histories.of(upload(uploader=f"by-{number}"), AT) is UNKNOWN
    assert known.source.asked == ["by-0"]
    assert known.unknown == 20
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    known.source.open.set()
    known.clock = AWAY_SECONDS
    assert known.histories.of(upload(), AT).removals == 2
    assert "can be looked up again" in caplog.text


@pytest.mark.parametrize("error", [LedgerUnavailable("it is away"), OSError("broken")])
def test_a_ledger_that_fails_leaves_the_history_unknown(
    known: Known, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    known.source.error = error
    found = known.histories.of(upload(), AT)
    assert not found.known
    assert known.unknown == 1
    assert "ask for review" in caplog.text
