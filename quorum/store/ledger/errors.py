"""The ledger's errors; their texts never quote passwords or the content of messages."""

from __future__ import annotations

from quorum.core.errors import ConfigurationError, InputError, QuorumError

__all__ = ["LedgerOutdated", "LedgerRefused", "LedgerUnavailable"]


class LedgerUnavailable(QuorumError):
    """The database cannot be reached, or did not come back before the retries ended."""

    exit_code = 69


class LedgerOutdated(ConfigurationError):
    """The database has no ledger, or one of another version."""


class LedgerRefused(InputError):
    """The database refuses a value of a message; a retry would not help."""
