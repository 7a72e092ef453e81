"""The other acknowledgement rule: at the checkpoint, in a bundle finalizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from apache_beam.io.restriction_trackers import OffsetRange

from quorum.pipeline.streams import flink_source, pubsub_source
from quorum.pipeline.streams.flink_source import InFlight, _PullUntilCheckpoint
from quorum.pipeline.streams.pubsub_source import _PullUntilVerdict
from quorum.pipeline.streams.subscription import Held


class Holding:
    """A Subscription with five messages."""

    def __init__(self) -> None:
        self.waiting = [Held(f"a{n}", f"m{n}".encode(), {"n": str(n)}, 0.0) for n in range(5)]
        self.released: list[str] = []
        self.abandoned: list[str] = []
        self.waits: list[float] = []

    def take_bundle(self, wait: float, _yields: Callable[[], bool] | None = None) -> list[Held]:
        self.waits.append(wait)
        taken, self.waiting = self.waiting, []
        return taken

    def put_back(self, held: Held) -> None:
        self.waiting.append(held)

    def ack_id(self, held: Held) -> str:
        return f"path|{held.ack_id}"

    def release(self, ack_ids: list[str]) -> None:
        self.released += ack_ids

    def abandon(self, ack_ids: list[str]) -> None:
        self.abandoned += ack_ids


class Tracker:
    """Claims up to a position, as when the engine splits the bundle."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.deferred = False

    def current_restriction(self) -> OffsetRange:
        return OffsetRange(0, 2**62)

    def try_claim(self, position: int) -> bool:
        return position < self.most

    def defer_remainder(self, _duration: Any) -> None:
        self.deferred = True


class Finalizer:
    def __init__(self) -> None:
        self.callbacks: list[Callable[[], None]] = []

    def register(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)


@pytest.fixture
def holding(monkeypatch: pytest.MonkeyPatch) -> Holding:
    made = Holding()
    for module in (flink_source, pubsub_source):
        monkeypatch.setattr(module, "subscription", lambda _path: made)
    return made


def test_nothing_is_acknowledged_before_the_checkpoint(holding: Holding) -> None:
    finalizer = Finalizer()
    pull = _PullUntilCheckpoint("path", "uploads")
    pull.start_bundle()
    received = list(pull.process(b"", finalizer))
    assert [one.data for one in received] == [b"m0", b"m1", b"m2", b"m3", b"m4"]
    assert all(one.ack_id == "" for one in received)
    assert holding.released == []
    for callback in finalizer.callbacks:
        callback()
    assert holding.released == ["a0", "a1", "a2", "a3", "a4"]


def test_each_pull_acknowledges_its_own_and_an_empty_one_nothing(holding: Holding) -> None:
    finalizer = Finalizer()
    pull = _PullUntilCheckpoint("path", "uploads")
    pull.start_bundle()
    holding.waiting, rest = holding.waiting[:2], holding.waiting[2:]
    list(pull.process(b"", finalizer))
    list(pull.process(b"", finalizer))
    holding.waiting = rest
    list(pull.process(b"", finalizer))
    first, second = finalizer.callbacks
    second()
    assert holding.released == ["a2", "a3", "a4"]
    first()
    assert holding.released[3:] == ["a0", "a1"]


def test_only_the_first_pull_of_a_bundle_waits_since_what_it_got_goes_on_at_the_end(
    holding: Holding,
) -> None:
    pull = _PullUntilCheckpoint("path", "uploads")
    for _ in range(2):
        pull.start_bundle()
        for _ in range(2):
            list(pull.process(b"", Finalizer()))
    assert [wait > 0 for wait in holding.waits] == [True, False, True, False]


def in_flight(holding: Holding) -> tuple[InFlight, list[float]]:
    at = [0.0]
    return InFlight(cast(Any, holding), lambda: at[0]), at


def test_what_a_failed_bundle_took_is_given_back_once_later_ones_have_their_checkpoint(
    holding: Holding,
) -> None:
    made, at = in_flight(holding)
    made.began(["lost"])
    for at[0] in (11.0, 14.0):
        assert made.wants_later
        assert not holding.abandoned
        made.began([])()
    assert holding.abandoned == ["lost"]
    assert not made.wants_later
    assert not holding.released


def test_a_slot_that_is_told_of_its_checkpoint_last_loses_nothing(holding: Holding) -> None:
    made, at = in_flight(holding)
    slow = made.began(["slow"])
    at[0] = 60.0
    made.began(["a"])()
    at[0] = 60.1
    made.began(["b"])()
    slow()
    at[0] = 70.0
    made.began(["c"])()
    assert holding.released == ["a", "b", "slow", "c"]
    assert not holding.abandoned


def test_without_checkpoints_nothing_is_given_back_and_bundles_are_few(holding: Holding) -> None:
    made, at = in_flight(holding)
    made.began(["a"])
    began = 0
    for at[0] in range(1, 61):
        if made.wants_later:
            made.began([])
            began += 1
    assert 0 < began <= 25
    assert not holding.abandoned


def test_until_the_verdict_each_message_carries_its_receipt(holding: Holding) -> None:
    received = list(_PullUntilVerdict("reviews").process("path", Tracker(4)))
    assert [one.ack_id for one in received] == ["path|a0", "path|a1", "path|a2", "path|a3"]
    assert {one.stream for one in received} == {"reviews"}
    assert [held.ack_id for held in holding.waiting] == ["a4"]
