"""The features over time that are counted by one kind of key: one look-up serves all of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

from quorum.aggregator.features.keys import keys_of, number_of
from quorum.aggregator.features.sizes import sampled
from quorum.aggregator.features.windows import History, Spans, distinct_values
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.policy.values import Feature
from quorum.core.messages import Upload
from quorum.core.metrics import FEATURE_KEYS_GIVEN_UP

__all__ = ["Counter", "Definitions", "Event", "Form", "Plan", "cached_keys"]

#: Sums are kept in whole millionths.
_UNITS: Final = 1_000_000


class Event(NamedTuple):
    """What features by one kind of key read of an upload.

    Attributes:
        at: When it was published, in seconds since 1970.
        edge: Where the windows end.
        amounts: What it adds to each total.
        values: Its value of each kind of distinct values; None where it has none.
    """

    at: float
    edge: int
    amounts: tuple[int, ...]
    values: tuple[int | None, ...]


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
    """

    by: str
    lateness: float
    limit: int
    spans: Spans
    form: Form
    features: tuple[Feature, ...]

    @classmethod
    def of(cls, features: Iterable[Feature]) -> Plan:
        """The plan of features with one key and lateness."""
        given = sorted(features, key=lambda one: one.key)
        sums = {one.of if one.kind == "sum" else "" for one in given if one.kind in _TOTALS}
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
        uploads, sums, distinct, last = [], [], [], []
        for one in self.features:
            window = place[int(one.over)]
            if one.kind == "distinct":
                distinct.append((one.key, self.form.kinds.index(one.of), window))
            elif one.kind == "last_seen":
                last.append((one.key, one.over))
            elif one.kind == "sum":
                sums.append((one.key, self.form.sums.index(one.of), window))
            else:
                uploads.append((one.key, window, one.over if one.kind == "rate" else 0.0))
        object.__setattr__(self, "_uploads", uploads)
        object.__setattr__(self, "_sums", sums)
        object.__setattr__(self, "_distinct", distinct)
        object.__setattr__(self, "_last", last)

    _uploads: ClassVar[Sequence[tuple[str, int, float]]] = ()
    _sums: ClassVar[Sequence[tuple[str, int, int]]] = ()
    _distinct: ClassVar[Sequence[tuple[str, int, int]]] = ()
    _last: ClassVar[Sequence[tuple[str, float]]] = ()

    def event(self, upload: Upload, at: float, keys: dict[str, tuple[int, ...]]) -> Event:
        """What is read of an upload.

        Args:
            upload: The upload.
            at: When it was published, in seconds since 1970.
            keys: Its keys that were made for other plans.
        """
        amounts = []
        for name in self.form.sums:
            if not name:
                amounts.append(1)
                continue
            cached = keys.get(f"sum {name}")
            if cached is None:
                number = number_of(upload, name)
                cached = (0 if number is None else round(number * _UNITS),)
                keys[f"sum {name}"] = cached
            amounts.append(cached[0])
        values = [(cached_keys(upload, kind, keys) or (None,))[0] for kind in self.form.kinds]
        return Event(at, int(at - self.lateness), tuple(amounts), tuple(values))

    def count(self, history: History, event: Event) -> None:
        """Count an event of its key."""
        history.add(int(event.at), event.amounts, event.values, self.spans)

    def values(self, histories: Sequence[History], event: Event, found: dict[str, float]) -> None:
        """Add the values of the features, with the upload's own event, which is after the edge.

        Of several keys the one with the greatest total counts; distinct values and the last
        upload are those of all of them.

        Args:
            histories: What is known of the upload's keys, each once; without this event.
            event: What is read of the upload.
            found: Gets the values, by ``Feature.key``.
        """
        edge, spans = event.edge, self.spans
        begins = spans.begins(edge)
        if self.form.sums:
            most = [[0] * len(begins)] * len(self.form.sums)
            if len(histories) == 1:
                most = histories[0].within(edge, begins, spans)
            elif histories:
                each = [one.within(edge, begins, spans) for one in histories]
                most = [list(map(max, *same)) for same in zip(*each, strict=True)]
            for key, window, rate in self._uploads:
                total = 1.0 + most[0][window]  # the empty name of a sum is the first
                found[key] = total * 60.0 / rate if rate else total
            for key, place, window in self._sums:
                found[key] = (event.amounts[place] + most[place][window]) / _UNITS
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


_TOTALS: Final = ("count", "rate", "sum")


def cached_keys(upload: Upload, by: str, keys: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The keys of an upload, made once."""
    found = keys.get(by)
    if found is None:
        found = keys[by] = keys_of(upload, by)
    return found


class Counter:
    """What is kept by key for one plan; the key that was counted longest ago gives way.

    Keys that had the same events, as those of a text that is sent again, share what is kept until
    one of them has an event of its own.

    Args:
        plan: The plan.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.histories: OrderedDict[int, History] = OrderedDict()
        self._given_up = FEATURE_KEYS_GIVEN_UP.labels(plan.by)

    def take(
        self,
        upload: Upload,
        at: float,
        new: bool,
        cache: dict[str, tuple[int, ...]],
        found: dict[str, float],
    ) -> None:
        """Add an upload's values, and count it.

        Args:
            upload: The upload.
            at: When it was published, in seconds since 1970.
            new: Whether it came for the first time.
            cache: The keys of the upload that were made for others.
            found: Gets the values, by ``Feature.key``.
        """
        plan = self.plan
        keys = cached_keys(upload, plan.by, cache)
        if not keys:
            return
        event = plan.event(upload, at, cache)
        get = self.histories.get
        fresh: Sequence[int] = ()
        known: list[tuple[History, Sequence[int]]]
        if len(keys) == 1:
            history = get(keys[0])
            if history is None:
                known, fresh = [], keys
            else:
                known = [(history, keys)]
        else:
            same: dict[int, tuple[History, list[int]]] = {}
            fresh = []
            for key in keys:
                history = get(key)
                if history is None:
                    fresh.append(key)
                elif id(history) in same:
                    same[id(history)][1].append(key)
                else:
                    same[id(history)] = (history, [key])
            known = [*same.values()]
        plan.values([history for history, _ in known], event, found)
        if new:
            self._count(known, fresh, event)

    def _count(
        self,
        known: Sequence[tuple[History, Sequence[int]]],
        fresh: Sequence[int],
        event: Event,
    ) -> None:
        plan, histories = self.plan, self.histories
        for history, mine in known:
            if len(mine) < history.shared:
                history.shared -= len(mine)
                history = self._shared(history.copy(), mine)
            plan.count(history, event)
            for key in mine:
                histories.move_to_end(key)
        if fresh:
            plan.count(self._shared(plan.form.history(), fresh), event)
            while len(histories) > plan.limit:
                _, history = histories.popitem(last=False)
                history.shared -= 1
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
        former, self.plan = self.plan, plan
        if plan.form == former.form:
            return
        for one in {id(one): one for one in self.histories.values()}.values():
            plan.form.adapt(one, former.form)


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
