"""The uploads that a ledger holds, as a source of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from quorum.pipeline.batch.sources.base import PAGE, BatchSource, Range, split
from quorum.store.ledger import Ledger, TimeRange, database_url

__all__ = ["LedgerBatch"]


@dataclass(frozen=True)
class LedgerBatch(BatchSource):
    """The uploads that a ledger holds.

    Attributes:
        url: The ledger; None for ``QUORUM_DATABASE``.
    """

    url: str | None = None

    def ranges(self, span: TimeRange, count: int) -> list[Range]:
        """See BatchSource."""
        with Ledger(self.url) as ledger:
            bounds = ledger.bounds(span)
        if bounds is None:
            return []
        return [Range(part) for part in split(*bounds, count)]

    def read(self, part: Range) -> Iterator[bytes]:
        """See BatchSource."""
        with Ledger(self.url) as ledger:
            for upload in ledger.uploads(part.span, page=PAGE):
                yield upload.to_bytes()

    def size(self, span: TimeRange) -> int | None:
        """See BatchSource."""
        with Ledger(self.url) as ledger:
            return ledger.count_uploads(span)

    def is_ledger(self, url: str | None) -> bool:
        """See BatchSource."""
        return database_url(self.url) == database_url(url)
