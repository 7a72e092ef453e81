"""Rolling back to an earlier policy: one person proposes it, another one activates it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert, select

from quorum.aggregator.policy.policy import Policy, load_policy, shipped_policies
from quorum.apps.console.accounts import audit
from quorum.apps.console.desk.decisions import Conflict
from quorum.core.errors import PolicyError
from quorum.core.messages import digest, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import drafts

__all__ = ["Earlier", "earlier", "propose_rollback"]

_MOST: Final = 20


@dataclass(frozen=True, slots=True)
class Earlier:
    """A policy that can be rolled back to.

    Attributes:
        key: Names it in the form.
        version: Its name and the digest of its content.
        source: Where it comes from, for people.
        retired: When it was activated; None if it never was in this ledger.
    """

    key: str
    version: str
    source: str
    retired: datetime | None = None


def earlier(ledger: Ledger, start: Policy) -> list[Earlier]:
    """The policies to roll back to: those once in force, newest first, and those that ship.

    Args:
        ledger: The ledger.
        start: The policy that the console was started with.
    """
    return [one for one, _ in _known(ledger, start)]


def _known(ledger: Ledger, start: Policy) -> list[tuple[Earlier, str]]:
    d = drafts.c
    query = select(drafts).where(d.state == "retired").order_by(d.activated_at.desc()).limit(_MOST)
    rows = ledger.transact(lambda connection: connection.execute(query).all())
    found = [
        (Earlier(row.id, row.version, f"was in force: {row.name}", row.activated_at), row.text)
        for row in rows
    ]
    found.append((Earlier("start", start.version, "the console was started with it"), start.text))
    for name in shipped_policies():
        policy = load_policy(name)
        found.append((Earlier(f"shipped {name}", policy.version, "ships with Quorum"), policy.text))
    seen: dict[str, tuple[Earlier, str]] = {}
    for one, text in found:
        seen.setdefault(one.version, (one, text))
    return list(seen.values())


def propose_rollback(
    ledger: Ledger, start: Policy, current: Policy, key: str, by: str, reason: str
) -> str:
    """Propose an earlier policy; it needs no backtest, because it was in force or ships.

    Args:
        ledger: The ledger.
        start: The policy that the console was started with.
        current: The policy in force.
        key: Which one, as ``Earlier.key``.
        by: Who proposes it; another person activates it.
        reason: Why; it is told with the release.

    Returns:
        The id of the proposed draft; of the one that is proposed already, if there is one.

    Raises:
        Conflict: If there is no such policy, it is in force, this version cannot read it, or no
            reason is given.
    """
    reason = reason.replace("\x00", "�").strip()[:500]
    if not reason:
        msg = "Say why you roll back: the history tells it to everybody."
        raise Conflict(msg)
    chosen = next((pair for pair in _known(ledger, start) if pair[0].key == key), None)
    if chosen is None:
        msg = "There is no such earlier policy; reload the page."
        raise Conflict(msg)
    target, text = chosen
    if target.version == current.version:
        msg = f"{target.version} is in force already."
        raise Conflict(msg)
    try:
        Policy.from_text(text)
    except PolicyError as error:
        msg = f"This version of Quorum cannot read {target.version}: {error}"
        raise Conflict(msg) from None
    at = now()
    draft_id = digest("rollback", target.version, by, str(at))

    def work(connection: Connection) -> str:
        d = drafts.c
        known = select(d.id).where(d.state == "proposed", d.version == target.version)
        if (there := connection.execute(known).scalars().first()) is not None:
            return str(there)
        connection.execute(
            insert(drafts).values(
                id=draft_id,
                name=f"Roll back to {target.version}"[:120],
                text=text,
                version=target.version,
                author=by,
                at=at,
                state="proposed",
                reason=reason,
            )
        )
        audit.append(connection, by, "policy.rollback", draft_id, version=target.version)
        return draft_id

    return ledger.transact(work, writes=True)
