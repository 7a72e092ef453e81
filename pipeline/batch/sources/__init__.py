"""Where a batch reads its uploads from: the ledger, a table of the platform's, or files.

Each gives ranges that can be read apart from each other, and each range the JSON of its uploads,
so that one that cannot be used is kept as it was.
"""

from quorum.pipeline.batch.sources.base import BatchSource, Found, Range, RefusedRow, split
from quorum.pipeline.batch.sources.bigquery import BigQueryBatch
from quorum.pipeline.batch.sources.files import FileBatch
from quorum.pipeline.batch.sources.ledger import LedgerBatch
from quorum.pipeline.batch.sources.table import TableBatch

__all__ = [
    "BatchSource",
    "BigQueryBatch",
    "FileBatch",
    "Found",
    "LedgerBatch",
    "Range",
    "RefusedRow",
    "TableBatch",
    "split",
]
