"""The features over time that are counted by one kind of key: one look-up serves all of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from quorum.aggregator.features.keys import Asked, Event, Reading
from quorum.aggregator.features.sizes import sampled
from quorum.aggregator.features.totals import TOTALS, Read, summed, totals_reader
from quorum.aggregator.features.windows import History, Once, Spans, distinct_values
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.policy.values import Feature
from quorum.core.metrics import FEATURE_KEYS_GIVEN_UP

__all__ = ["Counter", "Definitions", "Form", "Plan"]


class Form(NamedTuple):
    """What is kept of a key.

    Attributes:
        sums: The fields that are summed; the empty one counts uploads. None if there is no total.
        kinds: What distinct values are counted of.
        last: Whether the last times are kept.
    """

    sums: tuple[str, ...]
    kinds: tuple[str, ...]
    last: bool

    def history(self) -> History:
        """Of a key that had no event yet."""
        return History(len(self.sums), len(self.kinds), last=self.last)

    def union(self, other: Form) -> Form:
        """What both need."""
        return Form(
            tuple(sorted({*self.sums, *other.sums})),
            tuple(sorted({*self.kinds, *other.kinds})),
            self.last or other.last,
        )

    def adapt(self, history: History, former: Form) -> None:
        """Give what was kept in another form this one: what is new begins empty."""
        if self == former:
            return
        empty = self.history()
        if not former.sums or not self.sums:
            history.seconds = []
        size = len(history.seconds) + 1
        history.totals = tuple(
            history.totals[former.sums.index(one)] if one in former.sums else [0] * size
            for one in self.sums
        )
        history.distinct = tuple(
            history.distinct[former.kinds.index(one)] if one in former.kinds else new
            for one, new in zip(self.kinds, empty.distinct, strict=True)
        )
        if not self.last or history.last is None:
            history.last = empty.last


@dataclass(frozen=True)
class Plan:
    """What features with one kind of key and one lateness need, and how their values are read.

    Attributes:
        by: The kind of key.
        lateness: Of all of them.
        limit: The most keys that are kept in a process.
        spans: The windows.
        form: What is kept of each key.
        features: The features.
        asked: What is read of an upload.
    """

    by: str
    lateness: float
    limit: int
    spans: Spans
    form: Form
    features: tuple[Feature, ...]
    asked: Asked = field(init=False, compare=False)
    _totals: Read | None = field(init=False, repr=False, compare=False)
    #: Each with its kind of distinct values and its window.
    _distinct: Sequence[tuple[str, int, int]] = field(init=False, repr=False, compare=False)
    #: Each with its window in seconds.
    _last: Sequence[tuple[str, float]] = field(init=False, repr=False, compare=False)

    @classmethod
    def of(cls, features: Iterable[Feature]) -> Plan:
        """The plan of features with one key and lateness."""
        given = sorted(features, key=lambda one: one.key)
        sums = {summed(one) for one in given if one.kind in TOTALS}
        return cls(
            by=given[0].by,
            lateness=given[0].lateness,
            limit=max(one.keys for one in given),
            spans=Spans.of((one.over for one in given), given[0].lateness),
            form=Form(
                sums=tuple(sorted(sums)),
                kinds=tuple(sorted({one.of for one in given if one.kind == "distinct"})),
                last=any(one.kind == "last_seen" for one in given),
            ),
            features=tuple(given),
        )

    def __post_init__(self) -> None:
        place = {over: at for at, (over, _) in enumerate(self.spans.overs)}
        sums, kinds, _ = self.form
        made = {
            "asked": (self.lateness, sums, kinds),
            "_totals": totals_reader(self.features, sums, self.spans) if sums else None,
            "_distinct": [
                (one.key, kinds.index(one.of), place[int(one.over)])
                for one in self.features
                if one.kind == "distinct"
            ],
            "_last": [(one.key, one.over) for one in self.features if one.kind == "last_seen"],
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)

    def values(self, histories: Sequence[History], event: Event, found: dict[str, float]) -> None:
        """Add the values of the features, with the upload's own event, which is after the edge.

        Of several keys the one with the greatest total counts; distinct values and the last
        upload are those of all of them.

        Args:
            histories: What is known of the upload's keys, each once; without this event.
            event: What is read of the upload.
            found: Gets the values, by ``Feature.key``.
        """
        edge = event.edge
        begins = self.spans.begins(edge)
        if self._totals is not None:
            self._totals(histories, event, begins, found)
        if self._distinct:
            counted = [
                distinct_values([one.distinct[at] for one in histories], own, edge, begins)
                for at, own in enumerate(event.values)
            ]
            for key, place, window in self._distinct:
                found[key] = counted[place][window]
        if self._last:
            seen = [last for one in histories if (last := one.before(edge)) is not None]
            if seen:
                last = max(seen)
                for key, over in self._last:
                    if event.at - last <= over:
                        found[key] = float(int(event.at) - last)


class Counter:
    """What is kept by key for one plan; the key that was counted longest ago gives way.

    Keys that had the same events, as those of a text that is sent again, share what is kept until
    one of them has an event of its own.

    Args:
        plan: The plan.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.histories: OrderedDict[int, History | Once] = OrderedDict()
        self._given_up = FEATURE_KEYS_GIVEN_UP.labels(plan.by)

    def take(self, reading: Reading, new: bool, found: dict[str, float]) -> None:
        """Add an upload's values, and count it.

        Args:
            reading: What is read of the upload.
            new: Whether it came for the first time.
            found: Gets the values, by ``Feature.key``.
        """
        plan = self.plan
        keys = reading.keys(plan.by)
        if not keys:
            return
        event = reading.event(plan.asked)
        get = self.histories.get
        fresh: list[int] = []
        same: dict[int, tuple[History | Once, list[int]]] = {}
        for key in keys:
            kept = get(key)
            if kept is None:
                fresh.append(key)
            elif id(kept) in same:
                same[id(kept)][1].append(key)
            else:
                same[id(kept)] = (kept, [key])
        known = [(self._history(kept, mine), mine) for kept, mine in same.values()]
        plan.values([history for history, _ in known], event, found)
        if new:
            self._count(known, fresh, event)

    def _history(self, kept: History | Once, mine: Sequence[int]) -> History:
        """What is kept for some keys, with lists from now on if it had one event."""
        if isinstance(kept, History):
            return kept
        kept.shared -= len(mine)
        history = self.plan.form.history()
        history.add(kept.second, kept.amounts, kept.values, self.plan.spans)
        return self._shared(history, mine)

    def _count(
        self,
        known: Sequence[tuple[History, Sequence[int]]],
        fresh: Sequence[int],
        event: Event,
    ) -> None:
        histories, spans, second = self.histories, self.plan.spans, int(event.at)
        for history, mine in known:
            if len(mine) < history.shared:
                history.shared -= len(mine)
                history = self._shared(history.copy(), mine)
            history.add(second, event.amounts, event.values, spans)
            for key in mine:
                histories.move_to_end(key)
        if fresh:
            once = Once(second, event.amounts, event.values, len(fresh))
            for key in fresh:
                histories[key] = once
            while len(histories) > self.plan.limit:
                _, kept = histories.popitem(last=False)
                kept.shared -= 1
                self._given_up.inc()

    def _shared(self, history: History, keys: Sequence[int]) -> History:
        history.shared = len(keys)
        for key in keys:
            self.histories[key] = history
        return history

    def size(self) -> int:
        """How many numbers are kept; of many keys, told from a part of them."""
        return sampled(self.histories.values(), lambda one: one.size() / one.shared)

    def follow(self, plan: Plan) -> None:
        """Count by another plan from now on; what both need goes on."""
        if plan.form != self.plan.form:
            same: dict[int, tuple[History | Once, list[int]]] = {}
            for key, kept in self.histories.items():
                same.setdefault(id(kept), (kept, []))[1].append(key)
            for kept, mine in same.values():
                plan.form.adapt(self._history(kept, mine), self.plan.form)
        self.plan = plan


class Definitions:
    """The features of the policies of a process, and how they are counted.

    Args:
        policies: The policy that decides, and those in shadow; what several need is counted once.

    Attributes:
        features: By ``Feature.key``.
        plans: For the features but waves, by kind of key and lateness.
        waves: The waves.
    """

    def __init__(self, policies: Iterable[Policy]) -> None:
        self.features: dict[str, Feature] = {}
        self.plans: dict[tuple[str, float], Plan] = {}
        self.waves: tuple[Feature, ...] = ()
        self._current: dict[str, Feature] = {}
        self.follow(policies)

    def follow(self, policies: Iterable[Policy]) -> bool:
        """Take other policies; whether anything changed.

        What only the policies before defined is counted once more, for a return to them.
        """
        sides = (side for policy in policies for side in policy.sides)
        given = {one.key: one for side in sides for one in side.features.values()}
        if given.keys() == self._current.keys():
            return False
        self.features, self._current = {**self._current, **given}, given
        groups: dict[tuple[str, float], list[Feature]] = {}
        for one in self.features.values():
            if one.kind != "wave":
                groups.setdefault((one.by, one.lateness), []).append(one)
        self.plans = {name: Plan.of(group) for name, group in groups.items()}
        self.waves = tuple(one for one in self.features.values() if one.kind == "wave")
        return True
