"""What a history says, arranged for the checker: contents, verdicts, dead letters, outages."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.soak.history import (
    Acked,
    DeadLetterSeen,
    Delivered,
    Event,
    JobEnded,
    Left,
    Outage,
    Published,
    Sample,
    Started,
    Stored,
    Survivors,
    VerdictSeen,
    key_of,
)
from benchmarks.soak.platform import is_accepted, is_null
from benchmarks.soak.scenarios import scenario_of
from quorum.core.messages import Upload, Verdict

__all__ = ["Content", "Facts", "Seen"]

#: The longest that a client waits before it tries again a broker that was away.
MOST_BACKOFF = 10.0
_NETWORK = ("slow", "stall", "away", "remade")


@dataclass(frozen=True, slots=True)
class Content:
    """One content of an accepted upload, published once or several times.

    Attributes:
        upload: The upload.
        key: See ``history.key_of``.
        kind: What it is in the workload.
        published: When, at first.
    """

    upload: Upload
    key: str
    kind: str
    published: float

    @property
    def scenario(self) -> str:
        """Its scenario."""
        return scenario_of(self.kind)


@dataclass(frozen=True, slots=True)
class Seen:
    """A verdict, and when the platform received it."""

    at: float
    verdict: Verdict


class Facts:
    """A history, arranged.

    Args:
        history: Its events; the first is ``Started``.

    Attributes:
        started: How the soak began.
        contents: Of all accepted uploads.
        latest: The content of each upload that was published last.
        of_upload: All contents of each upload.
        verdicts: By upload, as they came.
        dead: Dead letters by the key of their original.
        others: Predictions and reviews by upload, those that must count for nothing left out.
        null: Messages that must become dead letters and count for nothing.
        outages: The faults.
        delivered: When each message was handed to the job, by key.
    """

    def __init__(self, history: Iterable[Event]) -> None:
        self.contents: list[Content] = []
        self.latest: dict[str, Content] = {}
        self.of_upload: dict[str, list[Content]] = defaultdict(list)
        self.verdicts: dict[str, list[Seen]] = defaultdict(list)
        self.dead: dict[str, list[DeadLetterSeen]] = defaultdict(list)
        self.others: dict[str, list[Published]] = defaultdict(list)
        self.null: list[Published] = []
        self.outages: list[Outage] = []
        self.delivered: dict[str, list[float]] = defaultdict(list)
        self.acked: list[Acked] = []
        self.stored: dict[tuple[str, str], float] = {}
        self.ended: list[JobEnded] = []
        self.left: list[Left] = []
        self.survivors: list[Survivors] = []
        self.samples: list[Sample] = []
        self.operations: dict[str, int] = defaultdict(int)
        self._known: set[str] = set()
        for event in history:
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case Started():
                self.started = event
            case Published():
                self._published(event)
            case VerdictSeen():
                verdict = Verdict.from_bytes(event.data)
                self.verdicts[verdict.upload_id].append(Seen(event.at, verdict))
            case DeadLetterSeen():
                self.dead[key_of(event.original)].append(event)
            case Outage():
                self.outages.append(event)
                self.operations[event.kind] += 1
            case Delivered():
                self.delivered[event.key].append(event.at)
            case Acked():
                self.acked.append(event)
            case Stored():
                for key in event.keys:
                    self.stored.setdefault((event.stream, key), event.at)
            case JobEnded():
                self.ended.append(event)
            case Left():
                self.left.append(event)
            case Survivors():
                self.survivors.append(event)
            case Sample():
                self.samples.append(event)

    def _published(self, event: Published) -> None:
        self.operations[scenario_of(event.kind)] += 1
        if is_accepted(event):
            if event.key not in self._known:
                self._known.add(event.key)
                content = Content(Upload.from_bytes(event.data), event.key, event.kind, event.at)
                self.contents.append(content)
                self.of_upload[event.upload_id].append(content)
                self.latest[event.upload_id] = content
        elif is_null(event):
            self.null.append(event)
        else:
            self.others[event.upload_id].append(event)

    def during(self, start: float, end: float) -> list[Outage]:
        """The faults that overlap a time."""
        return [one for one in self.outages if one.at <= end and one.until >= start]

    def lost_state(self, start: float, end: float) -> bool:
        """Whether the worker's memory was lost, or its broker's, within a time."""
        return any(one.loses_state or one.kind == "remade" for one in self.during(start, end))

    def broker_lost(self, stream: str, key: str, until: float) -> bool:
        """Whether a broker that had confirmed a message lost all that it held before a time."""
        stored = self.stored.get((stream, key))
        return stored is not None and any(
            one.kind == "remade" and one.until >= stored for one in self.during(stored, until)
        )

    def clock(self, key: str, published: float, ended: float) -> float:
        """When the clock of a message's deadline began.

        It begins with the publication. A fault that overlaps the wait for the outcome begins it
        anew at the fault's end; one of the network later by its length, at most ``MOST_BACKOFF``,
        since clients wait longer and longer between their tries. If a worker was killed, or the
        broker unreachable, it begins anew at the last delivery before the outcome, too: what a
        dead worker held is delivered again after its lease.
        """
        began = published
        overlapping = self.during(published, ended)
        for one in overlapping:
            backoff = min(MOST_BACKOFF, one.until - one.at) if one.kind in _NETWORK else 0.0
            began = max(began, one.until + backoff)
        if any(one.loses_state or one.kind in _NETWORK for one in overlapping):
            began = max([began, *(at for at in self.delivered[key] if at <= ended)])
        return began

    def verdicts_on(self, content: Content, *, or_later: bool = False) -> list[Seen]:
        """The verdicts on a content; with ``or_later`` those on edits that replaced it, too."""
        digests = {content.upload.digest}
        if or_later:
            same = self.of_upload[content.upload.id]
            at = content.upload.published_at
            digests |= {one.upload.digest for one in same if one.upload.published_at >= at}
        seen = self.verdicts.get(content.upload.id, ())
        return [one for one in seen if one.verdict.digest in digests]

    def outcome(self, content: Content) -> float | None:
        """When the platform had the first verdict or dead letter of a content.

        An edit that comes before its verdict replaces a content; the verdict is on the edit then.
        """
        times = [one.at for one in self.verdicts_on(content, or_later=True)]
        times += [one.at for one in self.dead[content.key]]
        return min(times, default=None)

    @property
    def hindered(self) -> int:
        """How many contents had no outcome yet when a fault came or was there."""
        return sum(
            bool(self.during(one.published, self.outcome(one) or math.inf)) for one in self.contents
        )

    def current(self, upload_id: str) -> Verdict | None:
        """The verdict that holds."""
        seen: Sequence[Verdict] = [one.verdict for one in self.verdicts.get(upload_id, ())]
        return max(seen, key=lambda one: one.order, default=None)
