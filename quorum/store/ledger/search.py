"""Searches uploads by their words and verdicts by their labels, newest first.

The cost of a page does not depend on the size of the ledger: it reads matches, newest first, until
the page is full or ``MOST_READ`` matches were read. A page that is cut can be continued.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Select,
    column,
    exists,
    func,
    literal,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import TSQUERY

from quorum.store.ledger.reading import matching, summary_page, to_summary
from quorum.store.ledger.schema import cases
from quorum.store.ledger.search_schema import case_labels, texts
from quorum.store.ledger.values import CaseFilter, CaseSummary
from quorum.store.ledger.words import Term, as_fts5, as_tsquery, parse

__all__ = ["MOST_READ", "Found", "Search", "search"]

#: Matches of each step: a few first, which is enough for most searches.
_STEPS = (64, 500, 500, 500, 500, 500, 436)
#: The most matches of words or labels that one page reads to apply the other conditions.
MOST_READ = sum(_STEPS)
#: The most matches that PostgreSQL sorts for a page.
_FEW = 3000


@dataclass(frozen=True, slots=True)
class Search:
    """The conditions of a search.

    Attributes:
        chosen: Conditions on the upload and its current verdict.
        words: Words in the title, description, tags or comments; ``"a phrase"`` and ``prefix*``
            are allowed. Empty for any.
        label: A label of the current verdict, or an ancestor of one. Empty for any.
    """

    chosen: CaseFilter = field(default_factory=CaseFilter)
    words: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """One page of results.

    Attributes:
        rows: The cases, newest first.
        next: The position of the next page; None at the end.
        cut: Whether the page ended at the limit of matches that are read.
    """

    rows: tuple[CaseSummary, ...]
    next: str | None
    cut: bool = False


def search(connection: Connection, wanted: Search, *, after: str = "", limit: int = 50) -> Found:
    """Read one page of results.

    Args:
        connection: A connection to the ledger.
        wanted: The conditions.
        after: The ``next`` of the previous page; an invalid one starts at the first page.
        limit: The most rows.
    """
    terms = parse(wanted.words)
    if wanted.words and not terms:
        return Found((), None)
    if terms:
        return _page(_Words(connection, wanted, terms, after), limit)
    if wanted.label:
        return _page(_Labelled(connection, wanted, after), limit)
    mark = _mark(after)
    rows = summary_page(connection, wanted.chosen, newest_first=True, after=mark, limit=limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    return Found(tuple(rows[:limit]), None if last is None else _position(last.at, last.upload_id))


class _Match(NamedTuple):
    """A match: its position, its upload, and its verdict if a label matched."""

    place: str
    upload_id: str
    verdict_id: str | None = None


class _Words:
    """Matches of words, ordered by the number of their text."""

    def __init__(
        self, connection: Connection, wanted: Search, terms: Sequence[Term], after: str
    ) -> None:
        self._connection, self._wanted, self._terms = connection, wanted, terms
        self._few: bool | None = None
        self._before = int(after) if after.isdecimal() and len(after) < 19 else 2**62

    def read(self, limit: int) -> list[_Match]:
        """The next matches."""
        if self._connection.dialect.name == "postgresql":
            query = self._postgres(limit)
        else:
            index = (
                text(
                    "SELECT rowid AS number FROM texts_index WHERE texts_index MATCH :asked "
                    "AND rowid < :before ORDER BY rowid DESC LIMIT :most"
                )
                .bindparams(asked=as_fts5(list(self._terms)), before=self._before, most=limit)
                .columns(column("number"))
                .subquery()
            )
            query = (
                select(texts.c.number, texts.c.upload_id)
                .join(index, index.c.number == texts.c.number)
                .order_by(texts.c.number.desc())
            )
        found = [_Match(str(row.number), row.upload_id) for row in self._connection.execute(query)]
        if found:
            self._before = int(found[-1].place)
        return found

    def _postgres(self, limit: int) -> Select[tuple[int, str]]:
        # A literal, so that the query is planned for these words; words_of leaves only letters and
        # digits, so that nothing can be injected.
        asked = literal(as_tsquery(list(self._terms)), literal_execute=True).cast(TSQUERY)
        matches = select(texts.c.number, texts.c.upload_id).where(
            texts.c.words.op("@@")(asked), texts.c.number < self._before
        )
        if self._few is None:
            # The planner misjudges how rare words are and may read all texts. Matches are therefore
            # counted, up to the number from which reading by time is faster.
            counted = select(func.count()).select_from(matches.limit(_FEW + 1).subquery())
            self._few = self._connection.execute(counted).scalar_one() <= _FEW
        if self._few:
            found = matches.cte("matches").prefix_with("MATERIALIZED", dialect="postgresql")
            return (
                select(found.c.number, found.c.upload_id)
                .order_by(found.c.number.desc())
                .limit(limit)
            )
        return matches.order_by(texts.c.number.desc()).limit(limit)

    def keep(self, upload_ids: Sequence[str]) -> dict[str, CaseSummary]:
        """The cases that also match the other conditions."""
        more = []
        if self._wanted.label:
            label = case_labels.c
            more.append(
                exists().where(
                    label.upload_id == cases.c.upload_id,
                    label.label == self._wanted.label.casefold(),
                    label.verdict_id == cases.c.verdict_id,
                )
            )
        return _kept(self._connection, self._wanted.chosen, upload_ids, more)


class _Labelled:
    """Matches of a label, ordered by the time of their verdict."""

    def __init__(self, connection: Connection, wanted: Search, after: str) -> None:
        self._connection, self._wanted = connection, wanted
        self._mark = _mark(after)

    def read(self, limit: int) -> list[_Match]:
        """The next matches."""
        c, decided = case_labels.c, self._wanted.chosen.decided
        query = select(c.at, c.upload_id, c.verdict_id).where(
            c.label == self._wanted.label.casefold()
        )
        if decided.since is not None:
            query = query.where(c.at >= decided.since)
        if decided.until is not None:
            query = query.where(c.at < decided.until)
        if self._mark is not None:
            there = tuple_(*self._mark, types=[c.at.type, c.upload_id.type])
            query = query.where(tuple_(c.at, c.upload_id) < there)
        query = query.order_by(c.at.desc(), c.upload_id.desc()).limit(limit)
        rows = self._connection.execute(query).all()
        if rows:
            self._mark = (rows[-1].at, rows[-1].upload_id)
        return [
            _Match(_position(row.at, row.upload_id), row.upload_id, row.verdict_id) for row in rows
        ]

    def keep(self, upload_ids: Sequence[str]) -> dict[str, CaseSummary]:
        """The cases that also match the other conditions."""
        return _kept(self._connection, self._wanted.chosen, upload_ids, ())


def _kept(
    connection: Connection, chosen: CaseFilter, upload_ids: Sequence[str], more: Iterable[Any]
) -> dict[str, CaseSummary]:
    query = select(*(cases.c[name] for name in CaseSummary.__dataclass_fields__)).where(
        cases.c.upload_id.in_(upload_ids),
        cases.c.at.is_not(None),
        *matching(chosen),
        *more,
    )
    return {row.upload_id: to_summary(row) for row in connection.execute(query)}


def _page(source: _Words | _Labelled, limit: int) -> Found:
    rows: list[CaseSummary] = []
    last = None
    for step in _STEPS:
        read = source.read(step)
        kept = source.keep([match.upload_id for match in read]) if read else {}
        for match in read:
            case = kept.get(match.upload_id)
            if case is not None and match.verdict_id in (None, case.verdict_id):
                if len(rows) == limit:
                    return Found(tuple(rows), last)
                rows.append(case)
            last = match.place
        if len(read) < step:
            return Found(tuple(rows), None)
    return Found(tuple(rows), last, cut=len(rows) < limit)


def _position(at: datetime | None, upload_id: str) -> str:
    assert at is not None
    return f"{at.isoformat()},{upload_id}"


def _mark(after: str) -> tuple[datetime, str] | None:
    at, _, upload_id = after.partition(",")
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        return None
    return (found, upload_id) if found.tzinfo else None
