"""What every client of an exchange does: pages of changes from a checkpoint, and opinions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from quorum.models.known.hashes import Listed
from quorum.models.known.records import Opinion

__all__ = ["Changes", "ExchangeClient", "Told", "shaped"]


@dataclass(frozen=True, slots=True)
class Changes:
    """One page of what an exchange changed.

    Attributes:
        listed: What it lists now; a reference replaces all that was listed under it.
        gone: References that it lists no more.
        gone_hashes: Kinds and values that it lists no more.
        whole: Whether this is the whole list: what is not in it is gone.
        checkpoint: Where the next page begins, as JSON.
        done: Whether this is the last page.
        passed: Hashes of kinds that are not compared here.
    """

    checkpoint: str
    listed: tuple[Listed, ...] = ()
    gone: tuple[str, ...] = ()
    gone_hashes: tuple[tuple[str, str], ...] = ()
    whole: bool = False
    done: bool = True
    passed: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """What an exchange is told of one hash; see ``quorum.models.known.records``."""

    opinion: Opinion
    hashed: Listed


class ExchangeClient(Protocol):
    """A client of one exchange."""

    @property
    def takes(self) -> frozenset[Opinion]:
        """The opinions that it takes."""
        ...

    def changes(self, checkpoint: str | None) -> Iterator[Changes]:
        """The pages since a checkpoint; None for all.

        Raises:
            CallRefused: If the exchange refuses the call.
            EngineUnavailable: If it does not answer as it should.
        """
        ...

    def tell(self, told: Told) -> None:
        """Send an opinion that it takes.

        Raises:
            CallRefused: If the exchange refuses it.
            EngineUnavailable: If it does not answer.
        """
        ...


def shaped(value: Any, kind: type) -> Any:
    """A value of an answer, of a kind.

    Raises:
        TypeError: If it is of another one.
    """
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(type(value).__name__)
    return value
