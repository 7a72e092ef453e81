"""What people and the clock do to notices: each change is one state and one event of the log."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, select, update

from quorum.core.errors import InputError
from quorum.store.ledger.holds import held_among, lock_holds
from quorum.store.ledger.notices_schema import notice_people, notices
from quorum.store.ledger.schema import cases
from quorum.store.notices.events import COMPLAINANT, note
from quorum.store.notices.reading import find_notice, on_upload
from quorum.store.notices.values import NoticeRules, moved
from quorum.store.reports.intake import stated_reason, token_digest

__all__ = [
    "accept_counter",
    "admit",
    "check_not_held",
    "decide_notice",
    "forget_person",
    "link_known",
    "name_upload",
    "reject",
    "restored",
    "sued",
    "sued_by_token",
]

_BATCH: Final = 500


def _move(connection: Connection, row: Any, event: str, by: str, at: datetime, **more: Any) -> None:
    """Move a notice to the state after an event, and log it with what the event tells."""
    values = more.pop("values", {})
    state = moved(row.kind, row.state, event)
    done = connection.execute(
        update(notices)
        .where(notices.c.id == row.id, notices.c.state == row.state)
        .values(state=state, **values)
    )
    if done.rowcount != 1:
        msg = "this notice changed meanwhile; load it again"
        raise InputError(msg)
    note(connection, row.id, event, by, at, **more)


def _found(connection: Connection, notice_id: str) -> Any:
    row = find_notice(connection, notice_id)
    if row is None:
        msg = f"there is no notice {notice_id!r}; list them with: quorum notices list"
        raise InputError(msg)
    return row


def admit(
    connection: Connection, notice_id: str, rules: NoticeRules, *, by: str, at: datetime
) -> None:
    """Treat a notice as valid although an element is missing; its clock runs from its receipt.

    Raises:
        InputError: If there is none, or it is not invalid.
    """
    row = _found(connection, notice_id)
    due = rules.clock(row.kind, row.at).due
    told = {"lacks": row.lacks, "due": due.isoformat()}
    _move(connection, row, "admitted", by, at, values={"due_at": due}, **told)


def reject(connection: Connection, notice_id: str, *, why: str, by: str, at: datetime) -> None:
    """Answer a notice without acting on it.

    Raises:
        InputError: If there is none, it is answered, or no reason is given.
    """
    row = _found(connection, notice_id)
    values = {"due_at": None, "decided_at": at, "decided_by": by}
    _move(connection, row, "rejected", by, at, values=values, why=stated_reason(why))


def decide_notice(
    connection: Connection, row: Any, *, action: str, by: str, at: datetime, review: str = ""
) -> None:
    """Note what a person decided on the upload of a notice.

    Args:
        connection: A transaction that writes.
        row: The notice.
        action: The action; ``allow`` rejects the notice.
        by: Who decided.
        at: When.
        review: The id of the published review.
    """
    event = "rejected" if action == "allow" else "removed"
    kept = row.due_at is None or at <= row.due_at
    values = {"due_at": None, "decided_at": at, "decided_by": by, "action": action}
    told = {"action": action, "upload": row.upload_id, "in_time": kept, "review": review}
    if row.due_at is not None:
        told["due"] = row.due_at.isoformat()
    _move(connection, row, event, by, at, values=values, **told)


def accept_counter(
    connection: Connection, notice_id: str, rules: NoticeRules, *, by: str, at: datetime
) -> None:
    """Accept a counter-notice: what it answers is put back after the term, unless they sue.

    The term begins with the receipt of the counter-notice.

    Raises:
        InputError: If there is none, or it is not a counter-notice that waits for this.
    """
    row = _found(connection, notice_id)
    clock = rules.put_back(row.at)
    assert clock.earliest is not None
    values = {"earliest_at": clock.earliest, "due_at": clock.due, "decided_at": at}
    told = {"earliest": clock.earliest.isoformat(), "due": clock.due.isoformat()}
    _move(connection, row, "accepted", by, at, values={**values, "decided_by": by}, **told)
    for other in on_upload(connection, row.upload_id, kinds=("copyright",)):
        if other.state == "removed":
            _move(connection, other, "countered", by, at, counter=row.id, **told)


def sued(connection: Connection, notice_id: str, *, case: str, by: str, at: datetime) -> None:
    """Record that the complainant sues: the content stays down.

    Args:
        connection: A transaction that writes.
        notice_id: The copyright notice, or the counter-notice.
        case: The court and its file number.
        by: Who records it.
        at: When the word of it came.

    Raises:
        InputError: If there is none, it does not wait for this, or no case is named.
    """
    row, named = _found(connection, notice_id), stated_reason(case)
    standing = on_upload(connection, row.upload_id, kinds=("copyright", "counter"))
    waiting = [one for one in standing if one.state in ("waiting", "countered")]
    if row.state not in ("waiting", "countered") or not waiting:
        msg = "there is no counter-notice that waits: only then a suit keeps the content down"
        raise InputError(msg)
    for one in waiting:
        values = {"due_at": None, "earliest_at": None}
        _move(connection, one, "suit", by, at, values=values, case=named)


def sued_by_token(connection: Connection, token: str, *, case: str, at: datetime) -> str:
    """Record a suit at the secret address of a copyright notice; returns the notice's id.

    Raises:
        InputError: If there is no such notice, or see ``sued``.
    """
    query = select(notices.c.id, notices.c.kind).where(notices.c.token == token_digest(token))
    row = connection.execute(query).first()
    if row is None or row.kind != "copyright":
        msg = "there is no copyright notice at this address"
        raise InputError(msg)
    sued(connection, row.id, case=case, by=COMPLAINANT, at=at)
    return str(row.id)


def restored(connection: Connection, row: Any, *, by: str, at: datetime, review: str) -> None:
    """Note that content was put back after a counter-notice."""
    told = {"upload": row.upload_id, "review": review, "in_time": at <= row.due_at}
    told |= {"earliest": row.earliest_at.isoformat(), "due": row.due_at.isoformat()}
    for one in on_upload(connection, row.upload_id, kinds=("copyright", "counter")):
        if one.state in ("waiting", "countered"):
            values = {"due_at": None, "earliest_at": None}
            _move(connection, one, "restored", by, at, values=values, **told)


def link_known(connection: Connection) -> int:
    """Find the uploads that came after their notice; returns how many did."""
    n = notices.c
    query = (
        select(n.id, cases.c.uploader)
        .join(cases, cases.c.upload_id == n.upload_id)
        .where(n.known.is_(False), n.state == "received")
        .limit(_BATCH)
    )
    found = connection.execute(query).all()
    for row in found:
        connection.execute(
            update(notices).where(n.id == row.id).values(known=True, uploader=row.uploader or "")
        )
    return len(found)


def name_upload(
    connection: Connection, notice_id: str, upload_id: str, *, by: str, at: datetime
) -> None:
    """Name the upload at the address of a notice, so that it is decided as all others are.

    Raises:
        InputError: If the notice is answered or its upload known, or the ledger knows no such.
    """
    row = _found(connection, notice_id)
    if row.known or row.state != "received" or row.kind == "counter":
        msg = "this notice is answered, or its upload is known"
        raise InputError(msg)
    query = select(cases.c.uploader).where(cases.c.upload_id == upload_id)
    case = connection.execute(query).first()
    if case is None:
        msg = "the ledger knows no upload with this id"
        raise InputError(msg)
    values = {"upload_id": upload_id, "known": True, "uploader": case.uploader or ""}
    connection.execute(update(notices).where(notices.c.id == row.id).values(**values))
    note(connection, row.id, "linked", by, at, upload=upload_id)


def forget_person(connection: Connection, notice_id: str, *, by: str, at: datetime) -> bool:
    """Erase who sent a notice, and their words; its states, times and decisions stay.

    Returns:
        Whether there was something to erase.

    Raises:
        InputError: If there is no such notice, or a legal hold keeps what it is on.
    """
    lock_holds(connection)
    row = _found(connection, notice_id)
    check_not_held(connection, row.upload_id, at)
    done = connection.execute(
        notice_people.delete().where(notice_people.c.notice_id == row.id)
    ).rowcount
    if done:
        connection.execute(
            update(notices).where(notices.c.id == row.id).values(text="", work="", reference=None)
        )
        note(connection, row.id, "person-erased", by, at)
    return bool(done)


def check_not_held(connection: Connection, upload_id: str | None, at: datetime) -> None:
    """Refuse to erase who sent a notice while its upload is held, or preserved.

    Raises:
        InputError: If it is.
    """
    if upload_id is not None and held_among(connection, [upload_id], at):
        msg = (
            f"the upload {upload_id} of this notice is held, and so is who sent it: erase it when "
            "the hold has ended (quorum ledger holds)"
        )
        raise InputError(msg)
