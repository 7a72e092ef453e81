"""What a database says of the columns of a table of uploads, and how their values are read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Column, ColumnElement, Connection

from quorum.pipeline.batch.sources.conversions import EPOCH_FROM, EPOCH_TO, EPOCH_UNITS, Sql
from quorum.store.ledger import TimeRange

__all__ = ["EPOCHS", "Columns", "Values", "edges_in_any_zone"]

#: For each unit of an epoch: how many of it a second has, and its first and last number.
EPOCHS: Final = tuple((unit, EPOCH_FROM * unit, EPOCH_TO * unit) for unit in EPOCH_UNITS)

#: The values of a row by an upload's field, each with its kind; None for NULL.
Values = Mapping[str, tuple[Sql, Any]]


def edges_in_any_zone(span: TimeRange) -> Iterator[tuple[datetime, bool]]:
    """The edges of a span, a day further out: no zone is further from UTC.

    Yields:
        The time in UTC, and whether it is the first rather than the last. An edge that is absent,
        or would be no time any more, is left out.
    """
    for edge, days in ((span.since, -1), (span.until, 1)):
        if edge is None:
            continue
        try:
            far = edge.astimezone(UTC) + timedelta(days=days)
        except OverflowError:
            continue
        yield far, days < 0


@dataclass(frozen=True)
class Columns(ABC):
    """The columns of one table.

    Attributes:
        chosen: For fields of an upload, the column that holds them.
        timezone: The zone of times without one; None to refuse them.
    """

    chosen: Mapping[str, Column[Any]]
    timezone: str | None

    @property
    def zone(self) -> ZoneInfo | None:
        """``timezone`` as Python has it."""
        return None if self.timezone is None else ZoneInfo(self.timezone)

    @property
    def time(self) -> ColumnElement[Any] | None:
        """When a row was published, as the database computes it; None if only reading it can tell.

        It has a zone, or is NULL where the database cannot compute it.
        """
        return None

    @property
    def lacks_zones(self) -> bool:
        """Whether no time of the table can have a zone, by the type of its column."""
        return False

    @property
    def has_zones(self) -> bool:
        """Whether all times have a zone by the type of their column, though their text has none."""
        return False

    def prepare(self, connection: Connection) -> None:  # noqa: B027
        """Make a connection ready to read any value."""

    @abstractmethod
    def within(self, span: TimeRange) -> list[ColumnElement[bool]]:
        """The conditions of rows that may be in a span: of exactly these, if ``time`` is known."""

    @abstractmethod
    def untimed(self) -> ColumnElement[bool]:
        """The condition of rows whose ``time`` is NULL."""

    @abstractmethod
    def keys(self, *, untimed: bool) -> list[ColumnElement[Any]]:
        """What rows are ordered by to be read in pages; nothing if they cannot be.

        The last one is the id.
        """

    @abstractmethod
    def after(self, key: Sequence[Any]) -> list[Any]:
        """The values of ``keys`` in a row, as they are compared with."""

    @abstractmethod
    def fields(self, names: Sequence[str]) -> list[ColumnElement[Any]]:
        """What is selected to read these fields."""

    @abstractmethod
    def values(self, names: Sequence[str], row: Sequence[Any]) -> Values:
        """The values of a row of ``fields``."""
