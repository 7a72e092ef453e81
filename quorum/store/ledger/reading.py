"""Queries: cases by id, pages of cases, uploads and dead letters, filters, counts."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    case,
    func,
    select,
    tuple_,
    union,
)

from quorum.core.messages import Action, DeadLetter, Message, Prediction, Review, Upload, Verdict
from quorum.store.ledger import schema
from quorum.store.ledger.notices_schema import notices
from quorum.store.ledger.reports_schema import reports
from quorum.store.ledger.sealing import unsealed
from quorum.store.ledger.values import (
    CaseFilter,
    CaseSummary,
    LedgerCase,
    StatementRecord,
    TimeRange,
)

__all__ = [
    "Order",
    "Part",
    "bounds",
    "case_page",
    "count_cases",
    "count_uploads",
    "dead_letter_page",
    "load_cases",
    "matching",
    "owners_of",
    "recorded_uploads",
    "stats",
    "summary_page",
    "to_summary",
    "upload_page",
    "within",
]

M = TypeVar("M", bound=Message)

#: The time that cases are ordered by: of publishing, or of the current verdict.
Order = Literal["published", "decided"]

#: The parts of a case that can be loaded.
Part = Literal["upload", "predictions", "verdicts", "reviews", "statements"]

#: The position of a page's last row: its time and key.
Mark = tuple[datetime, str]

_TIME = {"published": schema.cases.c.published_at, "decided": schema.cases.c.at}


def load_cases(
    connection: Connection, upload_ids: Sequence[str], parts: Iterable[Part]
) -> list[LedgerCase]:
    """The cases with these ids, in their order; an unknown one is empty."""
    wanted = set(parts)

    def bodies(part: Part, table: Table, kind: type[M], *order: Any) -> Mapping[str, list[M]]:
        found: dict[str, list[M]] = defaultdict(list)
        if part in wanted and upload_ids:
            key = table.c.id if kind is Upload else table.c.upload_id
            query = select(key, table.c.body).select_from(table)
            if table is schema.verdicts:
                query = query.outerjoin(schema.uploads, schema.uploads.c.id == key)
            query = query.where(key.in_(upload_ids)).order_by(*order)
            for upload_id, body in connection.execute(query):
                found[upload_id].append(kind.model_validate_json(body))
        return found

    p, v, r = schema.predictions.c, schema.verdicts.c, schema.reviews.c
    uploads = bodies("upload", schema.uploads, Upload)
    predictions = bodies("predictions", schema.predictions, Prediction, p.detector, p.at, p.id)
    published = schema.uploads.c.published_at
    # A verdict of version 0.2 was on the upload, unless that was published after it was made.
    content_at = func.coalesce(v.content_at, case((published <= v.at, published)))
    verdicts = bodies(
        "verdicts", schema.verdicts, Verdict, content_at.nulls_first(), v.revision, v.at, v.id
    )
    reviews = bodies("reviews", schema.reviews, Review, r.at, r.id)
    statements = _statements(connection, upload_ids) if "statements" in wanted else {}
    return [
        LedgerCase(
            upload_id=upload_id,
            upload=next(iter(uploads.get(upload_id, ())), None),
            predictions=tuple(predictions.get(upload_id, ())),
            verdicts=tuple(verdicts.get(upload_id, ())),
            reviews=tuple(reviews.get(upload_id, ())),
            statements=tuple(statements.get(upload_id, ())),
        )
        for upload_id in upload_ids
    ]


def owners_of(connection: Connection, upload_ids: Sequence[str]) -> dict[str, str]:
    """The clients that made these uploads, by upload; without those that no client made."""
    table = schema.owners.c
    query = select(table.upload_id, table.client).where(table.upload_id.in_(upload_ids))
    return {row.upload_id: row.client for row in connection.execute(query)}


def complained_of(connection: Connection, upload_ids: Sequence[str]) -> frozenset[str]:
    """Those of these uploads that a user reported, or a legal notice is about."""
    reported, noticed = reports.c.upload_id, notices.c.upload_id
    query = union(
        select(reported).where(reported.in_(upload_ids)),
        select(noticed).where(noticed.in_(upload_ids)),
    )
    return frozenset(connection.execute(query).scalars())


def recorded_uploads(connection: Connection, upload_ids: Sequence[str]) -> list[str]:
    """Those of these uploads that are recorded."""
    key = schema.uploads.c.id
    return list(connection.execute(select(key).where(key.in_(upload_ids))).scalars())


def _statements(
    connection: Connection, upload_ids: Sequence[str]
) -> Mapping[str, list[StatementRecord]]:
    table = schema.statements
    query = select(table).where(table.c.upload_id.in_(upload_ids)).order_by(table.c.at)
    found: dict[str, list[StatementRecord]] = defaultdict(list)
    for row in connection.execute(query):
        record = None if row.record is None else json.loads(row.record)
        found[row.upload_id].append(
            StatementRecord(row.verdict_id, row.upload_id, row.at, row.text, record)
        )
    return found


def case_page(
    connection: Connection, period: TimeRange, order: Order, after: Mark | None, limit: int
) -> list[Mark]:
    """The positions of the next cases of a period, oldest first."""
    time, key = _TIME[order], schema.cases.c.upload_id
    query = select(time, key).where(time.is_not(None), *within(time, period))
    if after is not None:
        query = query.where(_beyond((time, key), after))
    query = query.order_by(time, key).limit(limit)
    return [(row[0], row[1]) for row in connection.execute(query)]


def upload_page(
    connection: Connection, period: TimeRange, after: Mark | None, limit: int
) -> list[tuple[Mark, Upload]]:
    """The next uploads published in a period, oldest first, with their positions."""
    table = schema.uploads.c
    query = select(table.published_at, table.id, table.body)
    query = query.where(*within(table.published_at, period))
    if after is not None:
        query = query.where(_beyond((table.published_at, table.id), after))
    query = query.order_by(table.published_at, table.id).limit(limit)
    return [
        ((row.published_at, row.id), Upload.model_validate_json(row.body))
        for row in connection.execute(query)
    ]


def bounds(connection: Connection, period: TimeRange) -> tuple[datetime, datetime] | None:
    """When the first and the last upload of a period were published; None if none was."""
    time = schema.uploads.c.published_at
    query = select(func.min(time), func.max(time)).where(*within(time, period))
    first, last = connection.execute(query).one()
    return None if first is None else (first, last)


def count_uploads(connection: Connection, period: TimeRange) -> int:
    """The number of uploads published in a period."""
    time = schema.uploads.c.published_at
    query = select(func.count()).select_from(schema.uploads).where(*within(time, period))
    return int(connection.execute(query).scalar_one())


def dead_letter_page(
    connection: Connection, period: TimeRange, after: Mark | None, limit: int
) -> list[tuple[Mark, DeadLetter]]:
    """The next dead letters of a period, oldest first, with their positions."""
    table = schema.dead_letters
    query = select(table).where(*within(table.c.at, period))
    if after is not None:
        query = query.where(_beyond((table.c.at, table.c.id), after))
    query = query.order_by(table.c.at, table.c.id).limit(limit)
    return [((row.at, row.id), _dead_letter(row)) for row in connection.execute(query)]


def _dead_letter(row: Row[Any]) -> DeadLetter:
    return DeadLetter(
        data=bytes(row.data),
        original=json.loads(row.attributes),
        stage=row.stage,
        error=row.error,
        at=row.at,
        part=row.part,
        parts=row.parts,
        original_id=row.original_id,
    )


def summary_page(
    connection: Connection,
    chosen: CaseFilter,
    *,
    newest_first: bool,
    after: Mark | None,
    limit: int,
) -> list[CaseSummary]:
    """The next decided cases, ordered by the time of the current verdict."""
    table = schema.cases
    time, key = table.c.at, table.c.upload_id
    query = select(
        *(table.c[name] for name in CaseSummary.__dataclass_fields__),
    ).where(time.is_not(None), *matching(chosen))
    if after is not None:
        query = query.where(_beyond((time, key), after, backwards=newest_first))
    ordered = (time.desc(), key.desc()) if newest_first else (time, key)
    return [to_summary(row) for row in connection.execute(query.order_by(*ordered).limit(limit))]


def to_summary(row: Row[Any]) -> CaseSummary:
    """A summary from a row with its columns."""
    values = dict(row._mapping)
    values["action"] = None if row.action is None else Action(row.action)
    return CaseSummary(**values)


def count_cases(
    connection: Connection, chosen: CaseFilter, by: Literal["action", "category", "rule"]
) -> dict[str | None, int]:
    """The number of matching decided cases by current action, category or rule."""
    column = schema.cases.c[by]
    query: Select[Any] = (
        select(column, func.count())
        .where(schema.cases.c.at.is_not(None), *matching(chosen))
        .group_by(column)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def stats(connection: Connection) -> dict[str, int]:
    """The number of rows of each table."""
    tables = (
        schema.uploads,
        schema.predictions,
        schema.verdicts,
        schema.reviews,
        schema.statements,
        schema.dead_letters,
        schema.deliveries,
        schema.cases,
    )
    return {
        table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for table in tables
    }


def within(time: ColumnElement[Any], period: TimeRange) -> list[ColumnElement[bool]]:
    """The conditions that a time is in a period."""
    found = []
    if period.since is not None:
        found.append(time >= period.since)
    if period.until is not None:
        found.append(time < period.until)
    return found


def _beyond(
    columns: tuple[ColumnElement[Any], ColumnElement[Any]], mark: Mark, *, backwards: bool = False
) -> ColumnElement[bool]:
    here = tuple_(*columns)
    there = tuple_(*mark, types=[column.type for column in columns])
    return here < there if backwards else here > there


def matching(chosen: CaseFilter) -> list[ColumnElement[bool]]:
    """The conditions of a filter on the table ``cases``."""
    table = schema.cases.c
    found = within(table.at, chosen.decided)
    if chosen.actions:
        found.append(table.action.in_([action.value for action in chosen.actions]))
    if chosen.categories:
        found.append(table.category.in_(chosen.categories))
    if chosen.rules:
        found.append(table.rule.in_(chosen.rules))
    if chosen.upload is not None:
        found.append(table.upload_id == chosen.upload)
    if chosen.uploader is not None:
        found.append(table.uploader == chosen.uploader)
    if chosen.reviewed is not None:
        found.append(
            table.reviewed_at.is_not(None) if chosen.reviewed else table.reviewed_at.is_(None)
        )
    if chosen.title:
        found.append(table.title.icontains(chosen.title, autoescape=True))
    if chosen.unsealed:
        found.append(unsealed(table.upload_id))
    return found
