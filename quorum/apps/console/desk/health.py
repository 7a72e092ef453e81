"""How each detector does, by its newest predictions: those of the policy, and all others seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select

from quorum.store.ledger.schema import predictions

__all__ = ["Health", "health", "seen"]

_OF_A_DETECTOR: Final = 500
#: Detectors that are listed: a producer of nonsense names must not fill the page.
_MOST: Final = 40
#: So long after the others' last word, one that says nothing is silent: each upload gets a word
#: of each detector, be it that it abstains.
_SILENT: Final = timedelta(minutes=30)
#: What was heard of no more for so long was taken out of use.
_GONE: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Health:
    """How one detector does.

    Attributes:
        detector: Its name.
        version: Of its newest prediction.
        count: Predictions that the shares are of.
        scored: Share of them.
        abstained: Share of them.
        failed: Share of them.
        last: When it was heard last.
        shadow: Whether its newest prediction decides nothing.
        named: Whether the policy names it.
        state: In a word.
    """

    detector: str
    version: str
    count: int
    scored: float
    abstained: float
    failed: float
    last: datetime | None
    shadow: bool
    named: bool
    state: str


def seen(connection: Connection) -> list[str]:
    """The detectors of which there are predictions; one step in an index for each."""
    detector = predictions.c.detector
    found: list[str] = []
    last = ""
    while len(found) < _MOST:
        query = select(func.min(detector)).where(detector > last)
        name = connection.execute(query).scalar_one()
        if name is None:
            break
        found.append(name)
        last = name
    return found


def health(connection: Connection, named: Iterable[str]) -> tuple[Health, ...]:
    """Of the detectors that a policy names, then of the others that were seen."""
    wanted = set(named)
    names = [*sorted(wanted), *(name for name in seen(connection) if name not in wanted)]
    rows = {name: _newest(connection, name) for name in names}
    newest = max((found[0].at for found in rows.values() if found), default=None)
    made = []
    for name in names:
        found = rows[name]
        if name not in wanted and newest - found[0].at > _GONE:
            continue
        counts = Counter(row.status for row in found)
        total = len(found) or 1
        failed = counts["failed"] / total
        quiet = not found or newest - found[0].at > _SILENT
        made.append(
            Health(
                detector=name,
                version=found[0].version if found else "",
                count=len(found),
                scored=counts["scored"] / total,
                abstained=counts["abstained"] / total,
                failed=failed,
                last=found[0].at if found else None,
                shadow=bool(found and found[0].shadow),
                named=name in wanted,
                state="silent" if quiet else _state(failed),
            )
        )
    return tuple(made)


def _state(failed: float) -> str:
    return "failing" if failed > 0.2 else "unsteady" if failed > 0.02 else "well"


def _newest(connection: Connection, detector: str) -> list[Row[Any]]:
    p = predictions.c
    query = (
        select(p.status, p.at, p.version, p.shadow)
        .where(p.detector == detector)
        .order_by(p.at.desc())
        .limit(_OF_A_DETECTOR)
    )
    return list(connection.execute(query))
