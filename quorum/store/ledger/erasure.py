"""Deletes rows: by age (retention), and at an uploader's request (erasure)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    column,
    delete,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy import table as table_named

from quorum.store.ledger import (
    accounts_schema,
    alerts_schema,
    console_schema,
    counting,
    holds,
    notices_schema,
    reports_schema,
    schema,
    sealed_schema,
    search_schema,
    vectors_schema,
)
from quorum.store.ledger.statements import in_chunks
from quorum.store.ledger.values import Forgotten, Pruned

__all__ = ["erased_at", "forget", "forgotten_digest", "prune"]

T = TypeVar("T")

#: Cases of one transaction: a recorder of the stream must not wait for the whole retention.
_BATCH = 1000

#: The tables whose rows belong to an upload and are counted, each with its column of the upload.
_COUNTED = (
    schema.uploads.c.id,
    schema.predictions.c.upload_id,
    schema.verdicts.c.upload_id,
    schema.reviews.c.upload_id,
    schema.statements.c.upload_id,
    schema.deliveries.c.upload_id,
    schema.cases.c.upload_id,
)

#: The tables of the console, the search and the catalogue whose rows belong to an upload. The audit
#: log is not among them: it names uploads by their id only.
_DERIVED = (
    *(
        table.c.upload_id
        for table in (
            schema.owners,
            console_schema.tasks,
            console_schema.skips,
            console_schema.decisions,
            console_schema.appeals,
            console_schema.golden_answers,
            console_schema.samples,
            console_schema.likeness_keys,
            console_schema.sketches,
            reports_schema.reports,
            reports_schema.report_cases,
            notices_schema.notice_copies,
            sealed_schema.sealed_cases,
            sealed_schema.sealed_matches,
            accounts_schema.account_verdicts,
            accounts_schema.account_orders,
            accounts_schema.account_appeals,
            search_schema.texts,
            search_schema.case_labels,
            vectors_schema.case_vectors,
        )
    ),
    # The catalogue defines its tables; the ledger's migrations create them.
    table_named("catalogue_uploads", column("id")).c.id,
)


class RunTransaction(Protocol):
    """Runs work in one transaction."""

    def __call__(self, work: Callable[[Connection], T], *, writes: bool = False) -> T:
        """The result of the work, which is called again if the database goes away."""
        ...


def forgotten_digest(kind: str, identifier: str) -> str:
    """The digest that remains of an erased uploader or upload, to recognise replays."""
    return hashlib.sha256(f"{kind}\0{identifier}".encode()).hexdigest()


def erased_at(connection: Connection, digests: Sequence[str]) -> dict[str, datetime]:
    """The digests that were erased, each with the time of its erasure."""
    table = schema.forgotten.c
    found: dict[str, datetime] = {}
    for chunk in in_chunks(digests):
        query = select(table.digest, table.at).where(table.digest.in_(chunk))
        found.update((row.digest, row.at) for row in connection.execute(query))
    return found


def prune(
    run: RunTransaction,
    before: datetime,
    letters_before: datetime | None = None,
    *,
    at: datetime,
    dry_run: bool,
) -> Pruned:
    """Delete the cases that did not change since ``before``, in small transactions.

    What a legal hold covers is kept, and named in the result.

    Args:
        run: Runs one transaction.
        before: Cases published, decided and reviewed before this time are deleted whole, and so
            are predictions from before it that belong to no case.
        letters_before: Dead letters from before this time are deleted; by default ``before``.
        at: The time, for holds that end by themselves.
        dry_run: Only count.

    Raises:
        ValueError: If a time has no zone.
    """
    for value in (before, letters_before):
        if value is not None and value.tzinfo is None:
            msg = "the time has no zone; write it as 2026-01-31T12:00:00Z"
            raise ValueError(msg)
    p = schema.predictions.c
    stray = (p.at < before) & ~exists().where(schema.cases.c.upload_id == p.upload_id)
    stray &= ~holds.covers(p.upload_id, at)
    old_letter = (schema.dead_letters.c.at < (letters_before or before)) & ~_held_letter(at)
    remove = _count if dry_run else _delete
    letters = run(partial(remove, schema.dead_letters, old_letter), writes=not dry_run)
    strays = run(partial(remove, schema.predictions, stray), writes=not dry_run)

    if not dry_run:
        run(partial(_prune_reports, before=before, at=at), writes=True)
        run(partial(_prune_alerts, before=before), writes=True)
        run(partial(_prune_notices, before=before, at=at), writes=True)

    def some_cases(connection: Connection) -> Pruned:
        if not dry_run:
            holds.lock_holds(connection)
        ids = _unchanged(connection, before, at, None if dry_run else _BATCH, held=False)
        return _remove_cases(connection, ids, dry_run=dry_run)

    counts = [Pruned(dead_letters=letters, predictions=strays), run(some_cases, writes=not dry_run)]
    while counts[-1].cases and not dry_run:
        counts.append(run(some_cases, writes=True))
    if not dry_run:
        run(partial(counting.drop_empty_counts, before=before), writes=True)
    kept = run(partial(_unchanged, before=before, at=at, limit=None, held=True))
    rows: dict[str, Any] = {
        name: sum(getattr(one, name) for one in counts) for name in Pruned.tables()
    }
    return replace(Pruned(), **rows, held=tuple(kept))


def _unchanged(
    connection: Connection, before: datetime, at: datetime, limit: int | None, *, held: bool
) -> list[str]:
    """Cases that did not change since a time, either those that a hold covers or the others."""
    c = schema.cases.c
    covered = holds.covers(c.upload_id, at, c.uploader)
    return list(
        connection.execute(
            select(c.upload_id)
            .where(
                or_(c.published_at < before, c.published_at.is_(None)),
                or_(c.at < before, c.at.is_(None)),
                or_(c.reviewed_at < before, c.reviewed_at.is_(None)),
                func.coalesce(c.published_at, c.at, c.reviewed_at).is_not(None),
                ~_keeps_account_shut(at),
                covered if held else ~covered,
                # A notice on it is to be answered, or put back: a clock of the law runs.
                ~exists().where(
                    notices_schema.notices.c.upload_id == c.upload_id, _running_notice()
                ),
            )
            .order_by(c.upload_id)
            .limit(limit)
        ).scalars()
    )


def _keeps_account_shut(at: datetime) -> ColumnElement[bool]:
    """The condition that an account is suspended or banned now because of a case.

    Its verdict is the record of that, and what a person lifts.
    """
    a = accounts_schema.account_verdicts.c
    return exists().where(
        a.verdict_id == schema.cases.c.verdict_id,
        a.state == "holds",
        a.action.in_(("suspend", "ban")),
        or_(a.until.is_(None), a.until > at),
    )


def _prune_reports(connection: Connection, before: datetime, at: datetime) -> None:
    """Delete answered reports of before a time on uploads that the ledger never knew, or not now.

    Those on other uploads go with their case; an open one stays until it is answered.
    """
    c, r = reports_schema.report_cases.c, reports_schema.reports.c
    old = (c.closed_at < before) & ~exists().where(schema.cases.c.upload_id == c.upload_id)
    # A case that names an address alone can be of no upload that is held.
    old &= or_(c.upload_id.is_(None), ~holds.covers(c.upload_id, at))
    ids = select(c.id).where(old)
    connection.execute(delete(reports_schema.reports).where(r.case_id.in_(ids)))
    connection.execute(delete(reports_schema.report_cases).where(old))


def _prune_alerts(connection: Connection, before: datetime) -> None:
    """Delete alerts that ended before a time, with what was told of them."""
    old = alerts_schema.alerts.c.resolved_at < before
    ids = select(alerts_schema.alerts.c.id).where(old)
    notices = alerts_schema.alert_notices
    connection.execute(delete(notices).where(notices.c.alert_id.in_(ids)))
    connection.execute(delete(alerts_schema.alerts).where(old))


def _running_notice() -> ColumnElement[bool]:
    """The condition that a legal notice waits for somebody."""
    return notices_schema.notices.c.state.in_(("received", "waiting", "countered"))


def _prune_notices(connection: Connection, before: datetime, at: datetime) -> None:
    """Delete the answered notices that came before a time, with who sent them and their logs."""
    n = notices_schema.notices.c
    old = (n.at < before) & ~_running_notice()
    old &= or_(n.upload_id.is_(None), ~holds.covers(n.upload_id, at))
    _remove_notices(connection, old)


def _remove_notices(connection: Connection, condition: ColumnElement[bool]) -> None:
    ids = select(notices_schema.notices.c.id).where(condition)
    for table in (
        notices_schema.notice_people,
        notices_schema.notice_events,
        notices_schema.notice_copies,
    ):
        _delete(table, table.c.notice_id.in_(ids), connection)
    _delete(notices_schema.notices, condition, connection)


def _held_letter(at: datetime) -> ColumnElement[bool]:
    """The condition that a hold covers the upload or the uploader of a dead letter."""
    letters = schema.dead_letters.c
    return or_(
        holds.covers(letters.upload_id, at), holds.covers(letters.upload_id, at, letters.uploader)
    )


def forget(connection: Connection, uploader: str, at: datetime, *, dry_run: bool) -> Forgotten:
    """Delete all rows of one uploader, and keep the digests that refuse their replay.

    Uploads that a legal hold covers are kept, and named in the result.
    """
    if not dry_run:
        holds.lock_holds(connection)
    cases, letters = schema.cases.c, schema.dead_letters.c
    ids = connection.execute(
        select(schema.uploads.c.id).where(schema.uploads.c.uploader == uploader)
    )
    also = connection.execute(select(cases.upload_id).where(cases.uploader == uploader))
    found = sorted({*ids.scalars(), *also.scalars()})
    held = {one for chunk in in_chunks(found) for one in holds.held_among(connection, chunk, at)}
    upload_ids = [one for one in found if one not in held]
    rows = _remove_cases(connection, upload_ids, dry_run=dry_run)
    remove = _count if dry_run else _delete
    unheld = ~_held_letter(at)
    removed = remove(schema.dead_letters, (letters.uploader == uploader) & unheld, connection)
    # A dead letter that names the upload alone (a malformed prediction) goes with the upload.
    for chunk in in_chunks(upload_ids):
        named = letters.upload_id.in_(chunk) & (
            letters.uploader.is_(None) | (letters.uploader != uploader)
        )
        named &= unheld
        removed += remove(schema.dead_letters, named, connection)
    if not dry_run:
        n = notices_schema.notices.c
        for chunk in in_chunks(upload_ids):
            _remove_notices(connection, n.upload_id.in_(chunk))
    unnamed = letters.uploader.is_(None) & letters.upload_id.is_(None)
    unread = _count(schema.dead_letters, unnamed, connection)
    if not dry_run:
        digests = [forgotten_digest("uploader", uploader)]
        digests += [forgotten_digest("upload", upload_id) for upload_id in upload_ids]
        for chunk in in_chunks(digests):
            connection.execute(delete(schema.forgotten).where(schema.forgotten.c.digest.in_(chunk)))
        connection.execute(
            schema.forgotten.insert(), [{"digest": value, "at": at} for value in digests]
        )
    return Forgotten(replace(rows, dead_letters=removed, held=tuple(sorted(held))), unread)


def _remove_cases(connection: Connection, upload_ids: Sequence[str], *, dry_run: bool) -> Pruned:
    remove = _count if dry_run else _delete
    counts: dict[str, Any] = dict.fromkeys((key.table.name for key in _COUNTED), 0)
    for chunk in in_chunks(upload_ids):
        for key in _COUNTED:
            counts[key.table.name] += remove(key.table, key.in_(chunk), connection)
        if not dry_run:
            sealed, events = sealed_schema.sealed_cases.c, sealed_schema.sealed_events
            ids = select(sealed.id).where(sealed.upload_id.in_(chunk))
            _delete(events, events.c.case_id.in_(ids), connection)
        # After the cases: ``indexing.fill`` locks a case while it writes its words.
        for derived in () if dry_run else _DERIVED:
            _delete(derived.table, derived.in_(chunk), connection)
    return replace(Pruned(), **counts)


def _count(table: FromClause, condition: ColumnElement[bool], connection: Connection) -> int:
    query = select(func.count()).select_from(table).where(condition)
    return connection.execute(query).scalar_one()


def _delete(table: Any, condition: ColumnElement[bool], connection: Connection) -> int:
    return connection.execute(delete(table).where(condition)).rowcount
