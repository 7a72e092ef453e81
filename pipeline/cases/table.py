"""Open cases in the memory of the worker, for engines that keep no checkpoint.

Prism holds state in its own memory and runs the worker as threads of this process. The state of a
case is lost with the process either way, and the broker redelivers what was not acked. So open
cases stay here as objects: through the engine, each upload costs three requests for its state and
a timer (``docs/decisions/0007-objects-inside-a-job.md``).
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import apache_beam as beam
from apache_beam.utils.timestamp import Duration

from quorum.core.metrics import OPEN_CASES
from quorum.pipeline.cases.orphans import OrphanPlaces, Place, Waiting
from quorum.pipeline.cases.stored import Orphan, StoredCase
from quorum.pipeline.streams.acks import abandon, acknowledge, register
from quorum.pipeline.streams.base import Joined
from quorum.pipeline.streams.lead import note_crowded
from quorum.pipeline.streams.unbounded import Unbounded

__all__ = ["CaseTable", "DueCases", "case_table", "overdue_cases"]

#: Seconds that a bundle waits for a due case, so that an idle stream costs little.
_IDLE_WAIT: Final = 0.5

#: Due cases in a bundle at most: their verdicts are published together at its end.
_MOST_DUE: Final = 256

#: Seconds that a case may be late before that is a problem of health.
OVERDUE_SECONDS: Final = 10.0

#: Entries of the heap beyond twice the cases, before those that are out of date are removed.
_SPARE_HEAP: Final = 1_000

#: Locks shared by all cases, by hash: threads rarely wait for another upload's case.
_LOCKS: Final = 64


class CaseTable:
    """Cases by upload, with the time at which each is due; thread-safe."""

    def __init__(self) -> None:
        self._cases: dict[str, StoredCase | bytes] = {}
        self._due: dict[str, float] = {}
        #: By upload: when a case was due that was taken and is not stored or removed since.
        self._taken: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._changed = threading.Condition()
        #: By upload: how many verdicts are not yet published, and the ack ids that wait for them.
        self._unpublished: dict[str, tuple[int, list[str]]] = {}
        self._orphans = OrphanPlaces()
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))

    @contextmanager
    def locked(self, upload_id: str) -> Iterator[None]:
        """Lock this upload's case against other threads."""
        with self._locks[hash(upload_id) % _LOCKS]:
            yield

    def get(self, upload_id: str) -> StoredCase | bytes | None:
        """The case or snapshot of an upload; None if there is none."""
        return self._cases.get(upload_id)

    def put(self, upload_id: str, case: StoredCase | bytes, due: float) -> None:
        """Store a case.

        Args:
            upload_id: Its upload.
            case: The case, or its snapshot.
            due: When ``take_due`` returns it, in seconds since the epoch.
        """
        with self._changed:
            self._cases[upload_id] = case
            self._taken.pop(upload_id, None)
            if self._orphans.has_evicted(upload_id):
                due = min(due, time.time())
            self._set_due(upload_id, due)
            OPEN_CASES.set(len(self._cases))

    def _set_due(self, upload_id: str, due: float) -> None:
        if self._due.get(upload_id) == due:
            return
        self._due[upload_id] = due
        heapq.heappush(self._heap, (due, upload_id))
        if len(self._heap) > 2 * len(self._due) + _SPARE_HEAP:
            # Entries of cases that are due at another time now, or that were removed.
            self._heap = [(when, name) for name, when in self._due.items()]
            heapq.heapify(self._heap)
        if self._heap[0][1] == upload_id:
            self._changed.notify()

    def hold_orphans(self, upload_id: str, orphans: Iterable[Orphan]) -> None:
        """Note which messages of a case wait for its upload, in place of those before.

        Those that lose their place by it, perhaps of other cases, are returned by
        ``take_evicted``, for which their cases are due now.
        """
        with self._changed:
            for other in self._orphans.update(upload_id, map(_waiting, orphans)):
                if other in self._cases:
                    self._set_due(other, time.time())
            for stream in self._orphans.streams:
                note_crowded(id(self), stream, self._orphans.is_crowded(stream))

    def take_evicted(self, upload_id: str) -> set[str]:
        """The keys of a case's orphans that lost their place; each is returned once."""
        with self._changed:
            return self._orphans.take_evicted(upload_id)

    def remove(self, upload_id: str) -> None:
        """Remove a case."""
        with self._changed:
            self._cases.pop(upload_id, None)
            self._orphans.update(upload_id, ())
            self._due.pop(upload_id, None)
            self._taken.pop(upload_id, None)
            OPEN_CASES.set(len(self._cases))

    def take_due(self, limit: int, wait: float) -> list[str]:
        """Take uploads whose cases are due, oldest first; each is returned once for each ``put``.

        Args:
            limit: How many to return at most.
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
                        self._taken[upload_id] = due
                        taken.append(upload_id)
                if taken or now >= end:
                    return taken
                next_due = self._heap[0][0] if self._heap else end
                self._changed.wait(max(0.001, min(next_due, end) - now))

    def overdue(self) -> float:
        """By how many seconds the case that is late the most is late; 0 if none is.

        A case is due at its deadline, and when something in it expires.
        """
        with self._changed:
            while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
                heapq.heappop(self._heap)
            dues = [*self._taken.values(), *(due for due, _ in self._heap[:1])]
            return max(0.0, time.time() - min(dues, default=time.time()))

    def publishing(self, upload_id: str) -> None:
        """Record that a verdict of this upload is on its way to the sink."""
        with self._changed:
            count, ack_ids = self._unpublished.get(upload_id, (0, []))
            self._unpublished[upload_id] = (count + 1, ack_ids)

    def hold_until_published(self, upload_id: str, ack_ids: tuple[str, ...]) -> bool:
        """Hold ack ids until the upload's verdicts that are on their way have been published.

        If such a verdict is lost, a duplicate of its upload may be the only message left to decide
        it again: it must not be acked before.

        Returns:
            Whether they are held; False if no verdict is on its way.
        """
        with self._changed:
            held = self._unpublished.get(upload_id)
            if held is None:
                return False
            held[1].extend(ack_ids)
            return True

    def release(self, upload_ids: Iterable[str]) -> None:
        """Record that one verdict of each upload has been published; see ``acks.register``."""
        done: list[str] = []
        with self._changed:
            for upload_id in upload_ids:
                count, ack_ids = self._unpublished.pop(upload_id, (0, []))
                if count > 1:
                    self._unpublished[upload_id] = (count - 1, ack_ids)
                else:
                    done += ack_ids
        acknowledge(done)

    def abandon(self, upload_ids: Iterable[str]) -> None:
        """Forget cases whose verdict cannot be published: their messages are delivered again."""
        for upload_id in upload_ids:
            with self.locked(upload_id):
                with self._changed:
                    _, ack_ids = self._unpublished.pop(upload_id, (0, []))
                self.remove(upload_id)
            abandon(ack_ids)


_TABLES: dict[str, CaseTable] = {}
_TABLES_LOCK = threading.Lock()


def overdue_cases() -> str | None:
    """Why cases of this process are late; None if none is."""
    with _TABLES_LOCK:
        tables = tuple(_TABLES.values())
    late = max((table.overdue() for table in tables), default=0.0)
    if late <= OVERDUE_SECONDS:
        return None
    return f"a case should have been decided or closed {late:.0f} s ago"


def case_table(job: str) -> CaseTable:
    """The table of a job in this process, created at the first call."""
    with _TABLES_LOCK:
        if job not in _TABLES:
            _TABLES[job] = CaseTable()
            register(job, _TABLES[job])
        return _TABLES[job]


def _waiting(orphan: Orphan) -> Waiting:
    place = Place.of(orphan.received)
    return Waiting(orphan.key, place, max(1, len(orphan.ack_ids)), len(orphan.received.data))


class DueCases(beam.PTransform[beam.pvalue.PBegin, beam.PCollection[tuple[str, Joined]]]):
    """An unbounded source of ``(upload id, Joined(()))`` for each case that is due.

    Args:
        job: The job of the table.
    """

    def __init__(self, job: str) -> None:
        super().__init__()
        self.job = job

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[tuple[str, Joined]]:
        """See PTransform."""
        take = _TakeDue()  # type: ignore[no-untyped-call]
        due: beam.PCollection[tuple[str, Joined]] = (
            begin
            | "Table" >> beam.Create([self.job], reshuffle=False)
            | "Take" >> beam.ParDo(take).with_output_types(tuple[str, Joined])
        )
        return due


class _TakeDue(beam.DoFn):
    @beam.DoFn.unbounded_per_element()  # type: ignore[untyped-decorator]
    def process(
        self,
        job: str,
        tracker: Any = beam.DoFn.RestrictionParam(Unbounded()),  # noqa: B008
    ) -> Iterator[tuple[str, Joined]]:
        position = tracker.current_restriction().start
        table = case_table(job)
        for upload_id in table.take_due(_MOST_DUE, _IDLE_WAIT):
            if not tracker.try_claim(position):
                # For the next bundle.
                if (case := table.get(upload_id)) is not None:
                    table.put(upload_id, case, time.time())
                continue
            position += 1
            yield upload_id, Joined(())
        tracker.defer_remainder(Duration(0))
