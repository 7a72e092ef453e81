"""How much features over time keep, told without holding the stream up, and shown as metrics."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import islice
from typing import Final, Protocol, TypeVar
from weakref import WeakSet

from quorum.core.metrics import FEATURE_KEYS, FEATURE_NUMBERS

__all__ = ["Size", "sampled", "shown"]

#: Keys that are looked at; what all keep is told from these.
_SAMPLE: Final = 2_000

_Kept = TypeVar("_Kept")

#: What the keys are, how many there are, and how many numbers are kept for them.
Size = tuple[str, int, int]


class _Table(Protocol):
    def sizes(self, by: str | None = None) -> Iterator[Size]: ...


_TABLES: WeakSet[_Table] = WeakSet()


def sampled(kept: Collection[_Kept], size: Callable[[_Kept], float]) -> int:
    """The size of all, from that of a part of them where they are many."""
    step = 1 + len(kept) // _SAMPLE
    part = list(islice(kept, 0, None, step))
    return round(sum(map(size, part)) * len(kept) / max(1, len(part)))


def shown(table: _Table, by: str) -> None:
    """Show what the tables of this process keep by one kind of key."""
    _TABLES.add(table)
    FEATURE_KEYS.labels(by).set_function(lambda: _sum(by, 1))
    FEATURE_NUMBERS.labels(by).set_function(lambda: _sum(by, 2))


def _sum(by: str, place: int) -> float:
    return float(sum(int(row[place]) for table in list(_TABLES) for row in table.sizes(by)))
