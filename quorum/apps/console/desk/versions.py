"""Which policies decided lately: whether an activated policy has reached all jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, func, select

from quorum.core.messages import now
from quorum.store.ledger.releases import in_force
from quorum.store.ledger.schema import cases

__all__ = ["DecidingVersion", "deciding"]

_LATELY: Final = timedelta(minutes=10)

#: An activation reaches running jobs within this time.
_PROMISED: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class DecidingVersion:
    """A policy that decided lately.

    Attributes:
        version: The policy's name and the digest of its content.
        verdicts: How many current verdicts of the last ten minutes name it.
        last: When the last of them was made.
        late: Whether it decided although another policy had been in force for a minute.
    """

    version: str
    verdicts: int
    last: datetime
    late: bool


def deciding(connection: Connection) -> tuple[DecidingVersion, ...]:
    """The policies of the last ten minutes' verdicts that no reviewer made, most first."""
    at = now()
    found = in_force(connection)
    count = func.count()
    query = (
        select(cases.c.policy_version, count, func.max(cases.c.at))
        .where(cases.c.at >= at - _LATELY, cases.c.decided_by != "reviewer")
        .group_by(cases.c.policy_version)
        .order_by(count.desc(), cases.c.policy_version)
    )
    return tuple(
        DecidingVersion(
            version,
            verdicts,
            last,
            late=found is not None
            and version != found.release.policy_version
            and last > found.release.at + _PROMISED,
        )
        for version, verdicts, last in connection.execute(query)
    )
