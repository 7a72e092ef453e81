"""What the overview tells, counted every few seconds beside the pages, never within one."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, select

from quorum.console import tasks
from quorum.ledger import Ledger
from quorum.ledger.console_schema import decisions
from quorum.ledger.schema import cases, predictions, verdicts
from quorum.messages import Action, Verdict, now

__all__ = ["Health", "Overturned", "Overview", "Overviews"]

#: Cases that the figures are of; the newest.
RECENT: Final = 5000
_OF_A_DETECTOR: Final = 500
_DECISIONS: Final = 1000
_BUCKETS: Final = 36
_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Health:
    """How one detector does, by its newest predictions."""

    detector: str
    count: int
    scored: float
    abstained: float
    failed: float
    last: datetime | None

    @property
    def state(self) -> str:
        """In a word."""
        if not self.count:
            return "silent"
        return "failing" if self.failed > 0.2 else "unsteady" if self.failed > 0.02 else "well"


@dataclass(frozen=True, slots=True)
class Overturned:
    """How often reviewers allowed what a rule, or a detector, had stopped."""

    name: str
    decided: int
    allowed: int

    @property
    def rate(self) -> float:
        """From 0 to 1."""
        return self.allowed / self.decided if self.decided else 0.0


@dataclass(frozen=True, slots=True)
class Overview:
    """The figures.

    Attributes:
        at: When they were counted.
        cases: How many cases they are of.
        times: Beginnings of the buckets of time.
        by_action: For each action, the verdicts in each bucket.
        median: Of the latency in seconds, in each bucket; None where there is none.
        p50: Latency in seconds of all of them.
        p95: Latency in seconds that 19 of 20 stay under.
        deadline: Share that was decided at the deadline.
        capped: How many removals a cap turned into reviews.
        open: Tasks that wait.
        late: Tasks that are overdue.
        detectors: Their health.
        rules: By rule, what reviewers overturned.
        by_detector: By the detector with the greatest score, what they overturned.
    """

    at: datetime
    cases: int
    times: tuple[datetime, ...]
    by_action: Mapping[str, tuple[int, ...]]
    median: tuple[float | None, ...]
    p50: float
    p95: float
    deadline: float
    capped: int
    open: int
    late: int
    detectors: tuple[Health, ...]
    rules: tuple[Overturned, ...]
    by_detector: tuple[Overturned, ...]


class Overviews:
    """Keeps the figures current.

    Args:
        ledger: What is counted.
        detectors: Whose health is shown.
    """

    def __init__(self, ledger: Ledger, detectors: Sequence[str]) -> None:
        self._ledger = ledger
        self._detectors = tuple(detectors)
        self._lock = threading.Lock()
        self._found: Overview | None = None
        self._counted = 0.0

    def current(self) -> Overview:
        """The figures, counted now if they never were."""
        if self._found is None:
            self.refresh()
        assert self._found is not None
        return self._found

    def refresh(self, *, force: bool = True) -> None:
        """Count again, unless that was a moment ago."""
        with self._lock:
            if not force and time.monotonic() - self._counted < _SECONDS:
                return
            counts = tasks.open_counts(self._ledger)
            self._found = self._ledger.transact(
                lambda connection: _count(connection, counts, self._detectors)
            )
            self._counted = time.monotonic()


def _count(
    connection: Connection,
    counts: Mapping[Any, tuple[int, int]],
    detectors: Sequence[str],
) -> Overview:
    c = cases.c
    query = (
        select(c.at, c.action, c.decided_by, c.latency)
        .where(c.at.is_not(None))
        .order_by(c.at.desc())
        .limit(RECENT)
    )
    rows = connection.execute(query).all()
    end = max([now(), *(row.at for row in rows[:1])])
    first = rows[-1].at if rows else end - timedelta(hours=1)
    width = max((end - first) / _BUCKETS, timedelta(seconds=1))
    series: dict[str, list[int]] = {action.value: [0] * _BUCKETS for action in Action}
    latencies: dict[int, list[float]] = defaultdict(list)
    decided_by: Counter[str] = Counter()
    for row in rows:
        bucket = min(int((row.at - first) / width), _BUCKETS - 1)
        series[row.action][bucket] += 1
        latencies[bucket].append(row.latency)
        decided_by[row.decided_by] += 1
    ordered = sorted(row.latency for row in rows)
    rules, tops = _overturned(connection)
    return Overview(
        at=now(),
        cases=len(rows),
        times=tuple(first + width * n for n in range(_BUCKETS)),
        by_action={name: tuple(values) for name, values in series.items()},
        median=tuple(_quantile(sorted(latencies.get(n, ())), 0.5) for n in range(_BUCKETS)),
        p50=_quantile(ordered, 0.5) or 0.0,
        p95=_quantile(ordered, 0.95) or 0.0,
        deadline=decided_by["deadline"] / len(rows) if rows else 0.0,
        capped=decided_by["cap"],
        open=sum(count for count, _ in counts.values()),
        late=sum(late for _, late in counts.values()),
        detectors=tuple(_health(connection, name) for name in detectors),
        rules=rules,
        by_detector=tops,
    )


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


def _health(connection: Connection, detector: str) -> Health:
    p = predictions.c
    query = (
        select(p.status, p.at)
        .where(p.detector == detector)
        .order_by(p.at.desc())
        .limit(_OF_A_DETECTOR)
    )
    rows = connection.execute(query).all()
    counts = Counter(row.status for row in rows)
    total = len(rows) or 1
    return Health(
        detector=detector,
        count=len(rows),
        scored=counts["scored"] / total,
        abstained=counts["abstained"] / total,
        failed=counts["failed"] / total,
        last=rows[0].at if rows else None,
    )


def _overturned(
    connection: Connection,
) -> tuple[tuple[Overturned, ...], tuple[Overturned, ...]]:
    d = decisions.c
    query = (
        select(d.action, verdicts.c.body)
        .join(verdicts, verdicts.c.id == d.verdict_id)
        .where(d.state == "published", d.kind.in_(("review", "second", "appeal")))
        .order_by(d.due_at.desc())
        .limit(_DECISIONS)
    )
    by_rule: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    by_detector: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for action, body in connection.execute(query):
        verdict = Verdict.model_validate_json(body)
        scored = [one for one in verdict.predictions if one.score is not None and not one.shadow]
        top = max(scored, key=lambda one: one.score or 0.0, default=None)
        for table, name in ((by_rule, verdict.rule), (by_detector, top and top.detector)):
            if name:
                table[name][0] += 1
                table[name][1] += action == Action.ALLOW.value
    return _sorted(by_rule), _sorted(by_detector)


def _sorted(table: Mapping[str, Sequence[int]]) -> tuple[Overturned, ...]:
    made = [Overturned(name, decided, allowed) for name, (decided, allowed) in table.items()]
    return tuple(sorted(made, key=lambda one: (-one.rate, -one.decided, one.name))[:12])
