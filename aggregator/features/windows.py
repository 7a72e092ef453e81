"""What is kept for one key of one feature: totals of steps of time, coarser the older they are.

A value looks back from an *edge*, a whole second. The newest events are kept by seconds, older ones
by 5 s, minutes, 5 minutes, hours, 6 hours or days, none longer than 1/24 of the window: at most
about 320 steps, however many events there are. So the near end of a window is exact to the second,
and its far end to a step. What a step holds depends on its events alone, not on their order.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Any, Final

__all__ = ["SKETCH", "Window", "estimate", "levels_of"]

#: Sizes of steps in seconds.
_SIZES: Final = (1, 5, 60, 300, 3600, 21600, 86400)
#: The hashes that a sketch of distinct values keeps: up to so many it is exact, and its standard
#: error is 6.3% from there.
SKETCH: Final = 256
_SPACE: Final = float(1 << 64)
#: Events of a key that are kept one by one.
FEW: Final = 6


def levels_of(over: float) -> tuple[int, ...]:
    """The sizes of steps that a window of so many seconds needs."""
    return (1, *(size for size in _SIZES[1:] if size <= over / 24))


class Window:
    """The events of one key: their sum, or which of their values are distinct.

    Most keys have few events: these are kept one by one, and steps are made of them later.
    Distinct values are counted by their least hashes (k minimum values: Bar-Yossef and others,
    2002; the estimate is that of Beyer and others, 2007). Unlike HyperLogLog it is exact for the
    few values that rules ask about, and unions of steps lose nothing.
    """

    __slots__ = ("few", "last", "newest", "steps")

    def __init__(self) -> None:
        #: Second and amount, or second and hash, of each event, while there are few.
        self.few: tuple[int, ...] = ()
        self.steps: tuple[dict[int, Any], ...] | None = None
        self.newest = 0
        #: For ``last_seen``: the newest seconds with an event, in order.
        self.last: list[int] | None = None

    def add(self, levels: tuple[int, ...], second: int, amount: int, *, distinct: bool) -> None:
        """Count an event.

        Args:
            levels: From ``levels_of``.
            second: When it was.
            amount: What is added, a whole number, so that no order gives another sum; or the hash
                of a value.
            distinct: Whether it is a hash.
        """
        if self.steps is None:
            self.few += (second, amount)
            if len(self.few) <= 2 * FEW:
                return
            pairs, self.few = self.few, ()
            self.steps = tuple({} for _ in levels)
        else:
            pairs = (second, amount)
        for at in range(0, len(pairs), 2):
            for size, steps in zip(levels, self.steps, strict=True):
                index = pairs[at] // size
                if distinct:
                    _least(steps.setdefault(index, []), pairs[at + 1])
                else:
                    steps[index] = steps.get(index, 0) + pairs[at + 1]

    def add_time(self, second: int, keep: int) -> None:
        """Note when an event was: all within ``keep`` seconds of the newest, and one before."""
        if self.last is None:
            self.last = []
        if second not in self.last:
            insort(self.last, second)
        older = bisect_left(self.last, self.last[-1] - keep)
        if older > 1:
            del self.last[: older - 1]

    def forget(self, levels: tuple[int, ...], second: int, over: float, lateness: int) -> None:
        """Drop what no value needs any more once an event of this second came."""
        if second <= self.newest:
            return
        self.newest = second
        if self.steps is None:
            begin = second - 2 * lateness - int(over) - levels[-1]
            if self.few[0] < begin:
                few = self.few
                kept = [at for at in range(0, len(few), 2) if few[at] >= begin]
                self.few = tuple(one for at in kept for one in few[at : at + 2])
            return
        for number, (size, steps) in enumerate(zip(levels, self.steps, strict=True)):
            if len(steps) <= 8:
                continue
            wide = int(over) if number + 1 == len(levels) else levels[number + 1]
            first = (second - 2 * lateness - wide) // size - 1
            if min(steps) < first:
                for index in [one for one in steps if one < first]:
                    del steps[index]

    def _within(self, levels: tuple[int, ...], edge: int, over: float) -> list[Any]:
        """The steps of the window that ends before a second; the amounts while there are few."""
        found: list[Any] = []
        if self.steps is None:
            few = self.few
            if not few:
                return found
            far = -(-(edge - int(over)) // levels[-1]) * levels[-1]
            return [few[at + 1] for at in range(0, len(few), 2) if far <= few[at] < edge]
        end = edge
        for number, (size, steps) in enumerate(zip(levels, self.steps, strict=True)):
            last = number + 1 == len(levels)
            begin = edge - int(over) if last else end // levels[number + 1] * levels[number + 1]
            first, stop = -(-begin // size) if last else begin // size, end // size
            if stop - first > len(steps):
                found += [one for index, one in steps.items() if first <= index < stop]
            else:
                found += [steps[index] for index in range(first, stop) if index in steps]
            end = first * size
        return found

    def total(self, levels: tuple[int, ...], edge: int, over: float) -> int:
        """The sum of the events before the edge, no older than the window."""
        return sum(self._within(levels, edge, over))

    def values(self, levels: tuple[int, ...], edge: int, over: float) -> set[int]:
        """The least hashes of the distinct values before the edge, at least ``SKETCH`` of them."""
        within = self._within(levels, edge, over)
        return set(within) if self.steps is None else set().union(*within)

    def before(self, edge: int) -> int | None:
        """The last second with an event before the edge; None without one."""
        at = bisect_left(self.last or [], edge)
        return self.last[at - 1] if at and self.last else None

    def size(self) -> int:
        """How many numbers it keeps."""
        return (
            len(self.few)
            + len(self.last or ())
            + sum(
                len(one) if isinstance(one, list) else 1
                for steps in self.steps or ()
                for one in steps.values()
            )
        )


def estimate(values: set[int]) -> float:
    """How many distinct values there are, by their least hashes; exact up to ``SKETCH``."""
    if len(values) <= SKETCH:
        return float(len(values))
    return (SKETCH - 1) * _SPACE / (sorted(values)[SKETCH - 1] + 1)


def _least(kept: list[int], value: int) -> None:
    """Keep the least hashes, in order and each once."""
    if len(kept) == SKETCH and value >= kept[-1]:
        return
    if value not in kept:
        insort(kept, value)
        del kept[SKETCH:]
