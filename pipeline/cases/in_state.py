"""Cases in the engine's state: of an unbounded stream (Flink, Dataflow), and of a bounded input."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any

import apache_beam as beam
from apache_beam import coders
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp

from quorum.aggregator.features.table import FeatureTable, NoFeatures
from quorum.core.messages import now
from quorum.pipeline.cases.dofn import CaseDoFn
from quorum.pipeline.cases.orphans import OrphanPace, Place
from quorum.pipeline.cases.stored import StoredCase
from quorum.pipeline.streams.base import Joined

__all__ = ["BoundedCaseDoFn", "StreamCaseDoFn"]


class StreamCaseDoFn(CaseDoFn):
    """Drives the cases of an unbounded stream: deadlines are in processing time."""

    #: A bag of one element: unlike a value, it is not cleared before it is first written.
    CASE = BagStateSpec("case", coders.BytesCoder())
    DUE = TimerSpec("due", TimeDomain.REAL_TIME)

    def setup(self) -> None:
        super().setup()
        self._pace = OrphanPace()

    def features(self) -> FeatureTable:
        """None: they come with the upload (``quorum.pipeline.cases.features``)."""
        return NoFeatures()

    def process(
        self,
        element: tuple[str, Joined],
        case: Any = beam.DoFn.StateParam(CASE),  # noqa: B008
        due: Any = beam.DoFn.TimerParam(DUE),  # noqa: B008
    ) -> Iterator[Any]:
        data = _only(case)
        stored = self.restored(data)
        yield from self.expire_orphans(stored)
        yield from self._expire_crowded(stored)
        known = {one.key for one in stored.orphans}
        yield from self.on_joined(stored, element[1])
        self._keep(stored, data, case, due, self._crowded_until(stored, known))

    @on_timer(DUE)
    def on_due(
        self,
        case: Any = beam.DoFn.StateParam(CASE),  # noqa: B008
        due: Any = beam.DoFn.TimerParam(DUE),  # noqa: B008
    ) -> Iterator[Any]:
        data = _only(case)
        if not data:
            return
        stored = self.restored(data)
        yield from self._expire_crowded(stored)
        stored.due = 0.0
        yield from self.on_timer(stored)
        self._keep(stored, data, case, due)

    def _expire_crowded(self, stored: StoredCase) -> Iterator[Any]:
        """Discard orphans whose time was cut because their publisher has too many."""
        ends = None if stored.opened else stored.case.notify_at()
        at = now()
        if ends is not None and 0.0 < stored.due <= at.timestamp() and at < ends:
            yield from self.discard_orphans(stored, {one.key for one in stored.orphans})

    def _crowded_until(self, stored: StoredCase, known: Set[str]) -> float | None:
        """When the orphans of a case end, if that is before their time; in seconds."""
        if stored.opened:
            return None
        at = now().timestamp()
        ends = [stored.due] if known and stored.due else []
        for one in stored.orphans:
            wait = None if one.key in known else self._pace.wait(Place.of(one.received), at)
            if wait is not None:
                ends.append(at + wait)
        return min(ends, default=None)

    @staticmethod
    def _keep(
        stored: StoredCase, before: bytes | None, case: Any, due: Any, until: float | None = None
    ) -> None:
        if before:
            case.clear()
        when = stored.case.notify_at()
        if when is None:
            due.clear()
            return
        ends = when.timestamp() if until is None else min(until, when.timestamp())
        if stored.due != ends:
            stored.due = ends
            due.set(Timestamp.of(stored.due))
        case.add(stored.snapshot())


class BoundedCaseDoFn(CaseDoFn):
    """Drives the cases of a bounded input, whose end is every case's deadline."""

    CASE = BagStateSpec("case", coders.BytesCoder())
    END = TimerSpec("end", TimeDomain.WATERMARK)

    def process(
        self,
        element: tuple[str, Joined],
        case: Any = beam.DoFn.StateParam(CASE),  # noqa: B008
        end: Any = beam.DoFn.TimerParam(END),  # noqa: B008
    ) -> Iterator[Any]:
        data = _only(case)
        stored = self.restored(data)
        yield from self.on_joined(stored, element[1])
        end.set(GlobalWindow().max_timestamp())
        if data:
            case.clear()
        case.add(stored.snapshot())

    @on_timer(END)
    def on_end(self, case: Any = beam.DoFn.StateParam(CASE)) -> Iterator[Any]:  # noqa: B008
        if data := _only(case):
            yield from self.on_end_of_input(self.restored(data))
            case.clear()


def _only(case: Any) -> bytes | None:
    """The state of a case; None for a new one."""
    return next(iter(case.read()), None)
