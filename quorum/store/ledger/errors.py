"""The ledger's errors; their text never holds a password or the content of a message."""

from __future__ import annotations

from quorum.core.errors import ConfigurationError, InputError, QuorumError

__all__ = ["LedgerOutdated", "LedgerRefused", "LedgerUnavailable"]


class LedgerUnavailable(QuorumError):
    """The database cannot be reached, or went away and did not come back in time."""

    exit_code = 69


class LedgerOutdated(ConfigurationError):
    """The database has no tables of ours, or those of another version."""


class LedgerRefused(InputError):
    """The database does not take a value of a message; trying again would not help."""
