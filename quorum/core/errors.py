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

from collections.abc import Sequence

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

    @property
    def lines(self) -> tuple[str, ...]:
        """Each problem as a line of its own; most errors have one."""
        return (str(self),)


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
    """An invalid policy: its first mistake, with the others.

    Args:
        message: The problem and how to fix it.
        file: The policy's file; None if it was not read from a file.
        line: Line of the mistake, from 1.
        column: Column of the mistake, from 1.

    Attributes:
        others: The further mistakes of the same policy, each an error of its own.
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
        self.others: tuple[PolicyError, ...] = ()
        where = ":".join(str(part) for part in (file, line, column) if part is not None)
        super().__init__(f"{where}: {message}" if where else message)

    @classmethod
    def together(cls, errors: Sequence[PolicyError]) -> PolicyError:
        """One error for all mistakes of a policy, in the order of their places.

        Args:
            errors: At least one, those of one part of the policy side by side; a mistake that is
                told twice counts once. One without a place stays behind the one before it.
        """
        places: list[tuple[int, int]] = []
        for one in errors:
            unplaced = places[-1] if places else (0, 0)
            places.append(unplaced if one.line is None else (one.line, one.column or 0))
        order = sorted(range(len(errors)), key=places.__getitem__)
        placed = [errors[index] for index in order]
        first, *others = {str(one): one for one in placed}.values()
        first.others = tuple(others)
        return first

    @property
    def lines(self) -> tuple[str, ...]:
        """Each mistake as a line of its own."""
        return (str(self), *(str(one) for one in self.others))


class ArtifactError(QuorumError):
    """A model artifact that is missing, altered or of an unknown format."""

    exit_code = 78


class EngineUnavailable(QuorumError):
    """A runner or broker that is not available."""

    exit_code = 69
