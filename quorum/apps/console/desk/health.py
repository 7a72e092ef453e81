"""The health of each detector, measured on its newest predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select

from quorum.core.messages import now
from quorum.store.ledger.schema import predictions

__all__ = ["DetectorHealth", "health", "seen"]

#: Newest predictions per detector that the shares are computed from.
_SAMPLE: Final = 500
#: A producer of arbitrary names must not fill the page.
_MAX_DETECTORS: Final = 40
#: Every upload gets a prediction of every detector, if only an abstention. A detector is silent if
#: its last prediction is this much older than the newest one of all detectors, and quiet, as they
#: all are, if that is this old itself.
_SILENT_AFTER: Final = timedelta(minutes=30)
#: Detectors outside the policy are not listed after this time without a prediction.
_RETIRED_AFTER: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class DetectorHealth:
    """The health of one detector.

    Attributes:
        detector: The detector's name.
        version: The version in its newest prediction.
        scored: The share of scored predictions.
        abstained: The share of abstentions.
        failed: The share of failed predictions.
        last: The time of its newest prediction.
        shadow: Whether its newest prediction was a shadow.
        named: Whether the policy names it.
        state: ``healthy``, ``degraded``, ``failing``, ``silent`` or ``quiet``.
    """

    detector: str
    version: str
    scored: float
    abstained: float
    failed: float
    last: datetime | None
    shadow: bool
    named: bool
    state: str


def seen(connection: Connection) -> list[str]:
    """Return the names of detectors with predictions, by one index seek each."""
    detector = predictions.c.detector
    found: list[str] = []
    last = ""
    while len(found) < _MAX_DETECTORS:
        query = select(func.min(detector)).where(detector > last)
        name = connection.execute(query).scalar_one()
        if name is None:
            break
        found.append(name)
        last = name
    return found


def health(connection: Connection, named: Iterable[str]) -> tuple[DetectorHealth, ...]:
    """Measure the detectors that the policy names, then all others with predictions."""
    wanted = set(named)
    names = [*sorted(wanted), *(name for name in seen(connection) if name not in wanted)]
    rows = {name: _newest(connection, name) for name in names}
    newest = max((found[0].at for found in rows.values() if found), default=None)
    made = []
    for name in names:
        found = rows[name]
        if name not in wanted and newest - found[0].at > _RETIRED_AFTER:
            continue
        counts = Counter(row.status for row in found)
        total = len(found) or 1
        failed = counts["failed"] / total
        silent = not found or newest - found[0].at > _SILENT_AFTER
        quiet = newest is not None and now() - newest > _SILENT_AFTER
        made.append(
            DetectorHealth(
                detector=name,
                version=found[0].version if found else "",
                scored=counts["scored"] / total,
                abstained=counts["abstained"] / total,
                failed=failed,
                last=found[0].at if found else None,
                shadow=bool(found and found[0].shadow),
                named=name in wanted,
                state="silent" if silent else "quiet" if quiet else _state(failed),
            )
        )
    return tuple(made)


def _state(failed: float) -> str:
    return "failing" if failed > 0.2 else "degraded" if failed > 0.02 else "healthy"


def _newest(connection: Connection, detector: str) -> list[Row[Any]]:
    p = predictions.c
    query = (
        select(p.status, p.at, p.version, p.shadow)
        .where(p.detector == detector)
        .order_by(p.at.desc())
        .limit(_SAMPLE)
    )
    return list(connection.execute(query))
