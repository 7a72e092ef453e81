"""What every source of a batch gives: ranges, and the JSON of their uploads."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from quorum.store.ledger import TimeRange

__all__ = ["PAGE", "BatchSource", "Range", "RefusedRow", "is_outside", "split"]

#: Rows that are read at once.
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Range:
    """A part of a source.

    Attributes:
        span: Of the times of publication.
        path: Of a file.
        untimed: Only rows without a time, which no span holds.
    """

    span: TimeRange = field(default_factory=TimeRange)
    path: str = ""
    untimed: bool = False


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that cannot be an upload.

    Attributes:
        data: What the source has of it.
        error: Why.
    """

    data: bytes
    error: str


class BatchSource(ABC):
    """A bounded source of uploads."""

    @abstractmethod
    def ranges(self, span: TimeRange, count: int) -> list[Range]:
        """About so many ranges that together hold the uploads of a span."""

    @abstractmethod
    def read(self, part: Range) -> Iterator[bytes | RefusedRow]:
        """The uploads of a range, as JSON; what cannot be one with the reason."""

    def size(self, span: TimeRange) -> int | None:
        """How many uploads a span has; None if only reading them can count them."""
        return None

    def is_ledger(self, url: str | None) -> bool:
        """Whether these uploads are those of a ledger, which need not be recorded in it again."""
        return False


def split(first: datetime, last: datetime, count: int) -> list[TimeRange]:
    """Spans of equal length from a time to just after another.

    The first is open to the past and the last to the future only as far as asked for.
    """
    end = last + timedelta(microseconds=1)
    step = (end - first) / count
    edges = [first + step * index for index in range(count)] + [end]
    return [TimeRange(a, b) for a, b in itertools.pairwise(edges) if a < b]


def is_outside(value: Any, span: TimeRange) -> bool:
    """Whether a time, as text, is outside a span; what is no time is not."""
    try:
        at = datetime.fromisoformat(value)
        return (span.since is not None and at < span.since) or (
            span.until is not None and at >= span.until
        )
    except (ValueError, TypeError):
        return False
