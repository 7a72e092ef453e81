"""What the overview tells, counted every few seconds beside the pages, never within one."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, select

from quorum.apps.console.desk import outbox, tasks
from quorum.apps.console.desk.health import Health, health
from quorum.core.messages import Action, Verdict, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import decisions
from quorum.store.ledger.schema import cases, verdicts

__all__ = ["Overturned", "Overview", "Overviews"]

#: Cases that the figures are of; the newest.
RECENT: Final = 5000
_DECISIONS: Final = 1000
_BUCKETS: Final = 36
_SECONDS: Final = 5.0
#: Counting takes time from the pages: when nobody has asked for so many seconds, it ends.
_IDLE: Final = 30.0


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
        median: Of the latency in seconds, in each bucket; None where there is none. People's
            verdicts are left out here and below.
        p50: Latency in seconds of all of them.
        p95: Latency in seconds that 19 of 20 stay under.
        deadline: Share that was decided at the deadline.
        capped: How many removals a cap turned into reviews.
        open: Tasks that wait.
        late: Tasks that are overdue.
        stuck: Decisions that could not be published yet.
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
    stuck: int
    detectors: tuple[Health, ...]
    rules: tuple[Overturned, ...]
    by_detector: tuple[Overturned, ...]


class Overviews:
    """Keeps the figures current.

    Args:
        ledger: What is counted.
        detectors: Gives those whose health is shown even if they were never heard.
    """

    def __init__(self, ledger: Ledger, detectors: Callable[[], Iterable[str]]) -> None:
        self._ledger = ledger
        self._detectors = detectors
        self._tops: dict[str, str | None] = {}
        self._lock = threading.Lock()
        self._found: Overview | None = None
        self._counted = 0.0
        self._asked = float("-inf")

    def current(self) -> Overview:
        """The figures, counted now if they never were, or not since nobody asked for them."""
        self._asked = time.monotonic()
        if self._found is None or self._asked - self._counted > _IDLE:
            self.refresh()
        assert self._found is not None
        return self._found

    def refresh(self, *, force: bool = True) -> None:
        """Count again, unless that was a moment ago, or nobody asks."""
        with self._lock:
            at = time.monotonic()
            if not force and (at - self._counted < _SECONDS or at - self._asked > _IDLE):
                return
            counts = tasks.open_counts(self._ledger)
            detectors = self._detectors()
            self._found = self._ledger.transact(
                lambda connection: _count(connection, counts, detectors, self._tops)
            )
            self._counted = time.monotonic()


def _count(
    connection: Connection,
    counts: Mapping[Any, tuple[int, int]],
    detectors: Iterable[str],
    kept: dict[str, str | None],
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
        if row.decided_by != "reviewer":
            latencies[bucket].append(row.latency)
        decided_by[row.decided_by] += 1
    ordered = sorted(taken for bucket in latencies.values() for taken in bucket)
    rules, tops = _overturned(connection, kept)
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
        stuck=outbox.stuck(connection),
        detectors=health(connection, detectors),
        rules=rules,
        by_detector=tops,
    )


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


def _overturned(
    connection: Connection, tops: dict[str, str | None]
) -> tuple[tuple[Overturned, ...], tuple[Overturned, ...]]:
    d, v = decisions.c, verdicts.c
    query = (
        select(d.action, v.id, v.rule)
        .join(verdicts, v.id == d.verdict_id)
        .where(d.state == "published", d.kind.in_(("review", "second", "appeal")))
        .order_by(d.due_at.desc())
        .limit(_DECISIONS)
    )
    rows = connection.execute(query).all()
    _learn_tops(connection, {row.id for row in rows}, tops)
    by_rule: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    by_detector: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for action, verdict_id, rule in rows:
        for table, name in ((by_rule, rule), (by_detector, tops.get(verdict_id))):
            if name:
                table[name][0] += 1
                table[name][1] += action == Action.ALLOW.value
    return _sorted(by_rule), _sorted(by_detector)


def _learn_tops(connection: Connection, wanted: set[str], tops: dict[str, str | None]) -> None:
    """The detector with the greatest score of each verdict; verdicts never change."""
    for known in tops.keys() - wanted:
        del tops[known]
    new = sorted(wanted - tops.keys())
    for start in range(0, len(new), 500):
        chunk = new[start : start + 500]
        query = select(verdicts.c.id, verdicts.c.body).where(verdicts.c.id.in_(chunk))
        for verdict_id, body in connection.execute(query):
            used = Verdict.model_validate_json(body).predictions
            scored = [one for one in used if one.score is not None and not one.shadow]
            top = max(scored, key=lambda one: one.score or 0.0, default=None)
            tops[verdict_id] = None if top is None else top.detector


def _sorted(table: Mapping[str, Sequence[int]]) -> tuple[Overturned, ...]:
    made = [Overturned(name, decided, allowed) for name, (decided, allowed) in table.items()]
    return tuple(sorted(made, key=lambda one: (-one.rate, -one.decided, one.name))[:12])
