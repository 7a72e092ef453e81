"""Ack ids: which source acknowledges a message once its results are durable.

An ack id is a name and an id of its own under it, such as a subscription's path and Pub/Sub's ack
id. Sinks acknowledge ack ids once what came with them is published.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

__all__ = ["Acknowledged", "abandon", "ack_id", "acknowledge", "register", "split_by_name"]

_SEPARATOR: Final = "|"


class Acknowledged(Protocol):
    """Takes ids back once what they led to is durable."""

    def release(self, ids: Iterable[str], /) -> None:
        """One outcome of each is durable."""

    def abandon(self, ids: Iterable[str], /) -> None:
        """An outcome of each will never be durable: they are to be delivered again."""


_REGISTERED: dict[str, Acknowledged] = {}


def register(name: str, target: Acknowledged) -> None:
    """Send ids under this name to a target of this process."""
    _REGISTERED[name] = target


def ack_id(name: str, its_id: str) -> str:
    """The ack id of an id under a registered name."""
    return f"{name}{_SEPARATOR}{its_id}"


def split_by_name(ack_ids: Iterable[str]) -> dict[str, list[str]]:
    """Ids by the name that they stand under; empty ack ids are left out."""
    found: dict[str, list[str]] = {}
    for one in ack_ids:
        if one:
            name, its_id = one.split(_SEPARATOR, 1)
            found.setdefault(name, []).append(its_id)
    return found


def acknowledge(ack_ids: Iterable[str]) -> None:
    """One outcome of each of these is durable.

    Those of a name that this process did not register are left to their next delivery.
    """
    for name, ids in split_by_name(ack_ids).items():
        if (target := _REGISTERED.get(name)) is not None:
            target.release(ids)


def abandon(ack_ids: Iterable[str]) -> None:
    """An outcome of each of these will never be durable: they are to be delivered again."""
    for name, ids in split_by_name(ack_ids).items():
        if (target := _REGISTERED.get(name)) is not None:
            target.abandon(ids)
