"""The hierarchy of Quorum's errors.

QuorumError
├── InputError          an invalid message or file                   (exit 65)
│   ├── MalformedMessage    not JSON, or JSON of the wrong shape
│   └── MediaRefused        media outside the allowed sources, formats or limits
├── ConfigurationError  an invalid setting, policy or option         (exit 78)
│   └── PolicyError         an invalid policy, with line and column
├── ArtifactError       a model file that is missing or altered      (exit 78)
└── EngineUnavailable   a runner or broker that is not available     (exit 69)

Exit codes follow ``sysexits.h``, so that scripts can distinguish bad usage (2, from the command
line parser), bad input, bad configuration and failure (1).
"""

from __future__ import annotations

__all__ = [
    "ArtifactError",
    "ConfigurationError",
    "EngineUnavailable",
    "InputError",
    "MalformedMessage",
    "MediaRefused",
    "PolicyError",
    "QuorumError",
]


class QuorumError(Exception):
    """Base of Quorum's errors; the text states the problem and how to fix it.

    Attributes:
        exit_code: The exit code of a command that fails with this error.
    """

    exit_code = 1


class InputError(QuorumError):
    """An invalid message or file."""

    exit_code = 65


class MalformedMessage(InputError):
    """Bytes that are not a message of the expected type."""


class MediaRefused(InputError):
    """Media outside the allowed sources, formats or limits."""


class ConfigurationError(QuorumError):
    """An invalid setting, policy or option; nothing was started."""

    exit_code = 78


class PolicyError(ConfigurationError):
    """An invalid policy.

    Args:
        message: The problem and how to fix it.
        file: The policy's file; None if it was not read from a file.
        line: Line of the mistake, from 1.
        column: Column of the mistake, from 1.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        self.message = message
        self.file = file
        self.line = line
        self.column = column
        where = ":".join(str(part) for part in (file, line, column) if part is not None)
        super().__init__(f"{where}: {message}" if where else message)


class ArtifactError(QuorumError):
    """A model artifact that is missing, altered or of an unknown format."""

    exit_code = 78


class EngineUnavailable(QuorumError):
    """A runner or broker that is not available."""

    exit_code = 69
