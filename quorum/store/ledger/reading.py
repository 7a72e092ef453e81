"""The statements that read: one case, a range of cases, pages for a list, counts."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, func, select, tuple_

from quorum.core.messages import Action, DeadLetter, Message, Prediction, Review, Upload, Verdict
from quorum.store.ledger import schema
from quorum.store.ledger.values import (
    CaseFilter,
    CaseSummary,
    LedgerCase,
    PastVerdicts,
    Span,
    Statement,
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
    "past_verdicts",
    "stats",
    "summary_page",
    "to_summary",
    "upload_page",
    "verdicts_before",
    "within",
]

M = TypeVar("M", bound=Message)

#: What a range of cases is ordered by: when the uploads were published, or when their current
#: verdicts were made.
Order = Literal["published", "decided"]

#: What to load of each case.
Part = Literal["upload", "predictions", "verdicts", "reviews", "statements"]

#: Where a page ended: the time and the key of its last row.
Mark = tuple[datetime, str]

#: Verdicts of one uploader that are listed; older ones have decayed, or the account is lost.
PAST_VERDICTS = 200

_TIME = {"published": schema.cases.c.published_at, "decided": schema.cases.c.at}


def load_cases(
    connection: Connection, upload_ids: Sequence[str], parts: Iterable[Part]
) -> list[LedgerCase]:
    """The cases with these ids, in their order; one of which nothing is known is empty."""
    wanted = set(parts)

    def bodies(part: Part, table: Table, kind: type[M], *order: Any) -> Mapping[str, list[M]]:
        found: dict[str, list[M]] = defaultdict(list)
        if part in wanted and upload_ids:
            key = table.c.id if kind is Upload else table.c.upload_id
            query = select(key, table.c.body).where(key.in_(upload_ids)).order_by(*order)
            for upload_id, body in connection.execute(query):
                found[upload_id].append(kind.model_validate_json(body))
        return found

    p, v, r = schema.predictions.c, schema.verdicts.c, schema.reviews.c
    uploads = bodies("upload", schema.uploads, Upload)
    predictions = bodies("predictions", schema.predictions, Prediction, p.detector, p.at, p.id)
    verdicts = bodies("verdicts", schema.verdicts, Verdict, v.revision, v.at, v.id)
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


def _statements(connection: Connection, upload_ids: Sequence[str]) -> Mapping[str, list[Statement]]:
    table = schema.statements
    query = select(table).where(table.c.upload_id.in_(upload_ids)).order_by(table.c.at)
    found: dict[str, list[Statement]] = defaultdict(list)
    for row in connection.execute(query):
        record = None if row.record is None else json.loads(row.record)
        found[row.upload_id].append(
            Statement(row.verdict_id, row.upload_id, row.at, row.text, record)
        )
    return found


def case_page(
    connection: Connection, span: Span, order: Order, after: Mark | None, limit: int
) -> list[Mark]:
    """The time and id of the next cases of a range, oldest first."""
    time, key = _TIME[order], schema.cases.c.upload_id
    query = select(time, key).where(time.is_not(None), *within(time, span))
    if after is not None:
        query = query.where(_beyond((time, key), after))
    query = query.order_by(time, key).limit(limit)
    return [(row[0], row[1]) for row in connection.execute(query)]


def past_verdicts(
    connection: Connection, uploaders: Collection[str], actions: Collection[Action]
) -> dict[str, PastVerdicts]:
    """The verdicts that hold on each uploader's uploads, the newest of some actions listed."""
    cases = schema.cases.c
    ours = cases.uploader.in_(uploaders), cases.at.is_not(None)
    counts = select(cases.uploader, func.count()).where(*ours).group_by(cases.uploader)
    decided = {row[0]: int(row[1]) for row in connection.execute(counts)}
    place = func.row_number().over(partition_by=cases.uploader, order_by=cases.at.desc())
    placed = select(cases.uploader, cases.upload_id, cases.action, cases.at, place.label("place"))
    inner = placed.where(*ours, cases.action.in_([action.value for action in actions])).subquery()
    newest = select(inner).where(inner.c.place <= PAST_VERDICTS).order_by(inner.c.place)
    chosen: dict[str, list[tuple[str, Action, datetime]]] = defaultdict(list)
    for row in connection.execute(newest):
        chosen[row.uploader].append((row.upload_id, Action(row.action), row.at))
    return {
        uploader: PastVerdicts(decided.get(uploader, 0), tuple(chosen.get(uploader, ())))
        for uploader in uploaders
    }


def verdicts_before(
    connection: Connection, uploader: str, actions: Collection[Action], before: datetime
) -> PastVerdicts:
    """The verdicts that held on an uploader's uploads at a time, whatever was revised since."""
    cases, verdicts = schema.cases.c, schema.verdicts.c
    latest = func.row_number().over(
        partition_by=verdicts.upload_id, order_by=(verdicts.revision.desc(), verdicts.at.desc())
    )
    held = (
        select(verdicts.upload_id, verdicts.action, verdicts.at, latest.label("place"))
        .join_from(schema.cases, schema.verdicts, verdicts.upload_id == cases.upload_id)
        .where(cases.uploader == uploader, verdicts.at < before)
        .subquery()
    )
    ours = select(held).where(held.c.place == 1).subquery()
    decided = connection.execute(select(func.count()).select_from(ours)).scalar_one()
    wanted = ours.c.action.in_([action.value for action in actions])
    newest = select(ours).where(wanted).order_by(ours.c.at.desc()).limit(PAST_VERDICTS)
    chosen = [(row.upload_id, Action(row.action), row.at) for row in connection.execute(newest)]
    return PastVerdicts(int(decided), tuple(chosen))


def upload_page(
    connection: Connection, span: Span, after: Mark | None, limit: int
) -> list[tuple[Mark, Upload]]:
    """The next uploads of a range by the time they were published, oldest first."""
    table = schema.uploads.c
    query = select(table.published_at, table.id, table.body)
    query = query.where(*within(table.published_at, span))
    if after is not None:
        query = query.where(_beyond((table.published_at, table.id), after))
    query = query.order_by(table.published_at, table.id).limit(limit)
    return [
        ((row.published_at, row.id), Upload.model_validate_json(row.body))
        for row in connection.execute(query)
    ]


def bounds(connection: Connection, span: Span) -> tuple[datetime, datetime] | None:
    """When the first and the last upload of a range were published."""
    time = schema.uploads.c.published_at
    query = select(func.min(time), func.max(time)).where(*within(time, span))
    first, last = connection.execute(query).one()
    return None if first is None else (first, last)


def count_uploads(connection: Connection, span: Span) -> int:
    """How many uploads were published in a range."""
    time = schema.uploads.c.published_at
    query = select(func.count()).select_from(schema.uploads).where(*within(time, span))
    return int(connection.execute(query).scalar_one())


def dead_letter_page(
    connection: Connection, span: Span, after: Mark | None, limit: int
) -> list[tuple[Mark, DeadLetter]]:
    """The next dead letters of a range, oldest first."""
    table = schema.dead_letters
    query = select(table).where(*within(table.c.at, span))
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
    """The next rows of a list of decided cases, by the time of the current verdict."""
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
    """The row of a list, from the columns of its name."""
    values = dict(row._mapping)
    values["action"] = None if row.action is None else Action(row.action)
    return CaseSummary(**values)


def count_cases(
    connection: Connection, chosen: CaseFilter, by: Literal["action", "category", "rule"]
) -> dict[str | None, int]:
    """How many decided cases match, by their current action, category or rule."""
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


def within(time: ColumnElement[Any], span: Span) -> list[ColumnElement[bool]]:
    """The conditions that a time lies in a span; none for a span without ends."""
    found = []
    if span.since is not None:
        found.append(time >= span.since)
    if span.until is not None:
        found.append(time < span.until)
    return found


def _beyond(
    columns: tuple[ColumnElement[Any], ColumnElement[Any]], mark: Mark, *, backwards: bool = False
) -> ColumnElement[bool]:
    here = tuple_(*columns)
    there = tuple_(*mark, types=[column.type for column in columns])
    return here < there if backwards else here > there


def matching(chosen: CaseFilter) -> list[ColumnElement[bool]]:
    """The conditions of a filter on ``cases``."""
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
    return found
