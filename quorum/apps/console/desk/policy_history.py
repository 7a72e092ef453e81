"""Who changed what of the policy, when and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, select

from quorum.aggregator.policy.policy import Policy, load_policy, shipped_policies
from quorum.aggregator.study.difference import texts_in_short
from quorum.aggregator.study.golden import golden_text
from quorum.core.errors import PolicyError
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import audit_log, drafts
from quorum.store.ledger.releases import history

__all__ = ["DraftEvent", "PastRelease", "events_of", "golden_of", "past_releases"]

_EVENTS: Final[Mapping[str, str]] = {
    "policy.drafted": "wrote it",
    "policy.tried": "had it tried on past cases",
    "policy.proposed": "asked for approval",
    "policy.rollback": "proposed to go back to it",
    "policy.activated": "put it in force",
}


@dataclass(frozen=True, slots=True)
class PastRelease:
    """A policy that was put in force.

    Attributes:
        version: Its name and digest.
        at: When.
        by: Who put it in force.
        note: Why, in words; empty where nothing was said.
        author: Who wrote it; None where that is not in the ledger.
        draft: Its draft in the console; None for a release of the command line.
        changes: What it changed against the release before; None for the oldest that is shown.
    """

    version: str
    at: datetime
    by: str
    note: str
    author: str | None
    draft: str | None
    changes: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class DraftEvent:
    """What somebody did with a draft.

    Attributes:
        at: When, RFC 3339.
        actor: Who.
        what: What, as words that follow the name.
    """

    at: str
    actor: str
    what: str


def past_releases(ledger: Ledger, limit: int = 30) -> list[PastRelease]:
    """The newest releases, that in force first, each with what it changed.

    Args:
        ledger: The ledger.
        limit: At most so many.
    """
    found = ledger.transact(lambda connection: history(connection, limit + 1))
    told = texts_in_short([one.release.text for one in found])
    versions = {one.release.policy_version for one in found}
    d = drafts.c
    query = select(d.id, d.version, d.author, d.activated_at).where(
        d.version.in_(sorted(versions)), d.activated_at.is_not(None)
    )
    rows = ledger.transact(lambda connection: connection.execute(query).all())
    written = {(row.version, row.activated_at): row for row in rows}
    listed = []
    for number, one in enumerate(found[:limit]):
        release = one.release
        draft = written.get((release.policy_version, release.at))
        listed.append(
            PastRelease(
                release.policy_version,
                release.at,
                release.by,
                release.note,
                None if draft is None else draft.author,
                None if draft is None else draft.id,
                told[number] if number < len(told) else None,
            )
        )
    return listed


def events_of(connection: Connection, draft_id: str) -> list[DraftEvent]:
    """What was done with a draft, the first first, from the audit log."""
    log = audit_log.c
    query = (
        select(log.at, log.actor, log.event, log.details)
        .where(log.subject == draft_id, log.event.in_(_EVENTS))
        .order_by(log.number)
    )
    return [
        DraftEvent(row.at, row.actor, _what(row.event, json.loads(row.details)))
        for row in connection.execute(query)
    ]


def _what(event: str, details: Mapping[str, Any]) -> str:
    cases = details.get("cases")
    return f"{_EVENTS[event]} ({cases:,} cases)" if isinstance(cases, int) else _EVENTS[event]


def golden_of(ledger: Ledger, policy: Policy) -> str:
    """The golden cases of a policy in force: of its draft, beside its file, or as shipped.

    Args:
        ledger: The ledger.
        policy: The policy.

    Returns:
        Their YAML; empty where there are none.
    """
    d = drafts.c
    query = (
        select(d.golden)
        .where(d.version == policy.version, d.golden.is_not(None))
        .order_by(d.at.desc())
        .limit(1)
    )
    found = ledger.transact(lambda connection: connection.execute(query).scalar())
    if found is not None:
        return str(found)
    shipped = [load_policy(policy.name)] if policy.name in shipped_policies() else []
    for one in (policy, *shipped):
        try:
            return golden_text(one)[0]
        except PolicyError:
            continue
    return ""
