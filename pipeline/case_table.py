"""Open cases in the memory of the worker, for engines that keep no checkpoint.

Prism holds state in its own memory and runs the worker as threads of this process: the state of
a case is lost with the process either way, and the broker delivers again what is not acknowledged.
So the cases stay here as objects. Through the engine, each upload would cost three requests for
its state and a timer: half of all work of the stream (``docs/decisions/0007``).
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import apache_beam as beam
import prometheus_client as prometheus
from apache_beam.utils.timestamp import Duration

from quorum.pipeline.streams.acks import acknowledge, register
from quorum.pipeline.streams.base import Joined
from quorum.pipeline.streams.unbounded import Unbounded

__all__ = ["CaseTable", "DueCases", "case_table"]

#: Seconds that a bundle waits for a case that is due, so that an idle stream costs little.
_IDLE_WAIT: Final = 0.5

#: The most cases of one bundle: their verdicts are published together at its end.
_MOST_DUE: Final = 256

#: Two threads rarely wait for each other's case, and no case has a lock of its own.
_LOCKS: Final = 64

_OPEN = prometheus.Gauge("quorum_open_cases", "Cases kept in this process, decided ones too.")


class CaseTable:
    """Cases by upload, and when each is due; may be shared by threads."""

    def __init__(self) -> None:
        self._cases: dict[str, Any] = {}
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._changed = threading.Condition()
        #: Uploads with verdicts that are not yet published: how many, and ack ids that wait.
        self._unpublished: dict[str, tuple[int, list[str]]] = {}
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))

    @contextmanager
    def locked(self, upload_id: str) -> Iterator[None]:
        """Keep other threads from this upload's case."""
        with self._locks[hash(upload_id) % _LOCKS]:
            yield

    def get(self, upload_id: str) -> Any:
        """What was put for this upload, or None."""
        return self._cases.get(upload_id)

    def put(self, upload_id: str, case: Any, due: float) -> None:
        """Keep a case.

        Args:
            upload_id: Its upload.
            case: What ``get`` returns.
            due: When ``take_due`` gives it, in seconds since the epoch.
        """
        with self._changed:
            self._cases[upload_id] = case
            if self._due.get(upload_id) != due:
                self._due[upload_id] = due
                heapq.heappush(self._heap, (due, upload_id))
                if self._heap[0][1] == upload_id:
                    self._changed.notify()
            _OPEN.set(len(self._cases))

    def remove(self, upload_id: str) -> None:
        """Forget a case."""
        with self._changed:
            self._cases.pop(upload_id, None)
            self._due.pop(upload_id, None)
            _OPEN.set(len(self._cases))

    def take_due(self, limit: int, wait: float) -> list[str]:
        """Uploads whose cases are due, the longest first; each is given once for each ``put``.

        Args:
            limit: The most of them.
            wait: Seconds to wait for the first.
        """
        end = time.time() + wait
        taken: list[str] = []
        with self._changed:
            while True:
                now = time.time()
                while self._heap and self._heap[0][0] <= now and len(taken) < limit:
                    due, upload_id = heapq.heappop(self._heap)
                    if self._due.get(upload_id) == due:
                        del self._due[upload_id]
                        taken.append(upload_id)
                if taken or now >= end:
                    return taken
                next_due = self._heap[0][0] if self._heap else end
                self._changed.wait(max(0.001, min(next_due, end) - now))

    def publishing(self, upload_id: str) -> None:
        """Note that a verdict of this upload is on its way to the sink."""
        with self._changed:
            count, ack_ids = self._unpublished.get(upload_id, (0, []))
            self._unpublished[upload_id] = (count + 1, ack_ids)

    def until_published(self, upload_id: str, ack_ids: tuple[str, ...]) -> bool:
        """Hold ack ids until the verdicts on their way are published; whether there are any.

        A duplicate of an upload whose verdict could not be published must not be acknowledged: it
        may be all that is left of the upload.
        """
        with self._changed:
            held = self._unpublished.get(upload_id)
            if held is None:
                return False
            held[1].extend(ack_ids)
            return True

    def release(self, upload_ids: Iterable[str]) -> None:
        """One verdict of each of these uploads is published; see ``acks.register``."""
        done: list[str] = []
        with self._changed:
            for upload_id in upload_ids:
                count, ack_ids = self._unpublished.pop(upload_id, (0, []))
                if count > 1:
                    self._unpublished[upload_id] = (count - 1, ack_ids)
                else:
                    done += ack_ids
        acknowledge(done)

    def __len__(self) -> int:
        return len(self._cases)


_TABLES: dict[str, CaseTable] = {}
_TABLES_LOCK = threading.Lock()


def case_table(job: str) -> CaseTable:
    """This process's table of a job, made at the first call."""
    with _TABLES_LOCK:
        if job not in _TABLES:
            _TABLES[job] = CaseTable()
            register(job, _TABLES[job])
        return _TABLES[job]


class DueCases(beam.PTransform):
    """From the pipeline's begin to ``(upload id, Joined(()))`` of each case that is due.

    Args:
        job: Whose table.
    """

    def __init__(self, job: str) -> None:
        super().__init__()
        self.job = job

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[tuple[str, Joined]]:
        """See PTransform."""
        return (
            begin
            | "Table" >> beam.Create([self.job], reshuffle=False)
            | "Take" >> beam.ParDo(_TakeDue()).with_output_types(tuple[str, Joined])
        )


class _TakeDue(beam.DoFn):
    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        job: str,
        tracker: Any = beam.DoFn.RestrictionParam(Unbounded()),  # noqa: B008
    ) -> Iterator[tuple[str, Joined]]:
        position = tracker.current_restriction().start
        table = case_table(job)
        for upload_id in table.take_due(_MOST_DUE, _IDLE_WAIT):
            if not tracker.try_claim(position):
                # Put back: the next bundle takes it.
                if (case := table.get(upload_id)) is not None:
                    table.put(upload_id, case, 0.0)
                continue
            position += 1
            yield upload_id, Joined(())
        tracker.defer_remainder(Duration(0))
