"""What an examination finds: one line for each thing that a deployment may need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from quorum.core.errors import QuorumError

__all__ = ["Finding", "State", "attempt"]


class State(StrEnum):
    """Whether something is there."""

    OK = "ok"
    """It is there, and can be used."""
    ABSENT = "absent"
    """It is not there, and the settings do not need it."""
    MISSING = "missing"
    """The settings need it, and it is not there or cannot be used."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        name: What it is.
        state: Whether it is there.
        found: What was found, or what is missing.
        without: What does not work without it; empty if it is there.
        remedy: What to do; empty if it is there.
    """

    name: str
    state: State
    found: str
    without: str = ""
    remedy: str = ""

    @classmethod
    def ok(cls, name: str, found: str) -> Finding:
        """It is there."""
        return cls(name, State.OK, found)

    @classmethod
    def lacking(
        cls, name: str, found: str, without: str, remedy: str = "", *, needed: bool = False
    ) -> Finding:
        """It is not there, or cannot be used."""
        state = State.MISSING if needed else State.ABSENT
        return cls(name, state, found, without, remedy)


def attempt(
    name: str, look: Callable[[], str], without: str, remedy: str = "", *, needed: bool = True
) -> Iterator[Finding]:
    """Look for something by using it.

    Args:
        name: What it is.
        look: Uses it; returns what was found. An error says what is missing.
        without: What does not work without it.
        remedy: What to do.
        needed: Whether the settings need it.
    """
    try:
        yield Finding.ok(name, look())
    except QuorumError as error:
        yield Finding.lacking(name, str(error), without, remedy, needed=needed)
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        yield Finding.lacking(name, told, without, remedy, needed=needed)
