"""The errors that Quorum raises, as one tree.

QuorumError
├── InputError          a message or a file that cannot be used      (exit 65)
│   ├── MalformedMessage    not JSON, or JSON of the wrong shape
│   └── MediaRefused        media outside the allowed places, formats or limits
├── ConfigurationError  a setting, a policy or a flag to be mended   (exit 78)
│   └── PolicyError         a policy file, with its line and column
├── ArtifactError       a model's file that is absent or altered     (exit 78)
└── EngineUnavailable   a runner or a broker that cannot be had      (exit 69)

Exit codes follow ``sysexits.h``, so that a script can tell bad usage (2, from the command
line parser), bad input, bad configuration and failure (1) apart.
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
    """Any error of Quorum's own; its text says what was wrong and what to do.

    Attributes:
        exit_code: What a command that ends by this error exits with.
    """

    exit_code = 1


class InputError(QuorumError):
    """A message or a file that cannot be used."""

    exit_code = 65


class MalformedMessage(InputError):
    """Bytes that are not a message of the expected type."""


class MediaRefused(InputError):
    """Media outside the allowed places, formats or limits; never fetched further."""


class ConfigurationError(QuorumError):
    """A setting, a policy or a flag that must be mended before anything starts."""

    exit_code = 78


class PolicyError(ConfigurationError):
    """A policy that cannot be used.

    Args:
        message: What is wrong and how to mend it.
        file: The policy's file, if it came from one.
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
    """A model's artifact that is absent, altered or of an unknown format."""

    exit_code = 78


class EngineUnavailable(QuorumError):
    """A runner or a broker that cannot be had on this machine."""

    exit_code = 69
