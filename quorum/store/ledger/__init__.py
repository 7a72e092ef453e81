"""The ledger: the database of uploads, predictions, verdicts, reviews and statements."""

from quorum.store.ledger.connection import database_url, redacted, source_url
from quorum.store.ledger.deliveries import DeliveryQueue
from quorum.store.ledger.errors import LedgerOutdated, LedgerRefused, LedgerUnavailable
from quorum.store.ledger.ledger import Ledger
from quorum.store.ledger.values import (
    CaseFilter,
    CaseSummary,
    Delivery,
    Forgotten,
    LedgerCase,
    Owner,
    PastVerdicts,
    Pruned,
    Recordable,
    Run,
    SignedRelease,
    StatementRecord,
    TimeRange,
)

__all__ = [
    "CaseFilter",
    "CaseSummary",
    "Delivery",
    "DeliveryQueue",
    "Forgotten",
    "Ledger",
    "LedgerCase",
    "LedgerOutdated",
    "LedgerRefused",
    "LedgerUnavailable",
    "Owner",
    "PastVerdicts",
    "Pruned",
    "Recordable",
    "Run",
    "SignedRelease",
    "StatementRecord",
    "TimeRange",
    "database_url",
    "redacted",
    "source_url",
]
