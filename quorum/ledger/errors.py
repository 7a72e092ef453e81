"""The ledger's errors; their text never holds a password or the content of a message."""

from __future__ import annotations

from quorum.errors import ConfigurationError, QuorumError

__all__ = ["LedgerOutdated", "LedgerUnavailable"]


class LedgerUnavailable(QuorumError):
    """The database cannot be reached, or went away and did not come back in time."""

    exit_code = 69


class LedgerOutdated(ConfigurationError):
    """The database has no tables of ours, or those of another version."""
