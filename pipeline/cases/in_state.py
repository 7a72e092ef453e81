"""Cases in the engine's state: of an unbounded stream (Flink, Dataflow), and of a bounded input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam import coders
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp

from quorum.pipeline.cases.dofn import CaseDoFn
from quorum.pipeline.cases.stored import StoredCase
from quorum.pipeline.streams.base import Joined

__all__ = ["BoundedCaseDoFn", "StreamCaseDoFn"]


class StreamCaseDoFn(CaseDoFn):
    """Drives the cases of an unbounded stream: deadlines are in processing time."""

    #: A bag of one element: unlike a value, it is not cleared before it is first written.
    CASE = BagStateSpec("case", coders.BytesCoder())
    DUE = TimerSpec("due", TimeDomain.REAL_TIME)

    def process(
        self,
        element: tuple[str, Joined],
        case: Any = beam.DoFn.StateParam(CASE),  # noqa: B008
        due: Any = beam.DoFn.TimerParam(DUE),  # noqa: B008
    ) -> Iterator[Any]:
        data = _only(case)
        stored = self.restored(data)
        yield from self.expire_orphans(stored)
        yield from self.on_joined(stored, element[1])
        self._keep(stored, data, case, due)

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
        stored.due = 0.0
        yield from self.on_timer(stored)
        self._keep(stored, data, case, due)

    @staticmethod
    def _keep(stored: StoredCase, before: bytes | None, case: Any, due: Any) -> None:
        if before:
            case.clear()
        when = stored.case.notify_at()
        if when is None:
            due.clear()
            return
        if stored.due != when.timestamp():
            stored.due = when.timestamp()
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
