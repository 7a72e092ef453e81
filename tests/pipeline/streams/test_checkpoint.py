"""The other acknowledgement rule: at the checkpoint, in a bundle finalizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from apache_beam.io.restriction_trackers import OffsetRange

from quorum.pipeline.streams import in_flight, pubsub_source
from quorum.pipeline.streams.flink_source import _PullUntilCheckpoint
from quorum.pipeline.streams.in_flight import InFlight
from quorum.pipeline.streams.pubsub_source import _PullUntilVerdict
from quorum.pipeline.streams.subscription import Held


class Holding:
    """A Subscription with five messages."""

    def __init__(self) -> None:
        self.waiting = [Held(f"a{n}", f"m{n}".encode(), {"n": str(n)}, 0.0) for n in range(5)]
        self.released: list[str] = []
        self.abandoned: list[str] = []
        self.drained = 0
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

    def drain(self, _grace: float) -> int:
        self.drained += 1
        return 0


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
    for module in (in_flight, pubsub_source):
        monkeypatch.setattr(module, "subscription", lambda _path: made)
    monkeypatch.setattr(in_flight, "_IN_FLIGHT", {})
    monkeypatch.setattr(in_flight, "_WATCH", [None])
    return made


@pytest.fixture
def flight(holding: Holding) -> tuple[InFlight, list[float]]:
    """What is in flight, and the time, which a test moves."""
    at = [0.0]
    return InFlight(cast(Any, holding), lambda: at[0]), at


def pulled(pull: _PullUntilCheckpoint, finalizer: Finalizer, impulse: bytes = b"7") -> list[bytes]:
    """A bundle of one impulse."""
    pull.start_bundle()
    received = list(pull.process(impulse, finalizer))
    assert all(one.ack_id == "" for one in received)
    return [one.data for one in received]


def test_a_bundle_is_acknowledged_once_a_later_one_has_its_checkpoint(
    holding: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Flink finalizes bundles that came after the barrier, whose state is in the next checkpoint.
    monkeypatch.setattr(in_flight, "TOLD_SECONDS", 0.0)
    finalizer = Finalizer()
    pull = _PullUntilCheckpoint("path", "uploads")
    assert pulled(pull, finalizer) == [b"m0", b"m1", b"m2", b"m3", b"m4"]
    finalizer.callbacks[0]()
    assert holding.released == []
    assert pulled(pull, finalizer) == []
    finalizer.callbacks[1]()
    assert holding.released == ["a0", "a1", "a2", "a3", "a4"]
    assert holding.abandoned == []


def test_only_the_first_pull_of_a_bundle_waits_since_what_it_got_goes_on_at_the_end(
    holding: Holding,
) -> None:
    pull = _PullUntilCheckpoint("path", "uploads")
    for _ in range(2):
        pull.start_bundle()
        for _ in range(2):
            list(pull.process(b"7", Finalizer()))
    assert [wait > 0 for wait in holding.waits] == [True, False, True, False]


def test_a_job_that_starts_anew_has_back_what_was_not_acknowledged(holding: Holding) -> None:
    finalizer = Finalizer()
    pull = _PullUntilCheckpoint("path", "uploads")
    pulled(pull, finalizer, b"0")
    finalizer.callbacks[0]()
    pulled(pull, finalizer, b"0")
    assert holding.abandoned == ["a0", "a1", "a2", "a3", "a4"]
    for callback in finalizer.callbacks:
        callback()
    assert holding.released == []


def test_a_drain_gives_back_what_the_job_before_held(
    holding: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "detach_subscription", lambda _path: holding)
    pulled(_PullUntilCheckpoint("path", "uploads"), Finalizer())
    paused = _PullUntilCheckpoint("path", "uploads", paused=True)
    for _ in range(2):
        assert pulled(paused, Finalizer(), b"0") == []
    assert holding.drained == 1


@pytest.mark.parametrize(
    ("used", "ended", "gone"),
    [
        (0.0, 1.0, True),  # the worker ended, and nobody came since
        (4.0, 1.0, True),  # its last bundle ended after it
        (95.0, 93.0, False),  # it came back
        (0.0, -200.0, False),  # a long bundle
        (-250.0, -900.0, True),
    ],
)
def test_a_job_has_gone_where_its_worker_ended_or_it_was_not_seen_for_long(
    used: float, ended: float, gone: bool
) -> None:
    assert in_flight.is_gone(used, ended, 100.0) is gone


def test_a_bundle_that_another_slot_began_before_it_was_told_proves_nothing(
    holding: Holding, flight: tuple[InFlight, list[float]]
) -> None:
    made, at = flight
    first = made.began(["first"])
    at[0] = 0.2
    first()
    second = made.began(["second"])
    at[0] = 0.4
    second()
    assert holding.released == []
    at[0] = 2.0
    assert made.wants_later
    made.began([])()
    assert holding.released == ["first", "second"]
    assert not made.wants_later


def test_what_a_failed_bundle_took_is_given_back_once_later_ones_have_their_checkpoint(
    holding: Holding, flight: tuple[InFlight, list[float]]
) -> None:
    made, at = flight
    made.began(["lost"])
    for at[0] in (11.0, 22.0):
        assert made.wants_later
        assert not holding.abandoned
        made.began([])()
    assert holding.abandoned == ["lost"]
    assert not made.wants_later
    assert not holding.released


def test_a_slot_that_is_told_of_its_checkpoint_last_loses_nothing(
    holding: Holding, flight: tuple[InFlight, list[float]]
) -> None:
    made, at = flight
    slow = made.began(["slow"])
    at[0] = 60.0
    made.began(["a"])()
    at[0] = 60.1
    made.began(["b"])()
    slow()
    at[0] = 70.0
    made.began(["c"])()
    assert holding.released == ["slow", "a", "b"]
    assert not holding.abandoned


def followed_in_a_minute(made: InFlight, at: list[float]) -> int:
    """How many bundles that took nothing begin, where no checkpoint comes."""
    began = 0
    for at[0] in range(1, 61):
        if made.wants_later:
            made.began([])
            began += 1
    return began


def test_without_checkpoints_nothing_is_given_back_and_bundles_are_few(
    holding: Holding, flight: tuple[InFlight, list[float]]
) -> None:
    made, at = flight
    made.began(["a"])
    assert 0 < followed_in_a_minute(made, at) <= 5
    assert not holding.abandoned


def test_a_bundle_that_took_nothing_follows_once_however_long_the_next_checkpoint_takes(
    holding: Holding, flight: tuple[InFlight, list[float]]
) -> None:
    made, at = flight
    made.began(["a"])()
    assert 0 < followed_in_a_minute(made, at) <= 6
    made.began([])()
    assert holding.released == ["a"]


def test_until_the_verdict_each_message_carries_its_receipt(holding: Holding) -> None:
    received = list(_PullUntilVerdict("reviews").process("path", Tracker(4)))
    assert [one.ack_id for one in received] == ["path|a0", "path|a1", "path|a2", "path|a3"]
    assert {one.stream for one in received} == {"reviews"}
    assert [held.ack_id for held in holding.waiting] == ["a4"]
