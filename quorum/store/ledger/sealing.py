"""Seals uploads: whoever records that one matches a listed hash of child-abuse material seals it.

The seal is written in the transaction that records the prediction, so that no page can show the
upload between the two. A sealed case is preserved against erasure and retention: see ``holds``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    exists,
    insert,
    or_,
    select,
    update,
)

from quorum.core.messages import Evidence, Prediction, digest, now
from quorum.store.ledger import console_schema, schema
from quorum.store.ledger.event_log import append_event
from quorum.store.ledger.sealed_schema import sealed_cases, sealed_events, sealed_matches

__all__ = [
    "DETECTOR",
    "FLOODED",
    "LABEL",
    "REPORT_HOURS",
    "in_preservation",
    "is_sealed",
    "note",
    "preserved",
    "seal",
    "seal_matched",
    "sealed_id",
    "shown_title",
    "unsealed",
]

#: The detector that compares uploads with listed hashes, and its labels of child-abuse material.
DETECTOR: Final = "hashes"
LABEL: Final = "hashes/csam"
FLOODED: Final = "hashes/csam/flooded"

#: Hours to report a case, unless a deployment sets fewer.
REPORT_HOURS: Final = 24.0

#: The longest text of a match that is kept.
_MOST: Final = 500


def note(
    connection: Connection, case_id: str, event: str, actor: str, at: datetime, **details: Any
) -> None:
    """Append an event to the log of a sealed case, in the transaction of what it tells.

    Args:
        connection: A transaction that writes.
        case_id: The case.
        event: What happened.
        actor: Who did it.
        at: When.
        details: Facts, never the upload, its words, or whose it is.
    """
    append_event(connection, sealed_events.c.case_id, case_id, event, actor, at, details)


def seal(
    connection: Connection,
    upload_id: str,
    *,
    how: str,
    by: str,
    at: datetime,
    hours: float = REPORT_HOURS,
    flooded: bool = False,
) -> str | None:
    """Seal an upload, and take it out of all queues of reviewers.

    A case that was denied is opened again.

    Args:
        connection: A transaction that writes.
        upload_id: The upload; the ledger need not know it yet.
        how: ``match`` or ``person``.
        by: Who seals it.
        at: When.
        hours: Hours to report it.
        flooded: Whether a hash of it matches too much.

    Returns:
        The id of the case; None if it was sealed already.
    """
    c, t = sealed_cases.c, console_schema.tasks
    known = connection.execute(select(sealed_cases).where(c.upload_id == upload_id)).first()
    due = at + timedelta(hours=hours)
    if known is not None and known.state != "denied":
        return None
    content = connection.execute(
        select(schema.uploads.c.body).where(schema.uploads.c.id == upload_id)
    ).scalar_one_or_none()
    given = {
        "state": "open",
        "how": how,
        "sealed_at": at,
        "sealed_by": by[:256],
        "due_at": due,
        "flooded": flooded,
        "content": content,
    }
    if known is None:
        case_id = digest("sealed", upload_id)
        connection.execute(insert(sealed_cases).values(upload_id=upload_id, id=case_id, **given))
    else:
        case_id = str(known.id)
        fresh = dict.fromkeys(("decided_at", "decided_by", "viewed", "ended_at"))
        connection.execute(
            update(sealed_cases).where(c.upload_id == upload_id).values(**given, **fresh)
        )
    connection.execute(
        update(t)
        .where(t.c.upload_id == upload_id, t.c.state == "open")
        .values(state="closed", outcome="sealed", closed_at=at)
    )
    told = {"how": how, "due": due.isoformat(), "flooded": flooded}
    note(connection, case_id, "sealed" if known is None else "sealed-again", by, at, **told)
    return case_id


def seal_matched(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Seal the uploads of predictions that found a listed hash of child-abuse material.

    Args:
        connection: The transaction that records the predictions.
        rows: The rows of predictions; those of other detectors, and shadows, are passed over.
    """
    for row in rows:
        if row["detector"] != DETECTOR or row["shadow"] or row["status"] != "scored":
            continue
        found = Prediction.from_bytes(row["body"].encode())
        if LABEL not in found.labels or _denied_since(connection, found):
            continue
        flooded = FLOODED in found.labels
        seal(connection, found.upload_id, how="match", by="detector", at=now(), flooded=flooded)
        _write_matches(connection, found.upload_id, found.evidence, found.at)


def _denied_since(connection: Connection, found: Prediction) -> bool:
    """Whether a person denied the upload after this prediction was made: a replay opens nothing."""
    c = sealed_cases.c
    query = select(c.decided_at).where(c.upload_id == found.upload_id, c.state == "denied")
    decided = connection.execute(query).scalar_one_or_none()
    return decided is not None and decided >= found.at


def _write_matches(
    connection: Connection, upload_id: str, evidence: Iterable[Evidence], at: datetime
) -> None:
    m = sealed_matches.c
    known = set(connection.execute(select(m.hash).where(m.upload_id == upload_id)).scalars().all())
    for one in evidence:
        if one.kind != "match" or not one.work or len(one.work) > 80 or one.work in known:
            continue
        known.add(one.work)
        connection.execute(
            insert(sealed_matches).values(
                upload_id=upload_id,
                hash=one.work,
                how="exact" if one.weight == 1.0 else "similar",
                what=one.what[:_MOST],
                at=at,
            )
        )


def sealed_id(connection: Connection, upload_ids: Sequence[str]) -> str | None:
    """The id of the sealed case of one of these uploads; None if none of them is sealed."""
    c = sealed_cases.c
    query = select(c.id).where(c.upload_id.in_(upload_ids), c.state != "denied").limit(1)
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found


def is_sealed(connection: Connection, upload_id: str) -> bool:
    """Whether an upload is sealed: nobody is shown its media, and few its case."""
    return sealed_id(connection, [upload_id]) is not None


def unsealed(upload_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """The condition that the upload of a row is not sealed."""
    c = sealed_cases.c
    return ~exists().where(c.upload_id == upload_id, c.state != "denied")


def shown_title() -> ColumnElement[Any]:
    """The title of a case; null of a sealed one, whose words lists do not show."""
    return case((unsealed(schema.cases.c.upload_id), schema.cases.c.title)).label("title")


def preserved(upload_id: ColumnElement[Any], at: datetime) -> ColumnElement[bool]:
    """The condition that the upload of a row is preserved (18 U.S.C. 2258A(h))."""
    return exists().where(sealed_cases.c.upload_id == upload_id, in_preservation(at))


def in_preservation(at: datetime) -> ColumnElement[bool]:
    """The condition that a sealed case is preserved at a time."""
    c = sealed_cases.c
    return and_(c.state != "denied", or_(c.preserved_until.is_(None), c.preserved_until > at))
