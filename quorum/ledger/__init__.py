"""The ledger: the database of uploads, predictions, verdicts, reviews and statements."""

from quorum.ledger import catalogue_schema as _catalogue_schema  # noqa: F401  (as the console's)
from quorum.ledger import console_schema as _console_schema  # noqa: F401  (its tables are of the same metadata)
from quorum.ledger import search_schema as _search_schema  # noqa: F401
from quorum.ledger.connection import database_url, redacted
from quorum.ledger.errors import LedgerOutdated, LedgerRefused, LedgerUnavailable
from quorum.ledger.ledger import Ledger
from quorum.ledger.values import (
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
