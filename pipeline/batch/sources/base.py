"""What every source of a batch gives: ranges, and the JSON of their uploads."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import apache_beam as beam

from quorum.store.ledger import TimeRange

__all__ = ["PAGE", "BatchSource", "Found", "Range", "RefusedRow", "is_outside", "split"]

#: Rows that are read at once.
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Range:
    """A part of a source.

    Attributes:
        span: Of the times of publication.
        path: Of a file.
        group: Of a file that has groups of rows, the number of one.
        untimed: Only rows without a time, which no span holds.
    """

    span: TimeRange = field(default_factory=TimeRange)
    path: str = ""
    group: int | None = None
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


#: What is read: the JSON of an upload, or what cannot be one.
Found = bytes | RefusedRow


class BatchSource(ABC):
    """A bounded source of uploads."""

    def rows(self, begin: beam.pvalue.PBegin, ranges: Sequence[Range]) -> Any:
        """The uploads of ranges, as a PCollection of ``Found``."""
        return (
            begin
            | "Ranges" >> beam.Create(list(ranges))
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_Read(self)).with_output_types(Found)
        )

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


class _Read(beam.DoFn):
    def __init__(self, source: BatchSource) -> None:
        self.source = source

    def process(self, part: Range) -> Iterator[Found]:
        yield from self.source.read(part)


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
