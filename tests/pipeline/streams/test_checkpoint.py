"""The other acknowledgement rule: at the checkpoint, in a bundle finalizer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

import pytest
from apache_beam.io.restriction_trackers import OffsetRange
from apache_beam.runners.worker import statesampler as sampler
from apache_beam.runners.worker.statesampler import StateSampler
from apache_beam.utils.counters import CounterFactory

from quorum.pipeline.streams import in_flight, pubsub_source
from quorum.pipeline.streams.flink_source import _PullUntilCheckpoint
from quorum.pipeline.streams.in_flight import InFlight, Slot, Worker
from quorum.pipeline.streams.pubsub_source import _PullUntilVerdict
from quorum.pipeline.streams.subscription import Held


class Holding:
    """A Subscription with five messages."""

    def __init__(self) -> None:
        self.waiting = [Held(f"a{n}", f"m{n}".encode(), {"n": str(n)}, 0.0) for n in range(5)]
        self.released: list[str] = []
        self.abandoned: list[str] = []
        self.taken_again: list[str] = []
        self.is_paused = False
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

    def again(self, ack_ids: list[str]) -> None:
        self.taken_again += ack_ids

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

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


SLOT = Slot(Worker(), "stage")
SIBLING = Slot(SLOT.worker, "stage of the sibling")


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


def in_worker(worker: Worker, stage: str, run: Callable[[], Any]) -> Any:
    """A thread of a worker, in which a bundle of a stage runs."""

    def bundle() -> None:
        worker.works_here()
        sampler.set_current_tracker(StateSampler(stage, CounterFactory()))
        done.append(run())

    done: list[Any] = []
    thread = threading.Thread(target=bundle)
    thread.start()
    thread.join()
    return done[0]


def test_a_job_that_starts_anew_has_back_what_its_worker_took_and_no_more(
    holding: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "TOLD_SECONDS", 0.0)
    finalizer = Finalizer()
    pull = _PullUntilCheckpoint("path", "uploads")
    before, after = Worker(), Worker()
    in_worker(before, "1", lambda: pulled(pull, finalizer, b"0"))
    finalizer.callbacks[0]()
    assert not holding.is_paused
    before.end()
    assert holding.taken_again == ["a0", "a1", "a2", "a3", "a4"]
    assert holding.is_paused

    # The slots of the new life start one after the other.
    holding.waiting = [Held("first", b"", {}, 0.0)]
    in_worker(after, "1", lambda: pulled(pull, finalizer, b"0"))
    assert not holding.is_paused
    holding.waiting = [Held("second", b"", {}, 0.0)]
    in_worker(after, "2", lambda: pulled(pull, finalizer, b"0"))
    holding.waiting = [Held("late", b"", {}, 0.0)]
    # A bundle of the worker that ended comes to its end.
    in_worker(before, "1", lambda: pulled(pull, finalizer, b"7"))
    for callback in finalizer.callbacks:
        callback()
    for stage in "12":
        holding.waiting = [Held(f"next of {stage}", b"", {}, 0.0)]
        in_worker(after, stage, lambda: pulled(pull, finalizer, b"1"))
        finalizer.callbacks[-1]()
    assert holding.released == ["first", "second"]
    assert holding.taken_again[5:] == ["late"]
    assert not holding.is_paused


def test_a_slot_acknowledges_what_it_took_itself(
    holding: Holding, flight: tuple[InFlight, list[float]]
) -> None:
    # Flink may restart one region of a job, whose slots are others then, of the same worker.
    made, at = flight
    made.began(SIBLING, ["before"])()
    at[0] = 2.0
    made.began(SLOT, ["own"])()
    assert not holding.released
    at[0] = 4.0
    made.began(SLOT, [])()
    assert holding.released == ["own"]
    for at[0] in (15.0, 26.0):
        assert made.wants_later(SLOT)
        made.began(SLOT, [])()
    assert holding.abandoned == ["before"]
    assert holding.released == ["own"]


def test_a_drain_gives_back_what_the_job_before_held(
    holding: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "detach_subscription", lambda _path: holding)
    pulled(_PullUntilCheckpoint("path", "uploads"), Finalizer())
    paused = _PullUntilCheckpoint("path", "uploads", paused=True)
    for _ in range(2):
        assert pulled(paused, Finalizer(), b"0") == []
    assert holding.drained == 1


def test_a_job_has_left_once_its_workers_ended_however_long_a_bundle_takes(
    flight: tuple[InFlight, list[float]],
) -> None:
    made, _ = flight
    one, other = Worker(), Worker()
    made.workers = {one, other}
    one.end()
    assert not in_flight.has_left(made, 100_000.0)
    other.end()
    assert in_flight.has_left(made, 100_000.0)
    # Its last bundle was here a moment ago.
    made.used = 99_999.0
    assert not in_flight.has_left(made, 100_000.0)


def test_a_bundle_that_began_before_one_was_told_of_its_checkpoint_proves_nothing(
    holding: Holding, flight: tuple[InFlight, list[float]]
) -> None:
    made, at = flight
    first = made.began(SLOT, ["first"])
    at[0] = 0.2
    first()
    second = made.began(SLOT, ["second"])
    at[0] = 0.4
    second()
    assert holding.released == []
    at[0] = 2.0
    assert made.wants_later(SLOT)
    made.began(SLOT, [])()
    assert holding.released == ["first", "second"]
    assert not made.wants_later(SLOT)


def test_what_a_failed_bundle_took_is_given_back_once_later_ones_have_their_checkpoint(
    holding: Holding, flight: tuple[InFlight, list[float]]
) -> None:
    made, at = flight
    made.began(SLOT, ["lost"])
    for at[0] in (11.0, 22.0):
        assert made.wants_later(SLOT)
        assert not holding.abandoned
        made.began(SLOT, [])()
    assert holding.abandoned == ["lost"]
    assert not made.wants_later(SLOT)
    assert not holding.released


def test_a_slot_that_is_told_of_its_checkpoint_last_loses_nothing(
    holding: Holding, flight: tuple[InFlight, list[float]]
) -> None:
    made, at = flight
    slow = made.began(SIBLING, ["slow"])
    at[0] = 60.0
    made.began(SLOT, ["a"])()
    at[0] = 60.1
    made.began(SLOT, ["b"])()
    slow()
    at[0] = 65.0
    made.began(SIBLING, [])()
    made.began(SLOT, ["c"])()
    assert holding.released == ["slow", "a", "b"]
    assert not holding.abandoned


def followed_in_a_minute(made: InFlight, at: list[float]) -> int:
    """How many bundles that took nothing begin, where no checkpoint comes."""
    began = 0
    for at[0] in range(1, 61):
        if made.wants_later(SLOT):
            made.began(SLOT, [])
            began += 1
    return began


def test_without_checkpoints_nothing_is_given_back_and_bundles_are_few(
    holding: Holding, flight: tuple[InFlight, list[float]]
) -> None:
    made, at = flight
    made.began(SLOT, ["a"])
    assert 0 < followed_in_a_minute(made, at) <= 5
    assert not holding.abandoned


def test_a_bundle_that_took_nothing_follows_once_however_long_the_next_checkpoint_takes(
    holding: Holding, flight: tuple[InFlight, list[float]]
) -> None:
    made, at = flight
    made.began(SLOT, ["a"])()
    assert 0 < followed_in_a_minute(made, at) <= 6
    made.began(SLOT, [])()
    assert holding.released == ["a"]


def test_until_the_verdict_each_message_carries_its_receipt(holding: Holding) -> None:
    received = list(_PullUntilVerdict("reviews").process("path", Tracker(4)))
    assert [one.ack_id for one in received] == ["path|a0", "path|a1", "path|a2", "path|a3"]
    assert {one.stream for one in received} == {"reviews"}
    assert [held.ack_id for held in holding.waiting] == ["a4"]
