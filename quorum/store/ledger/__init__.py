"""The ledger: the database of uploads, predictions, verdicts, reviews and statements."""

# Each adds its tables to the ledger's metadata.
from quorum.store.ledger import catalogue_schema as _catalogue_schema  # noqa: F401
from quorum.store.ledger import console_schema as _console_schema  # noqa: F401
from quorum.store.ledger import search_schema as _search_schema  # noqa: F401
from quorum.store.ledger.connection import database_url, redacted
from quorum.store.ledger.errors import LedgerOutdated, LedgerRefused, LedgerUnavailable
from quorum.store.ledger.ledger import Ledger
from quorum.store.ledger.values import (
    CaseFilter,
    CaseSummary,
    Delivery,
    Forgotten,
    LedgerCase,
    PastVerdicts,
    Pruned,
    Run,
    Span,
    Statement,
)

__all__ = [
    "CaseFilter",
    "CaseSummary",
    "Delivery",
    "Forgotten",
    "Ledger",
    "LedgerCase",
    "LedgerOutdated",
    "LedgerRefused",
    "LedgerUnavailable",
    "PastVerdicts",
    "Pruned",
    "Run",
    "Span",
    "Statement",
    "database_url",
    "redacted",
]
