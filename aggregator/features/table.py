"""All features over time of the policies of a process, and what they are kept from.

Time is that of the events: a value counts the uploads before its own that are older than the
policy's ``lateness``, and its own. So it is the same whatever the order in which uploads arrive, if
each arrives no later than one that is younger by ``lateness`` or more; a backtest, which reads
them in order, gets the same values. An upload that comes again is not counted again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from quorum.aggregator.features.keys import hashed, keys_of, number_of
from quorum.aggregator.features.waves import KeptWaves
from quorum.aggregator.features.windows import Window, estimate, levels_of
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.policy.values import Feature
from quorum.core.messages import Campaign, Upload

__all__ = ["Counted", "FeatureTable", "feature_table"]

#: Uploads that are remembered in order not to count one twice: of two generations.
MAX_SEEN: Final = 500_000

#: Sums are kept in whole millionths.
_UNITS: Final = 1_000_000

_NONE: Final[Mapping[str, float]] = {}


@dataclass(frozen=True, slots=True)
class Counted:
    """What features over time say of one upload.

    Attributes:
        values: By ``Feature.key``.
        campaigns: The waves that it is part of.
    """

    values: Mapping[str, float]
    campaigns: tuple[Campaign, ...] = ()


class FeatureTable:
    """Values of features for uploads, as they come. Threads may share it.

    Args:
        policies: The policy that decides, and those in shadow; a feature that several define alike
            is kept once.
    """

    def __init__(self, policies: Iterable[Policy]) -> None:
        given = _defined(policies)
        self._kept = [_made(one) for one in given.values()]
        self._current = given.keys()
        self._seen: tuple[set[int], set[int]] = (set(), set())
        self._lock = threading.Lock()
        self._warming = threading.Lock()
        self._warm = False

    def __bool__(self) -> bool:
        return bool(self._kept)

    def follow(self, policies: Iterable[Policy]) -> None:
        """Count for other policies from now on.

        What is defined alike goes on, what is new begins empty; what only the policies before
        defined is kept once more, for a return to them.
        """
        given = _defined(policies)
        with self._lock:
            if given.keys() == self._current:
                return
            former, self._current = self._current, given.keys()
            kept = [
                one for one in self._kept if one.feature.key in given or one.feature.key in former
            ]
            known = {one.feature.key for one in kept}
            self._kept = [*kept, *(_made(one) for key, one in given.items() if key not in known)]

    def take(self, upload: Upload) -> Mapping[str, float]:
        """Count an upload, and give its values, by ``Feature.key``.

        A feature by something that the upload lacks has no value. Of several keys, such as the
        domains of its links, the one with the greatest total counts; distinct values and the last
        upload are those of all of them.
        """
        return self.count(upload).values

    def count(self, upload: Upload) -> Counted:
        """Count an upload, and give its values as ``take`` does, with the waves it is part of."""
        if not self._kept:
            return Counted(_NONE)
        with self._lock:
            new = self._is_new(upload)
            cache: dict[str, tuple[int, ...]] = {}
            found: dict[str, float] = {}
            campaigns: list[Campaign] = []
            at = upload.published_at.timestamp()
            for one in self._kept:
                value = one.take(upload, at, new, cache)
                if isinstance(value, tuple):
                    value, campaign = value
                    if campaign is not None:
                        campaigns.append(campaign)
                if value is not None:
                    found[one.key] = value
            return Counted(found, tuple(campaigns))

    def warm(self, uploads: Callable[[], Iterable[Upload]]) -> int:
        """Count earlier uploads, once for all callers, as after a restart; how many there were.

        Args:
            uploads: Gives those of ``reach`` seconds, oldest first.
        """
        with self._warming:
            if self._warm or not self._kept:
                return 0
            self._warm = True
            count = 0
            for upload in uploads():
                self.take(upload)
                count += 1
            return count

    @property
    def reach(self) -> float:
        """Seconds of the longest window."""
        return max((one.feature.over for one in self._kept), default=0.0)

    def sizes(self) -> Iterator[tuple[str, int, int, int]]:
        """For each feature: its name, its keys, the numbers that it keeps, and keys given up."""
        with self._lock:
            for one in self._kept:
                yield one.feature.name, len(one.windows), one.size(), one.given_up

    def _is_new(self, upload: Upload) -> bool:
        mark = hashed(upload.id)
        newer, older = self._seen
        if mark in newer or mark in older:
            return False
        newer.add(mark)
        if len(newer) >= MAX_SEEN:
            self._seen = (set(), newer)
        return True


class _Kept:
    """One feature and its windows, by key; the key that was counted longest ago gives way."""

    def __init__(self, feature: Feature) -> None:
        self.feature = feature
        self.key = feature.key
        self.lateness = int(feature.lateness)
        self.levels = levels_of(feature.over)
        self.windows: OrderedDict[int, Window] = OrderedDict()
        self.given_up = 0

    def size(self) -> int:
        """How many numbers are kept."""
        return sum(window.size() for window in self.windows.values())

    def take(
        self, upload: Upload, at: float, new: bool, cache: dict[str, tuple[int, ...]]
    ) -> float | None:
        feature = self.feature
        keys = cache.get(feature.by)
        if keys is None:
            keys = cache[feature.by] = keys_of(upload, feature.by)
        if not keys:
            return None
        own: tuple[int, ...] = ()
        amount: float | None = 1.0
        if feature.kind == "distinct":
            if feature.of not in cache:
                cache[feature.of] = keys_of(upload, feature.of)
            own = cache[feature.of][:1]
        elif feature.kind == "sum":
            amount = number_of(upload, feature.of)
        whole = 0 if amount is None else round(amount * _UNITS)
        edge = int(at - feature.lateness)
        kept = self.windows
        windows = [found for key in keys if (found := kept.get(key)) is not None]
        value = self._value(windows, at, edge, own, whole)
        if new and amount is not None:
            second = int(at)
            for key in keys:
                self._count(key, second, own, whole)
        return value

    def _count(self, key: int, second: int, own: tuple[int, ...], amount: int) -> None:
        feature, levels = self.feature, self.levels
        window = self.windows.get(key)
        if window is None:
            window = self.windows[key] = Window()
            if len(self.windows) > feature.keys:
                self.windows.popitem(last=False)
                self.given_up += 1
        else:
            self.windows.move_to_end(key)
        if feature.kind == "last_seen":
            window.add_time(second, 2 * self.lateness + 2)
            return
        distinct = feature.kind == "distinct"
        if distinct and not own:
            return
        window.add(levels, second, own[0] if distinct else amount, distinct=distinct)
        window.forget(levels, second, feature.over, self.lateness + 1)

    def _value(
        self, windows: list[Window], at: float, edge: int, own: tuple[int, ...], amount: int
    ) -> float | None:
        """The value with the upload's own event, which is after the edge."""
        levels, over, kind = self.levels, self.feature.over, self.feature.kind
        if kind == "last_seen":
            seen = [last for one in windows if (last := one.before(edge)) is not None]
            return None if not seen or at - max(seen) > over else float(int(at) - max(seen))
        if kind == "distinct":
            return estimate({*own, *(v for one in windows for v in one.values(levels, edge, over))})
        if len(windows) == 1:
            most = windows[0].total(levels, edge, over)
        else:
            most = max([one.total(levels, edge, over) for one in windows], default=0)
        total = (amount + most) / _UNITS
        return total * 60.0 / over if kind == "rate" else total


def _made(feature: Feature) -> _Kept | KeptWaves:
    return KeptWaves(feature) if feature.kind == "wave" else _Kept(feature)


def _defined(policies: Iterable[Policy]) -> dict[str, Feature]:
    sides = (side for policy in policies for side in policy.sides)
    return {one.key: one for side in sides for one in side.features.values()}


_TABLES: dict[str, FeatureTable] = {}
_TABLES_LOCK = threading.Lock()


def feature_table(job: str, policies: Iterable[Policy]) -> FeatureTable:
    """The table of a job in this process, made at the first call: its threads share one."""
    with _TABLES_LOCK:
        if job not in _TABLES:
            _TABLES[job] = FeatureTable(policies)
        return _TABLES[job]
