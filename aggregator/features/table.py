"""All features over time of the policies of a process, and what they are kept from.

Time is that of the events: a value counts the uploads before its own that are older than the
policy's ``lateness``, and its own. So it is the same whatever the order in which uploads arrive, if
each arrives no later than one that is younger by ``lateness`` or more; a backtest, which reads
them in order, gets the same values. An upload that comes again is not counted again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from quorum.aggregator.features.counts import Counter, Definitions
from quorum.aggregator.features.keys import Reading, hashed
from quorum.aggregator.features.sizes import Size, shown
from quorum.aggregator.features.waves import KeptWaves
from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import Campaign, Upload

__all__ = ["Counted", "FeatureTable", "NoFeatures", "feature_table"]

#: Uploads that are remembered in order not to count one twice: of two generations.
MAX_SEEN: Final = 500_000

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
        policies: The policy that decides, and those in shadow; what several need is kept once.
    """

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._definitions = Definitions(())
        self._counters: dict[tuple[str, float], Counter] = {}
        self._waves: dict[str, KeptWaves] = {}
        self._seen: tuple[set[int], set[int]] = (set(), set())
        self._lock = threading.Lock()
        self._warming = threading.Lock()
        self._warm = False
        self.follow(policies)

    def __bool__(self) -> bool:
        return bool(self._definitions.features)

    def follow(self, policies: Iterable[Policy]) -> None:
        """Count for other policies from now on.

        What is defined alike goes on, and what is new begins with what is kept for others, if
        anything; what only the policies before defined is kept once more, for a return to them.
        """
        with self._lock:
            if not self._definitions.follow(policies):
                return
            plans = self._definitions.plans
            self._counters = {
                name: self._counters.get(name) or Counter(plan) for name, plan in plans.items()
            }
            for name, plan in plans.items():
                self._counters[name].follow(plan)
            self._waves = {
                one.key: self._waves.get(one.key) or KeptWaves(one)
                for one in self._definitions.waves
            }
        for by in {one.by for one in plans.values()} | {one.by for one in self._waves.values()}:
            shown(self, by)

    def take(self, upload: Upload) -> Mapping[str, float]:
        """Count an upload, and give its values, by ``Feature.key``.

        A feature by something that the upload lacks has no value.
        """
        return self.count(upload).values

    def count(self, upload: Upload) -> Counted:
        """Count an upload, and give its values as ``take`` does, with the waves it is part of."""
        if not self._definitions.features:
            return Counted(_NONE)
        with self._lock:
            new = self._is_new(upload)
            reading = Reading(upload)
            found: dict[str, float] = {}
            campaigns: list[Campaign] = []
            for counter in self._counters.values():
                counter.take(reading, new, found)
            for wave in self._waves.values():
                told = wave.take(reading, new)
                if told is not None:
                    found[wave.key], campaign = told
                    if campaign is not None:
                        campaigns.append(campaign)
            return Counted(found, tuple(campaigns))

    def warm(self, uploads: Callable[[], Iterable[Upload]]) -> int:
        """Count earlier uploads, once for all callers, as after a restart; how many there were.

        Args:
            uploads: Gives those of ``reach`` seconds, oldest first.
        """
        with self._warming:
            if self._warm or not self._definitions.features:
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
        return max((one.over for one in self._definitions.features.values()), default=0.0)

    def sizes(self, by: str | None = None) -> Iterator[Size]:
        """What is kept for each kind of key, for a wave as ``wave/text``.

        Args:
            by: Only this one.
        """
        with self._lock:
            for one in self._counters.values():
                if by in (None, one.plan.by):
                    yield one.plan.by, len(one.histories), one.size()
            for wave in self._waves.values():
                if by in (None, wave.by):
                    yield wave.by, len(wave.windows), wave.size()

    def _is_new(self, upload: Upload) -> bool:
        mark = hashed(upload.id)
        newer, older = self._seen
        if mark in newer or mark in older:
            return False
        newer.add(mark)
        if len(newer) >= MAX_SEEN:
            self._seen = (set(), newer)
        return True


class NoFeatures(FeatureTable):
    """Counts nothing, whatever the policies: features are counted elsewhere."""

    def __init__(self) -> None:
        super().__init__(())

    def follow(self, policies: Iterable[Policy]) -> None:
        """Count nothing."""


_TABLES: dict[str, FeatureTable] = {}
_TABLES_LOCK = threading.Lock()


def feature_table(job: str, policies: Iterable[Policy]) -> FeatureTable:
    """The table of a job in this process, made at the first call: its threads share one."""
    with _TABLES_LOCK:
        if job not in _TABLES:
            _TABLES[job] = FeatureTable(policies)
        return _TABLES[job]
