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
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from quorum.aggregator.features.keys import Reading, hashed, words_in
from quorum.aggregator.features.sizes import sampled
from quorum.aggregator.features.windows import History, Spans, distinct_values
from quorum.aggregator.policy.values import Feature
from quorum.core.messages import Campaign, Upload
from quorum.core.metrics import FEATURE_KEYS_GIVEN_UP

__all__ = [
    "MAX_EARLIER",
    "Before",
    "KeptWaves",
    "Marks",
    "Name",
    "Sign",
    "has_common",
    "marks_keep",
    "named",
    "noted",
    "spans_of",
]

#: The most uploads from before a campaign was known that a verdict names, and that a key keeps.
MAX_EARLIER: Final = 50

#: When a campaign was found first, in seconds, and the hash that is its name.
Name = tuple[int, int]
#: Second and id of an upload that was part of no campaign.
Before = tuple[int, str]


class Marks:
    """The names of the campaigns of one key.

    Attributes:
        names: The name of the campaign of an upload of this second, in order.
    """

    __slots__ = ("names",)

    def __init__(self, names: Iterable[tuple[int, Name]] = ()) -> None:
        self.names = list(names)

    def mark(self, second: int, name: Name, keep: int) -> None:
        """Note a name: all within ``keep`` seconds of the newest, and one before."""
        at = bisect_left(self.names, (second, (0, 0)))
        if at < len(self.names) and self.names[at][0] == second:
            self.names[at] = (second, min(name, self.names[at][1]))
        else:
            self.names.insert(at, (second, name))
        older = bisect_left(self.names, (self.names[-1][0] - keep, (0, 0)))
        if older > 1:
            del self.names[: older - 1]

    def name(self, edge: int, over: float) -> Name | None:
        """The name that holds at the edge; None without a campaign within the window."""
        at = bisect_left(self.names, (edge, (0, 0)))
        if not at or self.names[at - 1][0] < edge - over:
            return None
        return self.names[at - 1][1]


class Sign(NamedTuple):
    """A key that enough uploads by enough uploaders share.

    Attributes:
        key: The key.
        uploads: How many share it, with the one that is counted.
        uploaders: By how many.
        before: Those that were part of no campaign.
    """

    key: int
    uploads: int
    uploaders: int
    before: Sequence[Before]

    @classmethod
    def at(
        cls,
        key: int,
        feature: Feature,
        history: History,
        before: Sequence[Before],
        own: int,
        edge: int,
    ) -> Sign | None:
        """What a key is a sign of, at an edge; None if its uploads or uploaders are too few."""
        spans = spans_of(feature)
        begins = spans.begins(edge)
        uploads = 1 + history.within(edge, begins, spans)[0][0]
        if uploads < feature.uploads:
            return None
        (accounts,) = distinct_values(history.distinct, own, edge, begins)
        uploaders = round(accounts)
        if uploaders < feature.uploaders:
            return None
        return cls(key, uploads, uploaders, before)


def spans_of(wave: Feature) -> Spans:
    """The windows of a wave."""
    return Spans.of((wave.over,), wave.lateness)


def marks_keep(wave: Feature) -> int:
    """For how many seconds what was marked may still be asked for by an upload that is late."""
    return 2 * int(wave.lateness) + 2


def noted(before: list[Before], second: int, upload_id: str, keep: int) -> list[Before]:
    """The uploads before a campaign of a key, with one more: those that may still be named.

    Args:
        before: The uploads.
        second: When the new one was published.
        upload_id: Its id.
        keep: For how many seconds they may be.
    """
    insort(before, (second, upload_id))
    begin = before[-1][0] - keep
    return [one for one in before if one[0] >= begin][-MAX_EARLIER:]


def named(
    wave: Feature, signs: Sequence[Sign], names: Iterable[Name | None], second: int, edge: int
) -> tuple[Name, Campaign]:
    """The campaign of an upload, and its name: the oldest one, else one after the least key.

    Args:
        wave: The feature.
        signs: The upload's.
        names: Those that their keys have.
        second: When the upload was published.
        edge: Where the window ends.
    """
    known = [one for one in names if one is not None]
    name = min(known, default=(second, hashed(f"{wave.by} {min(one.key for one in signs)}")))
    earlier: list[Before] = []
    if not known:
        begin = edge - int(wave.over)
        earlier = sorted({two for one in signs for two in one.before if begin <= two[0] < edge})
    return name, Campaign(
        id=f"{name[1]:016x}",
        label=f"wave/{wave.by}",
        feature=wave.key,
        uploads=max(one.uploads for one in signs),
        uploaders=max(one.uploaders for one in signs),
        earlier=tuple(upload_id for _, upload_id in earlier[-MAX_EARLIER:]),
    )


def has_common(upload: Upload, wave: Feature) -> bool:
    """Whether an upload has enough words that others may have in common with it."""
    return not wave.words or words_in(upload, wave.words) >= wave.words


class _Key:
    """What is kept for one key: who sent what, the names of campaigns, and what came before."""

    __slots__ = ("before", "history", "marks")

    def __init__(self) -> None:
        self.history = History(1, 1)
        self.marks = Marks()
        self.before: list[Before] = []

    def size(self) -> int:
        """How many numbers it keeps."""
        return self.history.size() + 3 * len(self.marks.names) + 2 * len(self.before)


class KeptWaves:
    """One feature of the kind ``wave`` and what it keeps; the key counted longest ago gives way.

    Args:
        feature: The feature.
    """

    def __init__(self, feature: Feature) -> None:
        self.feature = feature
        self.key = feature.key
        self.spans = spans_of(feature)
        self.windows: OrderedDict[int, _Key] = OrderedDict()
        self.by = f"wave/{feature.by}"
        self._given_up = FEATURE_KEYS_GIVEN_UP.labels(self.by)

    def size(self) -> int:
        """How many numbers are kept; of many keys, told from a part of them."""
        return sampled(self.windows.values(), _Key.size)

    def take(self, reading: Reading, new: bool) -> tuple[float, Campaign | None] | None:
        """Count an upload, and tell its campaign.

        Args:
            reading: What is read of the upload.
            new: Whether it came for the first time.

        Returns:
            The number of its campaign's uploaders, 0 without one, and the campaign; None where the
            upload has nothing that others may have in common with it.
        """
        feature, upload, at = self.feature, reading.upload, reading.at
        keys = reading.keys(feature.by)
        if not keys or not has_common(upload, feature):
            return None
        own, edge, second = hashed(upload.uploader), int(at - feature.lateness), int(at)
        signs = [one for key in keys if (one := self._sign(key, edge, own)) is not None]
        campaign, name = None, None
        if signs:
            names = (self.windows[one.key].marks.name(edge, feature.over) for one in signs)
            name, campaign = named(feature, signs, names, second, edge)
        if new:
            self._count(keys, second, own)
            keep = int(feature.over) + marks_keep(feature)
            for key in keys:
                if name is None and (kept := self.windows.get(key)) is not None:
                    kept.before = noted(kept.before, second, upload.id, keep)
            if name is not None:
                for sign in signs:
                    if (kept := self.windows.get(sign.key)) is not None:
                        kept.marks.mark(second, name, marks_keep(feature))
        return (0.0 if campaign is None else float(campaign.uploaders)), campaign

    def _sign(self, key: int, edge: int, own: int) -> Sign | None:
        kept = self.windows.get(key)
        if kept is None:
            return None
        return Sign.at(key, self.feature, kept.history, kept.before, own, edge)

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
