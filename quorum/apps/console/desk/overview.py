"""The overview's figures, computed every few seconds in the background."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, select

from quorum.apps.console.desk import outbox, queues
from quorum.apps.console.desk.alarms import Bounds, unanswered
from quorum.apps.console.desk.health import DetectorHealth, health
from quorum.apps.console.desk.trends import TrendCache
from quorum.core.intervals import wilson
from quorum.core.messages import Action, Verdict, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import decisions
from quorum.store.ledger.schema import cases, verdicts

__all__ = ["Overturned", "Overview", "OverviewCache"]

#: The newest cases that the figures are computed from.
RECENT: Final = 5000
_DECISIONS: Final = 1000
_SECONDS: Final = 5.0
#: Refreshing slows the pages down: it stops after this time without a reader.
_IDLE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Overturned:
    """How often reviewers allowed what a rule or a detector had stopped."""

    name: str
    decided: int
    allowed: int

    @property
    def rate(self) -> float:
        """The share of decided cases that reviewers allowed."""
        return self.allowed / self.decided if self.decided else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of that share."""
        return wilson(self.allowed, self.decided)


@dataclass(frozen=True, slots=True)
class Overview:
    """The overview's figures.

    Attributes:
        at: When they were computed.
        cases: The number of cases that they are computed from.
        p50: The median latency in seconds, without reviewers' verdicts.
        p95: The 95th percentile of the latency in seconds.
        deadline: The share of cases decided at the deadline.
        capped: The number of removals that a cap turned into reviews, and of reviews that one
            turned into restrictions.
        open: The number of open tasks.
        late: The number of overdue tasks.
        stuck: The number of decisions that could not be published yet.
        unanswered: The number of published decisions that led to no verdict in time.
        detectors: The health of the detectors.
        rules: Overturned decisions by rule.
        by_detector: Overturned decisions by the detector with the greatest score.
    """

    at: datetime
    cases: int
    p50: float
    p95: float
    deadline: float
    capped: int
    open: int
    late: int
    stuck: int
    unanswered: int
    detectors: tuple[DetectorHealth, ...]
    rules: tuple[Overturned, ...]
    by_detector: tuple[Overturned, ...]


class OverviewCache:
    """Caches the figures and refreshes them while somebody reads them.

    Args:
        ledger: The ledger.
        detectors: Returns the detectors to list even if they have no predictions.
        bounds: From when on a decision should have led to a verdict.
    """

    def __init__(
        self,
        ledger: Ledger,
        detectors: Callable[[], Iterable[str]],
        bounds: Bounds = Bounds(),  # noqa: B008 (frozen)
    ) -> None:
        self._ledger = ledger
        self._detectors = detectors
        self._bounds = bounds
        self._tops: dict[str, str | None] = {}
        self._lock = threading.Lock()
        self._found: Overview | None = None
        self._counted = 0.0
        self._asked = float("-inf")
        #: The verdicts over time, by window.
        self.trends = TrendCache(ledger)

    def current(self) -> Overview:
        """Return the figures; compute them first if there are none or they are outdated."""
        self._asked = time.monotonic()
        if self._found is None or self._asked - self._counted > _IDLE_SECONDS:
            self.refresh()
        assert self._found is not None
        return self._found

    def refresh(self, *, force: bool = True) -> None:
        """Compute the figures; without ``force``, only if they are due and somebody reads them."""
        self.trends.refresh()
        with self._lock:
            at = time.monotonic()
            if not force and (at - self._counted < _SECONDS or at - self._asked > _IDLE_SECONDS):
                return
            counts = queues.open_counts(self._ledger)
            detectors = self._detectors()
            self._found = self._ledger.transact(
                lambda connection: _count(connection, counts, detectors, self._tops, self._bounds)
            )
            self._counted = time.monotonic()


def _count(
    connection: Connection,
    counts: Mapping[Any, tuple[int, int]],
    detectors: Iterable[str],
    kept: dict[str, str | None],
    bounds: Bounds,
) -> Overview:
    c = cases.c
    query = (
        select(c.decided_by, c.latency).where(c.at.is_not(None)).order_by(c.at.desc()).limit(RECENT)
    )
    rows = connection.execute(query).all()
    decided_by = Counter(row.decided_by for row in rows)
    ordered = sorted(row.latency for row in rows if row.decided_by != "reviewer")
    rules, tops = _overturned(connection, kept)
    return Overview(
        at=now(),
        cases=len(rows),
        p50=_quantile(ordered, 0.5) or 0.0,
        p95=_quantile(ordered, 0.95) or 0.0,
        deadline=decided_by["deadline"] / len(rows) if rows else 0.0,
        capped=decided_by["cap"],
        open=sum(count for count, _ in counts.values()),
        late=sum(late for _, late in counts.values()),
        stuck=outbox.stuck(connection),
        unanswered=unanswered(connection, bounds, now())[0],
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
    """Cache the detector with the greatest score of each verdict; verdicts are immutable."""
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
    return tuple(sorted(made, key=lambda one: (-one.interval[0], -one.decided, one.name))[:12])
