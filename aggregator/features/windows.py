"""What is kept for one key: cumulated totals, distinct values and the last times, for all windows.

A value looks back from an *edge*, a whole second. Totals are cumulated: those of a window are the
difference of two places, found by bisection, so that all windows and sums of a key share one list
of times. The newest events are kept by seconds. Older ones are merged into steps of the shortest
window that still reaches them, none longer than 1/24 of it: at most a few hundred, however many
events there are. So the near end of a window is exact to the second, and its far end to a step.
What a step holds depends on its events alone, not on their order.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, ClassVar, Final

__all__ = ["SKETCH", "Distinct", "History", "Once", "Spans", "distinct_values", "step_of"]

#: Sizes of steps in seconds; each divides the next one.
_SIZES: Final = (1, 5, 60, 300, 3600, 21600, 86400)
#: Distinct values are counted exactly up to so many; the standard error is 6.3% from there.
SKETCH: Final = 256
_SPACE: Final = float(1 << 64)
#: Distinct values of a key that are kept one by one, and entries before they are merged first.
FEW: Final = 6
_FIRST_MERGE: Final = 16
_HASH: Final = (1 << 64) - 1
#: The times of keys without any: most keys have few events, and share it.
_NONE: Final[list[int]] = []


def step_of(over: float) -> int:
    """The size of the steps at the far end of a window of so many seconds."""
    return max(size for size in _SIZES if size == 1 or size <= over / 24)


@dataclass(frozen=True)
class Spans:
    """The windows that look at one key.

    Attributes:
        overs: Their seconds, ascending, each with its step.
        margin: Seconds by which an edge may be before the newest event.
    """

    overs: tuple[tuple[int, int], ...]
    margin: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ends", [over for over, _ in self.overs])

    @classmethod
    def of(cls, overs: Iterable[float], lateness: float) -> Spans:
        """The spans of windows of so many seconds; the same object for the same ones."""
        return _spans(tuple(sorted(set(overs))), lateness)

    def begins(self, edge: int) -> list[int]:
        """Where each window begins that ends before the edge."""
        last = self._begins
        if last[0] != edge:
            last = (edge, [-(-(edge - over) // step) * step for over, step in self.overs])
            object.__setattr__(self, "_begins", last)
        return last[1]

    def begins_of(self, history: History, edge: int, begins: Sequence[int]) -> Sequence[int]:
        """Where each window begins that ends before the edge, for one key."""
        floor = history.newest - self.margin
        if edge >= floor:
            return begins
        # It is later than it may be: steps may be longer by now than those of its windows.
        return [
            min(edge, max(begin, floor - over))
            for begin, (over, _) in zip(begins, self.overs, strict=True)
        ]

    _ends: ClassVar[Sequence[int]] = ()
    #: The last edge with what it gave: the keys of an upload ask for the same.
    _begins: ClassVar[tuple[int, list[int]]] = (-1, [])

    @property
    def reach(self) -> int:
        """Seconds of the longest one."""
        return self.overs[-1][0] if self.overs else 0

    def step(self, age: int) -> int:
        """The size of the step of an event that is so much older than the newest; 0 for none."""
        if age <= self.margin:
            return 1
        at = bisect_left(self._ends, age - self.margin)
        return self.overs[at][1] if at < len(self.overs) else 0


@lru_cache(maxsize=64)
def _spans(overs: tuple[float, ...], lateness: float) -> Spans:
    found = tuple((int(over), step_of(over)) for over in overs)
    return Spans(found, 2 * int(lateness) + 2)


class Distinct:
    """The distinct values of one key: when each came last.

    So one list of times serves all windows. Values are hashes; of many, only those are kept that
    may be among the least of a window (k minimum values: Bar-Yossef and others, 2002, over a
    sliding window). Unlike HyperLogLog it is exact for the few values that rules ask about, and
    unions lose nothing.
    """

    __slots__ = ("found", "last", "limit", "ranked", "recent", "times")

    def __init__(self) -> None:
        #: Second and value in one number, ascending: those that an edge may divide, or few.
        self.recent: list[int] = []
        #: The last second of each older value, and these seconds in order.
        self.last: dict[int, int] | None = None
        self.times = _NONE
        #: The older values in order, where there are more than are counted exactly.
        self.ranked: list[int] | None = None
        self.limit = 2 * SKETCH
        #: What was found in a window: the uploads of a second ask for the same.
        self.found: tuple[int, int, list[int]] | None = None

    def add(self, second: int, value: int, newest: int, spans: Spans) -> None:
        """Note that a value came in this second."""
        pair = second << 64 | value
        recent = self.recent
        if not recent or recent[-1] < pair:
            recent.append(pair)
        else:
            at = bisect_left(recent, pair)
            if recent[at] == pair:
                return
            recent.insert(at, pair)
        floor = newest - spans.margin
        if len(recent) > FEW and recent[0] >> 64 < floor:
            old = bisect_left(recent, floor << 64)
            if self.last is None:
                self.last, self.times = {}, []
            for one in recent[:old]:
                self._age(one >> 64, one & _HASH)
            del recent[:old]
            # One that is far over its time goes at once, many are looked through seldom.
            if len(self.times) > self.limit or self.times[0] < floor - 2 * spans.reach:
                self._prune(floor - spans.reach)

    def _age(self, second: int, value: int) -> None:
        """Move a value to the older ones."""
        assert self.last is not None
        self.found = None
        times, former = self.times, self.last.get(value)
        if former is not None:
            if former >= second:
                return
            del times[bisect_left(times, former)]
        elif self.ranked is not None:
            insort(self.ranked, value)
        self.last[value] = second
        insort(times, second)

    def _prune(self, begin: int) -> None:
        """Drop values that came last before ``begin``, and those that cannot count any more.

        A value with more than ``SKETCH`` lesser ones, none of which came last before it, is
        among the least of no window.
        """
        assert self.last is not None
        newest_first = sorted(self.last.items(), key=lambda one: (-one[1], one[0]))
        kept: dict[int, int] = {}
        least: list[int] = []
        for value, second in newest_first:
            if second < begin:
                break
            if len(least) <= SKETCH:
                insort(least, value)
            elif value < least[-1]:
                least.pop()
                insort(least, value)
            else:
                continue
            kept[value] = second
        self.last = kept
        self.times = sorted(kept.values())
        self.ranked = sorted(kept) if len(kept) > SKETCH else None
        self.limit = 2 * max(SKETCH, len(kept))

    def least(self, begin: int, edge: int) -> list[int]:
        """The least of the older values within a window, as many as an estimate needs."""
        last = self.last or {}
        if self.ranked is None:
            return [value for value, second in last.items() if begin <= second < edge]
        found = self.found
        if found is None or found[:2] != (begin, edge):
            within = (value for value in self.ranked if begin <= last[value] < edge)
            found = self.found = (begin, edge, list(islice(within, SKETCH)))
        return found[2]

    def row(self) -> list[Any]:
        """What it keeps, for ``of_row``."""
        last = self.last or {}
        return [self.recent, [*last], [*last.values()], self.limit]

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Distinct:
        """Read a row."""
        made = cls()
        made.recent, values, seconds, made.limit = row
        if values:
            made.last, made.times = dict(zip(values, seconds, strict=True)), sorted(seconds)
            made.ranked = sorted(values) if len(values) > SKETCH else None
        return made

    def size(self) -> int:
        """How many numbers it keeps."""
        return len(self.recent) + 3 * len(self.times)

    def copy(self) -> Distinct:
        """The same, which goes its own way from now on."""
        other = Distinct()
        other.recent, other.times, other.limit = self.recent[:], self.times[:], self.limit
        other.last = None if self.last is None else dict(self.last)
        other.ranked = None if self.ranked is None else self.ranked[:]
        return other


def distinct_values(
    kept: Sequence[Distinct], own: int | None, edge: int, begins: Sequence[int]
) -> list[float]:
    """How many distinct values of all keys together each window has, this upload's own too.

    Args:
        kept: Those of each key.
        own: The upload's own value.
        edge: Where all windows end.
        begins: Where each begins.
    """
    if not kept:
        return [float(own is not None)] * len(begins)
    if len(kept) == 1:
        main, pairs = kept[0], kept[0].recent
    else:
        main = max(kept, key=_age_of)
        pairs = sorted(set().union(*[one.recent for one in kept]))
    last = main.last
    # In order: of each value the last one stays.
    more = {pair & _HASH: pair >> 64 for pair in pairs[: bisect_left(pairs, edge << 64)]}
    former = (last or {}).get
    for one in kept:
        if one is not main and one.last:
            later = [pair for pair in one.last.items() if former(pair[0], -1) < pair[1]]
            for value, second in later:
                if more.get(value, -1) < second < edge:
                    more[value] = second
    if own is not None:
        more[own] = edge
    if not last:
        seconds = sorted(more.values())
        counts = [len(seconds) - bisect_left(seconds, begin) for begin in begins]
    else:
        was, now = [], []
        for value, at in more.items():
            if (old := former(value, -1)) < at:
                was.append(old)
                now.append(at)
        was.sort()
        now.sort()
        times = main.times
        end = bisect_left(times, edge)
        counts = [
            end - bisect_left(times, begin) + bisect_left(was, begin) - bisect_left(now, begin)
            for begin in begins
        ]
    if max(counts) <= SKETCH:
        return [*map(float, counts)]
    return [
        float(count) if count <= SKETCH else _estimate(main, more, edge, begin)
        for count, begin in zip(counts, begins, strict=True)
    ]


def _age_of(one: Distinct) -> int:
    return len(one.times)


def _estimate(main: Distinct, more: dict[int, int], edge: int, begin: int) -> float:
    """How many distinct values there are, by the least of them (Beyer and others, 2007)."""
    values = {
        *main.least(begin, edge),
        *(value for value, second in more.items() if second >= begin),
    }
    return (SKETCH - 1) * _SPACE / (sorted(values)[SKETCH - 1] + 1)


@dataclass(slots=True)
class Once:
    """The only event of a key, or of several keys that had the same one: most keys have no other.

    Attributes:
        second: When it was.
        amounts: What it adds to each total.
        values: Its value of each kind; None where it has none.
        shared: The keys that have it.
    """

    second: int
    amounts: tuple[int, ...]
    values: tuple[int | None, ...]
    shared: int

    def size(self) -> int:
        """How many numbers it keeps."""
        return 1 + len(self.amounts) + len(self.values)


class History:
    """The events of one key, or of several keys that had the same ones.

    Args:
        sums: How many totals are kept; the first counts events.
        distinct: How many kinds of values are.
        last: Whether the last times are.

    Attributes:
        shared: The keys that have it.
    """

    __slots__ = ("distinct", "last", "merge_at", "newest", "seconds", "shared", "totals")

    def __init__(self, sums: int, distinct: int = 0, *, last: bool = False) -> None:
        self.newest = 0
        self.seconds: list[int] = []
        #: Cumulated, each with what was before the first second in front.
        self.totals: tuple[list[int], ...] = tuple([0] for _ in range(sums))
        self.merge_at = _FIRST_MERGE
        self.distinct = tuple(Distinct() for _ in range(distinct))
        self.last: list[int] | None = [] if last else None
        self.shared = 1

    def add(
        self, second: int, amounts: Sequence[int], values: Sequence[int | None], spans: Spans
    ) -> None:
        """Count an event.

        Args:
            second: When it was.
            amounts: What is added to each total: whole numbers, so that no order gives another sum.
            values: The value of each kind; None where it has none.
            spans: The windows.
        """
        newest = self.newest
        if second > newest:
            self.newest = newest = second
        if self.totals:
            seconds = self.seconds
            if not seconds:
                # Lists of the least size: most keys have one event.
                self.seconds = [second]
                each = zip(self.totals, amounts, strict=True)
                self.totals = tuple([one[0], one[0] + amount] for one, amount in each)
            elif second > seconds[-1]:
                seconds.append(second)
                for total, amount in zip(self.totals, amounts, strict=True):
                    total.append(total[-1] + amount)
                if len(seconds) > self.merge_at:
                    self._merge(spans)
            elif second == seconds[-1]:
                for total, amount in zip(self.totals, amounts, strict=True):
                    total[-1] += amount
            else:
                self._add_late(second, amounts, spans)
        for one, value in zip(self.distinct, values, strict=True):
            if value is not None:
                one.add(second, value, newest, spans)
        if self.last is not None:
            self._add_time(second, spans)

    def _add_late(self, second: int, amounts: Sequence[int], spans: Spans) -> None:
        step = spans.step(self.newest - second)
        if not step:
            return
        second = second // step * step
        at = bisect_left(self.seconds, second)
        new = self.seconds[at] != second
        if new:
            self.seconds.insert(at, second)
        for total, amount in zip(self.totals, amounts, strict=True):
            if new:
                total.insert(at + 1, total[at])
            total[at + 1 :] = [one + amount for one in total[at + 1 :]]

    def _merge(self, spans: Spans) -> None:
        """Merge events into steps that no window can divide any more, and drop what is over."""
        seconds = self.seconds
        steps = [one // s * s if (s := spans.step(self.newest - one)) else None for one in seconds]
        gone = steps.count(None)
        # The last event of each step has the total that is cumulated up to there.
        ends = [
            at
            for at in range(gone, len(steps))
            if at + 1 == len(steps) or steps[at + 1] != steps[at]
        ]
        self.seconds = [one for at in ends if (one := steps[at]) is not None]
        self.totals = tuple([total[gone], *(total[at + 1] for at in ends)] for total in self.totals)
        self.merge_at = max(_FIRST_MERGE, 2 * len(ends))

    def _add_time(self, second: int, spans: Spans) -> None:
        """Note when an event was: all of the margin, and one before."""
        times = self.last
        assert times is not None
        if not times or second > times[-1]:
            times.append(second)
        elif second not in times:
            insort(times, second)
        if len(times) > 2 and times[1] < (floor := times[-1] - spans.margin):
            del times[: bisect_left(times, floor) - 1]

    def within(self, edge: int, begins: Sequence[int], spans: Spans) -> list[list[int]]:
        """The totals of each window, for each of the sums."""
        seconds = self.seconds
        end = bisect_left(seconds, edge)
        places = [bisect_left(seconds, one) for one in spans.begins_of(self, edge, begins)]
        return [[total[end] - total[place] for place in places] for total in self.totals]

    def before(self, edge: int) -> int | None:
        """The last second with an event before the edge; None without one."""
        times = self.last
        at = bisect_left(times, edge) if times else 0
        return times[at - 1] if times and at else None

    def size(self) -> int:
        """How many numbers it keeps."""
        return (
            len(self.seconds) * (1 + len(self.totals))
            + sum(one.size() for one in self.distinct)
            + len(self.last or ())
        )

    def copy(self) -> History:
        """The same, which goes its own way from now on."""
        other = History(0)
        other.newest, other.seconds, other.merge_at = self.newest, self.seconds[:], self.merge_at
        other.totals = tuple(total[:] for total in self.totals)
        other.distinct = tuple(one.copy() for one in self.distinct)
        other.last = None if self.last is None else self.last[:]
        return other

    def row(self) -> list[Any]:
        """What it keeps, for ``of_row``: for the state of an engine, and between its workers."""
        distinct = [one.row() for one in self.distinct]
        return [self.newest, self.seconds, self.totals, distinct, self.last, self.merge_at]

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> History:
        """Read a row."""
        made = cls(0)
        made.newest, made.seconds, totals, distinct, made.last, made.merge_at = row
        made.totals = tuple(totals)
        made.distinct = tuple(map(Distinct.of_row, distinct))
        return made

    def at(self, edge: int, spans: Spans) -> History:
        """As much of it as the values at one edge need; it is not to be counted in."""
        made = History(0)
        made.newest = edge
        made.seconds = sorted(set(spans.begins(edge)))
        places = [bisect_left(self.seconds, one) for one in (*made.seconds, edge)]
        made.totals = tuple([total[place] for place in places] for total in self.totals)
        made.distinct = self.distinct
        made.last = None if (last := self.before(edge)) is None else [last]
        return made
