"""Places and releases legal holds, each with its line in the audit log."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.audited import hold_digest
from quorum.core.messages import now
from quorum.store.ledger import Ledger
from quorum.store.ledger.erasure import forgotten_digest
from quorum.store.ledger.holds import Hold, end_hold, insert_hold
from quorum.store.ledger.schema import cases, forgotten

__all__ = ["place", "release", "waiting_erasure"]


def place(
    ledger: Ledger, kind: str, subject: str, *, why: str, by: str, until: datetime | None = None
) -> tuple[Hold, bool]:
    """Place a legal hold.

    Args:
        ledger: The ledger.
        kind: ``upload`` or ``uploader``.
        subject: The upload's id, or the uploader.
        why: The reason.
        by: Who places it.
        until: When it ends by itself; None for never.

    Returns:
        The hold, and whether the ledger knows the upload or the uploader yet.

    Raises:
        InputError: If it cannot be taken; the text states the mend.
    """

    def work(connection: Connection) -> tuple[Hold, bool]:
        made = insert_hold(connection, kind, subject, why=why, by=by, at=now(), until=until)
        told = None if until is None else until.isoformat()
        audit.append(
            connection,
            by,
            "hold.placed",
            subject,
            hold=made.id,
            kind=kind,
            until=told,
            why=audit.of_words(made.why),
            row=hold_digest(made),
        )
        column = cases.c.upload_id if kind == "upload" else cases.c.uploader
        known = connection.execute(select(cases.c.upload_id).where(column == subject).limit(1))
        return made, known.first() is not None

    return ledger.transact(work, writes=True)


def release(ledger: Ledger, hold_id: str, *, why: str, by: str) -> Hold:
    """Release a hold that is in force.

    Raises:
        InputError: If there is none of this id, or it has ended.
    """

    def work(connection: Connection) -> Hold:
        ended = end_hold(connection, hold_id, why=why, by=by, at=now())
        audit.append(
            connection,
            by,
            "hold.released",
            ended.subject,
            hold=ended.id,
            kind=ended.kind,
            why=audit.of_words(why.strip()),
            row=hold_digest(ended),
        )
        return ended

    return ledger.transact(work, writes=True)


def waiting_erasure(ledger: Ledger, hold: Hold) -> str | None:
    """The uploader whose erasure was asked for while a hold kept some of it; None if none was."""

    def work(connection: Connection) -> str | None:
        c = cases.c
        column = c.upload_id if hold.kind == "upload" else c.uploader
        uploader: str | None = connection.execute(
            select(c.uploader).where(column == hold.subject).limit(1)
        ).scalar_one_or_none()
        if uploader is None:
            return None
        digest = forgotten_digest("uploader", uploader)
        query = select(forgotten.c.digest).where(forgotten.c.digest == digest)
        return uploader if connection.execute(query).first() is not None else None

    return ledger.transact(work)
