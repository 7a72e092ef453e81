"""Waves: nearly the same text or media from many uploaders within a while, found as a campaign.

An upload is part of a campaign if, within the window, enough uploads by enough different uploaders
share one of its keys. The campaign is named after the key by which it was found first. Each member
marks its keys with that name, so that variants of a text, which share only some of the keys, have
one campaign; where two meet, the older name goes on. All of it looks back from the edge of the
window, as other features do: it is the same for whatever order uploads arrive in.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from typing import Final

from quorum.aggregator.features.keys import hashed, keys_of, words_in
from quorum.aggregator.features.sizes import sampled
from quorum.aggregator.features.windows import History, Spans, distinct_values
from quorum.aggregator.policy.values import Feature
from quorum.core.messages import Campaign, Upload
from quorum.core.metrics import FEATURE_KEYS_GIVEN_UP

__all__ = ["MAX_EARLIER", "KeptWaves"]

#: The most uploads from before a campaign was known that a verdict names, and that a key keeps.
MAX_EARLIER: Final = 50

#: When a campaign was found first, in seconds, and the hash that is its name.
_Name = tuple[int, int]


class _Key:
    """What is kept for one key: who sent what, the names of campaigns, and what came before."""

    __slots__ = ("before", "history", "marks")

    def __init__(self) -> None:
        self.history = History(1, 1)
        #: The name of the campaign of an upload of this second, in order.
        self.marks: list[tuple[int, _Name]] = []
        #: Second and id of uploads that were part of none, in order.
        self.before: list[tuple[int, str]] = []

    def mark(self, second: int, name: _Name, keep: int) -> None:
        """Note a name: all within ``keep`` seconds of the newest, and one before."""
        at = bisect_left(self.marks, (second, (0, 0)))
        if at < len(self.marks) and self.marks[at][0] == second:
            self.marks[at] = (second, min(name, self.marks[at][1]))
        else:
            self.marks.insert(at, (second, name))
        older = bisect_left(self.marks, (self.marks[-1][0] - keep, (0, 0)))
        if older > 1:
            del self.marks[: older - 1]

    def name(self, edge: int, over: float) -> _Name | None:
        """The name that holds at the edge; None without a campaign within the window."""
        at = bisect_left(self.marks, (edge, (0, 0)))
        if not at or self.marks[at - 1][0] < edge - over:
            return None
        return self.marks[at - 1][1]

    def came_before(self, second: int, upload_id: str, over: float, keep: int) -> None:
        """Note an upload that is part of no campaign."""
        insort(self.before, (second, upload_id))
        begin = self.before[-1][0] - int(over) - keep
        self.before = [one for one in self.before if one[0] >= begin][-MAX_EARLIER:]

    def size(self) -> int:
        """How many numbers it keeps."""
        return self.history.size() + 3 * len(self.marks) + 2 * len(self.before)


class KeptWaves:
    """One feature of the kind ``wave`` and what it keeps; the key counted longest ago gives way.

    Args:
        feature: The feature.
    """

    def __init__(self, feature: Feature) -> None:
        self.feature = feature
        self.key = feature.key
        self.spans = Spans.of((feature.over,), feature.lateness)
        self.windows: OrderedDict[int, _Key] = OrderedDict()
        self.by = f"wave/{feature.by}"
        self._given_up = FEATURE_KEYS_GIVEN_UP.labels(self.by)

    def size(self) -> int:
        """How many numbers are kept; of many keys, told from a part of them."""
        return sampled(self.windows.values(), _Key.size)

    def take(
        self, upload: Upload, at: float, new: bool, cache: dict[str, tuple[int, ...]]
    ) -> tuple[float, Campaign | None] | None:
        """Count an upload, and tell its campaign.

        Args:
            upload: The upload.
            at: When it was published, in seconds since 1970.
            new: Whether it came for the first time.
            cache: The keys of the upload that were made for other features.

        Returns:
            The number of its campaign's uploaders, 0 without one, and the campaign; None where the
            upload has nothing that others may have in common with it.
        """
        feature = self.feature
        if feature.by not in cache:
            cache[feature.by] = keys_of(upload, feature.by)
        keys = cache[feature.by]
        if not keys or (feature.words and words_in(upload, feature.words) < feature.words):
            return None
        own, edge, second = hashed(upload.uploader), int(at - feature.lateness), int(at)
        found = [one for key in keys if (one := self._counted(key, edge, own)) is not None]
        campaign, name = None, None
        if found:
            name = self._name(found, edge, second)
            campaign = self._campaign(name, found, edge)
        if new:
            self._count(keys, second, own)
            for key in keys:
                if name is None:
                    self._kept_before(key, second, upload.id)
            if name is not None:
                for key, _, _ in found:
                    if (kept := self.windows.get(key)) is not None:
                        kept.mark(second, name, 2 * int(feature.lateness) + 2)
        return (0.0 if campaign is None else float(campaign.uploaders)), campaign

    def _counted(self, key: int, edge: int, own: int) -> tuple[int, int, int] | None:
        """A key with its uploads and uploaders, this upload's too; None if these are too few."""
        feature, kept, spans = self.feature, self.windows.get(key), self.spans
        if kept is None:
            return None
        begins = spans.begins(edge)
        uploads = 1 + kept.history.within(edge, begins, spans)[0][0]
        if uploads < feature.uploads:
            return None
        (accounts,) = distinct_values(kept.history.distinct, own, edge, begins)
        uploaders = round(accounts)
        return None if uploaders < feature.uploaders else (key, uploads, uploaders)

    def _name(self, found: list[tuple[int, int, int]], edge: int, second: int) -> _Name:
        """The oldest name on the keys; else one after the least of them."""
        over = self.feature.over
        names = [self.windows[key].name(edge, over) for key, _, _ in found]
        known = [one for one in names if one is not None]
        if known:
            return min(known)
        return second, hashed(f"{self.feature.by} {min(key for key, _, _ in found)}")

    def _campaign(self, name: _Name, found: list[tuple[int, int, int]], edge: int) -> Campaign:
        over = self.feature.over
        kept = [self.windows[key] for key, _, _ in found]
        earlier: list[tuple[int, str]] = []
        if all(one.name(edge, over) is None for one in kept):
            begin = edge - int(over)
            earlier = sorted({two for one in kept for two in one.before if begin <= two[0] < edge})
        return Campaign(
            id=f"{name[1]:016x}",
            label=self.by,
            feature=self.feature.key,
            uploads=max(uploads for _, uploads, _ in found),
            uploaders=max(accounts for _, _, accounts in found),
            earlier=tuple(upload_id for _, upload_id in earlier[-MAX_EARLIER:]),
        )

    def _count(self, keys: tuple[int, ...], second: int, own: int) -> None:
        for key in keys:
            kept = self.windows.get(key)
            if kept is None:
                kept = self.windows[key] = _Key()
                if len(self.windows) > self.feature.keys:
                    self.windows.popitem(last=False)
                    self._given_up.inc()
            else:
                self.windows.move_to_end(key)
            kept.history.add(second, (1,), (own,), self.spans)

    def _kept_before(self, key: int, second: int, upload_id: str) -> None:
        kept = self.windows.get(key)
        if kept is not None:
            late = 2 * int(self.feature.lateness) + 2
            kept.came_before(second, upload_id, self.feature.over, late)
