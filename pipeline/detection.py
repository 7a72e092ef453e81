"""Uploads that are being scored in this process, each with the time at which its case must know.

Where workers are threads of the process that holds the messages (Prism), scoring is not part of a
bundle: an upload that hangs holds up no other. Uploads are put here as they are decoded, and taken
as soon as their predictions are complete, or when they are due.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import apache_beam as beam
from apache_beam.utils.timestamp import Duration

from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import Prediction, Upload
from quorum.core.metrics import IN_DETECTION, WAITING_FOR_DETECTION
from quorum.models.supervision.shared import shared_supervisor
from quorum.models.supervision.spec import EnsembleSpec
from quorum.models.supervision.supervisor import Supervisor
from quorum.models.supervision.task import Task
from quorum.pipeline.policies.live import LivePolicy
from quorum.pipeline.streams.base import Received
from quorum.pipeline.streams.unbounded import Unbounded

__all__ = ["Arrival", "Detection", "Times", "detection"]

#: Seconds that a bundle waits for a scored upload, so that an idle stream costs little.
_IDLE_WAIT: Final = 0.5

#: Scored uploads in a bundle at most: their verdicts are published together at its end.
_MOST_READY: Final = 256

#: Uploads that may be scored at the same time: as many as take this part of the deadline, and
#: between these bounds. The others of a burst wait without a deadline, as in the broker.
_SHARE: Final = 0.25
_LEAST: Final = {"texts": 16, "media": 4}
_MOST: Final = 1_024

#: Seconds over which the pace of a lane is measured.
_PACE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """An upload on its way through the detectors.

    Attributes:
        received: The message that brought it.
        upload: The upload.
        predictions: Its predictions.
        late: Whether it went on before, and these predictions follow it.
    """

    received: Received
    upload: Upload
    predictions: tuple[Prediction, ...] = ()
    late: bool = False


@dataclass(frozen=True, slots=True)
class Times:
    """How long an upload may be scored, in seconds after it began.

    Attributes:
        first: When its case must know what there is: at the first deadline of a detector.
        last: When all predictions must be there: at the policy's deadline.
        live: Follows the policies that are released, whose deadlines count then; None for none.
        policy: Gives them; None where there is none.
        shadows: The policies in shadow.
    """

    first: float
    last: float
    live: LivePolicy | None = None
    policy: Policy | None = None
    shadows: tuple[Policy, ...] = ()

    @classmethod
    def of(
        cls, policy: Policy, live: LivePolicy | None = None, shadows: tuple[Policy, ...] = ()
    ) -> Times:
        """The times that a policy gives, and its candidate where it has one."""
        detectors = (one for side in policy.sides for one in side.detectors.values())
        deadlines = [one.deadline for one in detectors if not one.shadow]
        first = min([policy.deadline, *deadlines])
        return cls(first, policy.deadline, live, policy, shadows)

    def now(self) -> Times:
        """Those of the policy in force."""
        return self if self.live is None else Times.of(self.live.current(), self.live, self.shadows)

    def left_out(self, upload: Upload, running: Mapping[str, str | None]) -> frozenset[str]:
        """The versions of detectors that are not asked. See ``Policy.left_out``."""
        policy = self.policy if self.live is None else self.live.current()
        if policy is None:
            return frozenset()
        return policy.left_out(upload, running, self.shadows)


@dataclass(slots=True, eq=False, kw_only=True)
class _Entry(Task):
    received: Received
    lane: str
    #: Predictions that did not go on yet.
    new: list[Prediction] = field(default_factory=list)
    gone: bool = False


@dataclass(slots=True)
class _Lane:
    """Uploads of one lane of the supervisor: those that wait, and the pace of the others."""

    least: int
    waiting: deque[_Entry] = field(default_factory=deque)
    running: int = 0
    #: When uploads were done, in monotonic seconds, of the last ``_PACE_SECONDS``.
    done: deque[float] = field(default_factory=deque)

    def room(self, now: float, seconds: float) -> int:
        """How many more may be scored, so that each has an answer in so many seconds."""
        while self.done and self.done[0] < now - _PACE_SECONDS:
            self.done.popleft()
        pace = len(self.done) / _PACE_SECONDS
        return max(self.least, min(_MOST, int(pace * seconds))) - self.running


class Detection:
    """Scores uploads of a stream, and keeps the time of each; thread-safe.

    Args:
        supervisor: Scores.
        times: How long an upload may be scored.
    """

    def __init__(self, supervisor: Supervisor, times: Times) -> None:
        self._supervisor = supervisor
        self._times = times
        self._changed = threading.Condition()
        self._lanes = {name: _Lane(least) for name, least in _LEAST.items()}
        self._due: list[tuple[float, int, _Entry]] = []
        self._ready: deque[Arrival] = deque()
        self._numbers = itertools.count()
        lanes = self._lanes
        IN_DETECTION.set_function(lambda: float(sum(one.running for one in lanes.values())))
        WAITING_FOR_DETECTION.set_function(
            lambda: float(sum(len(one.waiting) for one in lanes.values()))
        )

    def put(self, received: Received, upload: Upload) -> None:
        """Score an upload as soon as there is room for it."""
        lane = "media" if upload.media else "texts"
        entry = _Entry(
            upload=upload,
            deliver=self._deliver,
            trace=received.trace,
            left_out=self._times.left_out(upload, self._supervisor.versions),
            received=received,
            lane=lane,
        )
        with self._changed:
            self._lanes[lane].waiting.append(entry)
            admitted = self._admit(lane)
        self._supervisor.submit(admitted)

    def take(self, limit: int, seconds: float) -> list[Arrival]:
        """Up to so many uploads that go on; waits up to so many seconds for the first."""
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                now = time.monotonic()
                self._expire(now)
                if self._ready or now >= end:
                    return [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]
                due = self._due[0][0] if self._due else end
                self._changed.wait(max(0.001, min(due, end) - now))

    def put_back(self, arrival: Arrival) -> None:
        """Undo the taking of an arrival that was not processed."""
        with self._changed:
            self._ready.appendleft(arrival)

    def _admit(self, name: str) -> list[_Entry]:
        lane = self._lanes[name]
        now = time.monotonic()
        admitted: list[_Entry] = []
        times = self._times.now()
        room = lane.room(now, _SHARE * times.last) if lane.waiting else 0
        while lane.waiting and room > 0:
            entry = lane.waiting.popleft()
            entry.due = now + times.last
            # The deadline counts from here: until now the upload waited as in the broker.
            entry.received = replace(entry.received, arrived=time.time())
            heapq.heappush(self._due, (now + times.first, next(self._numbers), entry))
            admitted.append(entry)
            room -= 1
        lane.running += len(admitted)
        return admitted

    def _deliver(self, task: Task, new: Sequence[Prediction], last: bool) -> None:
        assert isinstance(task, _Entry)
        admitted: list[_Entry] = []
        with self._changed:
            task.new += new
            if last or task.gone:
                self._go(task)
            if last:
                lane = self._lanes[task.lane]
                lane.running -= 1
                lane.done.append(time.monotonic())
                admitted = self._admit(task.lane)
            self._changed.notify_all()
        if admitted:
            self._supervisor.submit(admitted)

    def _expire(self, now: float) -> None:
        while self._due and (self._due[0][2].gone or self._due[0][0] <= now):
            entry = heapq.heappop(self._due)[2]
            if not entry.gone:
                self._go(entry)

    def _go(self, entry: _Entry) -> None:
        if entry.gone and not entry.new:
            return
        predictions = tuple(self._supervisor.ordered(entry.new))
        self._ready.append(Arrival(entry.received, entry.upload, predictions, late=entry.gone))
        entry.new, entry.gone = [], True


_detections: dict[str, Detection] = {}
_lock = threading.Lock()


def detection(ensemble: EnsembleSpec, times: Times) -> Detection:
    """This process's only Detection of an ensemble, created at the first call."""
    with _lock:
        if ensemble.key not in _detections:
            _detections[ensemble.key] = Detection(shared_supervisor(ensemble), times)
        return _detections[ensemble.key]


class TakeScored(beam.DoFn):
    """An unbounded source of the uploads that go on.

    Args:
        ensemble: The ensemble.
        times: How long an upload may be scored.
    """

    def __init__(self, ensemble: EnsembleSpec, times: Times) -> None:
        self.ensemble = ensemble
        self.times = times

    @beam.DoFn.unbounded_per_element()  # type: ignore[untyped-decorator]
    def process(
        self,
        _element: str,
        tracker: Any = beam.DoFn.RestrictionParam(Unbounded()),  # noqa: B008
    ) -> Iterator[Arrival]:
        position = tracker.current_restriction().start
        scored = detection(self.ensemble, self.times)
        for arrival in scored.take(_MOST_READY, _IDLE_WAIT):
            if not tracker.try_claim(position):
                scored.put_back(arrival)
                continue
            position += 1
            yield arrival
        tracker.defer_remainder(Duration(0))
