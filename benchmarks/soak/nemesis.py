"""The nemesis: which faults come when, drawn from a seed, and how each is done and undone."""

from __future__ import annotations

import random
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from benchmarks.soak.broker import Broker
from benchmarks.soak.history import History, Outage
from benchmarks.soak.scenarios import FAULTS, KILLS
from benchmarks.soak.under_test import UnderTest

__all__ = ["Fault", "Nemesis", "faults"]

#: How long each fault lasts, in seconds: from and to. A kill lasts until the next process pulls.
_LENGTHS: Final = {
    "kill": (0.0, 0.0),
    "prism": (0.0, 0.0),
    "taskmanager": (0.0, 0.0),
    "jobmanager": (0.0, 0.0),
    "pause": (2.0, 12.0),
    "slow": (3.0, 10.0),
    "stall": (3.0, 15.0),
    "away": (2.0, 12.0),
    "remade": (0.5, 2.0),
    "disk": (3.0, 10.0),
}
#: How long a killed job takes to be back, at most; a longer time is an end of the soak.
_TO_BE_BACK = 120.0
#: How long a fault is waited out after its end.
_TO_WORK = 30.0
_DELAY = 0.3
#: Seconds between two faults, on average: a twentieth of the soak, from and to.
_LEAST_CALM, _MOST_CALM = 5.0, 30.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        after: Seconds of calm before it, from the end of the fault before.
        kind: Its scenario.
        seconds: How long it lasts.
    """

    after: float
    kind: str
    seconds: float


def faults(seed: int, seconds: float, scenarios: frozenset[str]) -> Iterator[Fault]:
    """The faults of a seed, without end: every kind in turn, in a random order, with calm between.

    Args:
        seed: Of the soak.
        seconds: How long it is: in a short one the calm is shorter, so that every kind comes.
        scenarios: Which kinds there are.
    """
    random_ = random.Random(seed + 1)
    kinds = [kind for kind in FAULTS if kind in scenarios]
    calm = min(_MOST_CALM, max(_LEAST_CALM, seconds / 20))
    while kinds:
        for kind in random_.sample(kinds, len(kinds)):
            low, high = _LENGTHS[kind]
            length = random_.uniform(low, min(high, max(low, seconds / 10)))
            yield Fault(random_.uniform(0.5, 1.5) * calm, kind, length)


class Nemesis:
    """Does what the schedule says.

    Args:
        job: The job under test.
        broker: Its broker, and the network between.
        history: Takes each fault when it is over.
    """

    def __init__(self, job: UnderTest, broker: Broker, history: History) -> None:
        self._job = job
        self._broker = broker
        self._history = history

    def run(self, planned: Iterator[Fault], until: float, stop: threading.Event) -> None:
        """Do one fault after the other until a time of ``time.monotonic``."""
        for fault in planned:
            if time.monotonic() + fault.after + fault.seconds > until or stop.wait(fault.after):
                return
            self.do(fault)
            self._await_work(stop)

    def _await_work(self, stop: threading.Event) -> None:
        """Wait until the job works again, so that no fault falls into the repair of the last."""
        stores, deadline = self._broker.tap.stores, time.monotonic() + _TO_WORK
        while self._broker.tap.stores == stores and time.monotonic() < deadline:
            if stop.wait(0.1):
                return

    def do(self, fault: Fault) -> None:
        """Do one fault, and undo it."""
        begun = time.time()
        if fault.kind in KILLS:
            self._kill(fault.kind)
        else:
            done, undone = self._switch(fault.kind)
            done()
            time.sleep(fault.seconds)
            undone()
        self._history.add(
            Outage(
                at=begun,
                kind=fault.kind,
                until=time.time(),
                loses_state=self._job.loses_state(fault.kind),
            )
        )

    def _switch(self, kind: str) -> tuple[Callable[[], None], Callable[[], None]]:
        job, proxy = self._job, self._broker.proxy
        return {
            "pause": (
                lambda: job.signal_all(signal.SIGSTOP),
                lambda: job.signal_all(signal.SIGCONT),
            ),
            "slow": (lambda: proxy.slow(_DELAY), proxy.heal),
            "stall": (proxy.stall, proxy.heal),
            "away": (proxy.refuse, proxy.heal),
            "remade": (self._broker.lose, self._broker.remake),
            "disk": (lambda: self._limit_files(0), lambda: self._limit_files(None)),
        }[kind]

    def _kill(self, kind: str) -> None:
        deadline = time.monotonic() + _TO_BE_BACK
        self._job.kill(kind, _TO_BE_BACK)
        pulls = self._broker.tap.pulls
        while self._broker.tap.pulls <= pulls and time.monotonic() < deadline:
            time.sleep(0.05)

    def _limit_files(self, size: int | None) -> None:
        """Let no file of the job grow beyond ``size`` bytes; None for no limit."""
        for pid in self._job.limited():
            with suppress(ProcessLookupError, PermissionError):
                _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                limit = hard if size is None else size
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, hard))
