"""The policies that were released, with their whole texts: the history of what was in force.

The release with the greatest (``at``, ``id``) is in force. None is ever changed or deleted, so that
the policy of each verdict can be read again by the version that the verdict names.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from quorum.aggregator.policy.policy import Policy
from quorum.core.errors import PolicyError
from quorum.core.messages import PolicyRelease
from quorum.store.ledger import schema
from quorum.store.ledger.values import SignedRelease
from quorum.store.ledger.writing_rows import upsert

__all__ = ["history", "in_force", "mark_sent", "policy_texts", "release_row", "write_releases"]

_NEWEST = (schema.policies.c.at.desc(), schema.policies.c.id.desc())


def release_row(one: SignedRelease) -> dict[str, Any]:
    """The row of a release."""
    release = one.release
    return {
        "id": release.event_id(),
        "version": release.policy_version,
        "at": release.at,
        "activated_by": release.by,
        "note": release.note,
        "text": release.text,
        "body": one.data.decode(),
        "attributes": json.dumps(dict(one.attributes), sort_keys=True),
    }


def write_releases(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert releases; the id is a digest of all that matters."""
    upsert(connection, schema.policies, rows, "id", None)


def in_force(connection: Connection) -> SignedRelease | None:
    """The release that is in force; None if none was recorded."""
    row = connection.execute(select(schema.policies).order_by(*_NEWEST).limit(1)).first()
    return None if row is None else _signed(row)


def history(connection: Connection, limit: int = 100) -> list[SignedRelease]:
    """The newest releases, that in force first."""
    query = select(schema.policies).order_by(*_NEWEST).limit(limit)
    return [_signed(row) for row in connection.execute(query)]


def policy_texts(connection: Connection, versions: Collection[str]) -> Mapping[str, str]:
    """The texts of these versions of policies, as far as they were released.

    A candidate was released within the policy that it is rolled out in.
    """
    table = schema.policies.c
    query = select(table.version, table.text)
    chosen = query.where(table.version.in_(sorted(versions)))
    found = {row.version: row.text for row in connection.execute(chosen)}
    if len(found) == len(set(versions)):
        return found
    for row in connection.execute(query.where(table.text.contains("rollout:")).order_by(*_NEWEST)):
        with suppress(PolicyError):  # of a later version of Quorum
            candidate = Policy.from_text(row.text).candidate
            if candidate is not None and candidate.version in versions:
                found.setdefault(candidate.version, candidate.text)
    return found


def mark_sent(connection: Connection, release_id: str, at: datetime) -> None:
    """Note when a release was last published to its topic."""
    table = schema.policies
    connection.execute(update(table).where(table.c.id == release_id).values(sent_at=at))


def _signed(row: Any) -> SignedRelease:
    if row.body is None:
        # Activated by a version that recorded no releases.
        release = PolicyRelease(
            policy_version=row.version,
            text=row.text,
            by=row.activated_by,
            at=row.at,
            note=row.note,
        )
        return SignedRelease(release, release.to_bytes(), {}, row.sent_at)
    data = row.body.encode()
    return SignedRelease(
        PolicyRelease.read(data), data, json.loads(row.attributes or "{}"), row.sent_at
    )
