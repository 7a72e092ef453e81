"""Features over time in the state of an engine: before its case, an upload asks each of its keys.

Four steps. The first marks an upload as counted and asks; it is keyed by upload. The second keeps
what each key had; it is keyed by key, so that no key is hotter than its feature. The third, keyed
by upload again, holds an upload until all its keys replied, or until a share of its deadline is
over: then its case decides with what is known. The fourth has one key, and sees only the members
of waves: it gives campaigns their names.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import apache_beam as beam
from apache_beam import coders
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from quorum.aggregator.features.apart import Ask, KeptKey, Reply, asks_of, found_in
from quorum.aggregator.features.counts import Definitions
from quorum.aggregator.features.names import Names, Sighting
from quorum.aggregator.features.table import Counted
from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import Upload, now
from quorum.pipeline.cases.options import CaseOptions
from quorum.pipeline.metrics import Meter
from quorum.pipeline.streams.base import Joined, JoinedCoder, Received

__all__ = [
    "AskKeys",
    "AwaitKeys",
    "CountKey",
    "NameWaves",
    "WithFeatures",
]

#: The share of the policy's deadline for which an upload waits for its keys.
_SHARE: Final = 0.75
#: Seconds that it waits at least: its detectors may have taken most of the time.
_LEAST: Final = 1.0
#: Messages that wait behind an upload at most.
_MOST_HELD: Final = 100

_KEYED = tuple[str, Joined]
_BYTES = tuple[str, bytes]
#: A head, and what follows it.
_Parted = tuple[list[Any], bytes]
_JOINED: Final = JoinedCoder()


class _Follows(beam.DoFn):
    """Knows the features of the policies in force.

    Args:
        policy: The policy that decides, until ``options.live`` gives another one.
        options: Further options.
    """

    def __init__(self, policy: Policy, options: CaseOptions | None) -> None:
        self.policy = policy
        self.options = options or CaseOptions()

    def setup(self) -> None:
        self._definitions = Definitions((self.policy, *self.options.shadows))
        self._meter = Meter()

    def start_bundle(self) -> None:
        """Take the policy in force."""
        if self.options.live is None:
            return
        policy = self.options.live.current()
        if policy.version != self.policy.version:
            self.policy = policy
            self._definitions.follow((self.policy, *self.options.shadows))


class _Waiting(NamedTuple):
    """The head of what ``AwaitKeys`` keeps of an upload, or of what comes behind it.

    Attributes:
        content: The digest of the upload; empty without one.
        asks: How many keys it asks.
        until: For how long it waits for them, in seconds since 1970.
    """

    content: str
    asks: int
    until: float


class AskKeys(_Follows):
    """From ``(upload id, joined)`` to what ``AwaitKeys`` takes, and to ``asks``, by key."""

    COUNTED = BagStateSpec("counted", coders.BytesCoder())
    END = TimerSpec("end", TimeDomain.REAL_TIME)

    def process(
        self,
        element: _KEYED,
        counted: Any = beam.DoFn.StateParam(COUNTED),  # noqa: B008
        end: Any = beam.DoFn.TimerParam(END),  # noqa: B008
    ) -> Iterator[Any]:
        upload_id, joined = element
        upload = _upload(joined)
        waiting = _Waiting("", 0, 0.0)
        if upload is not None:
            new = not any(True for _ in counted.read())
            if new:
                counted.add(b"1")
            # As long as its case is kept: who comes again later is decided anew, too.
            end.set(Timestamp.of(now().timestamp() + self.policy.retention))
            asks = [*asks_of(upload, self._definitions, new=new)]
            for ask in asks:
                yield beam.pvalue.TaggedOutput("asks", (ask.key, ask.to_bytes()))
            waiting = _Waiting(upload.digest, len(asks), self._until(joined))
        yield upload_id, _with_head(_JOINED.encode(joined), waiting)

    def _until(self, joined: Joined) -> float:
        at = now().timestamp()
        arrived = (one.arrived for one in joined.messages if one.stream == "uploads")
        return max(at + _LEAST, min(arrived, default=at) + _SHARE * self.policy.deadline)

    @on_timer(END)
    def on_end(self, counted: Any = beam.DoFn.StateParam(COUNTED)) -> None:  # noqa: B008
        counted.clear()


class CountKey(beam.DoFn):
    """From ``(key, question)`` to ``(upload id, reply)``; keeps a key for its longest window."""

    KEPT = BagStateSpec("kept", coders.BytesCoder())
    END = TimerSpec("end", TimeDomain.REAL_TIME)

    def process(
        self,
        element: _BYTES,
        kept: Any = beam.DoFn.StateParam(KEPT),  # noqa: B008
        end: Any = beam.DoFn.TimerParam(END),  # noqa: B008
    ) -> Iterator[_BYTES]:
        ask = Ask.of_bytes(element[1])
        key = KeptKey(_only(kept))
        reply = key.take(ask, now().timestamp())
        if key.until:
            if not key.timer:
                key.timer = key.until
                end.set(Timestamp.of(key.timer))
            kept.clear()
            kept.add(key.to_bytes())
        yield ask.upload_id, _with_head(reply, [ask.content, ask.key])

    @on_timer(END)
    def on_end(
        self,
        kept: Any = beam.DoFn.StateParam(KEPT),  # noqa: B008
        end: Any = beam.DoFn.TimerParam(END),  # noqa: B008
    ) -> None:
        data = _only(kept)
        if data is None:
            return
        key = KeptKey(data)
        kept.clear()
        if key.until > now().timestamp():
            key.timer = key.until
            end.set(Timestamp.of(key.timer))
            kept.add(key.to_bytes())


class AwaitKeys(_Follows):
    """From ``(upload id, joined or reply)`` to ``(upload id, joined)`` with features.

    An element is bytes, with a head. What needs the name of a campaign goes to ``waves``, for
    ``NameWaves``.
    """

    HELD = BagStateSpec("held", coders.BytesCoder())
    END = TimerSpec("end", TimeDomain.REAL_TIME)

    def process(
        self,
        element: _BYTES,
        held: Any = beam.DoFn.StateParam(HELD),  # noqa: B008
        end: Any = beam.DoFn.TimerParam(END),  # noqa: B008
    ) -> Iterator[Any]:
        upload_id, data = element
        kept = [*map(_parted, held.read()), _parted(data)]
        waiting, replied = _heads(kept)
        uploads = [one for one in waiting if one.content]
        if (waiting and not uploads) or len(waiting) > _MOST_HELD:
            # As if there were no features: the case may hold it, too.
            yield from self._released(upload_id, kept[-1:])
        elif uploads and all(len(replied[one.content]) >= one.asks for one in uploads):
            held.clear()
            end.clear()
            yield from self._released(upload_id, kept)
        else:
            held.add(data)
            if len(kept) == 1 or not _is_reply(kept[-1][0]):
                untils = [one.until for one in uploads] or [now().timestamp() + _LEAST]
                end.set(Timestamp.of(min(untils)))

    @on_timer(END)
    def on_end(
        self,
        upload_id: str = beam.DoFn.KeyParam,  # type: ignore[assignment]
        held: Any = beam.DoFn.StateParam(HELD),  # noqa: B008
    ) -> Iterator[Any]:
        kept = [*map(_parted, held.read())]
        held.clear()
        yield from self._released(upload_id, kept)

    def _released(self, upload_id: str, kept: Sequence[_Parted]) -> Iterator[Any]:
        replied = [body for head, body in kept if _is_reply(head)]
        for body in (body for head, body in kept if not _is_reply(head)):
            joined = _JOINED.decode(body)
            upload = _upload(joined)
            sightings: tuple[Sighting, ...] = ()
            if upload is not None:
                found = found_in(upload, map(Reply.of_bytes, replied), self._definitions)
                if not found.complete:
                    self._meter.unknown_features()
                joined = replace(joined, counted=Counted(found.values))
                sightings = found.sightings
            # A late prediction of this job must not overtake its upload: its case would not know.
            if sightings or (self._definitions.waves and not joined.messages):
                rows = [each.row() for each in sightings]
                seen = _with_head(_JOINED.encode(joined), [upload_id, rows])
                yield beam.pvalue.TaggedOutput("waves", ("waves", seen))
            else:
                yield upload_id, joined


class NameWaves(beam.DoFn):
    """From members of waves to ``(upload id, joined)`` with their campaigns."""

    NAMES = BagStateSpec("names", coders.BytesCoder())

    def process(
        self,
        element: _BYTES,
        kept: Any = beam.DoFn.StateParam(NAMES),  # noqa: B008
    ) -> Iterator[_KEYED]:
        (upload_id, rows), body = _parted(element[1])
        joined = _JOINED.decode(body)
        if rows and joined.counted is not None:
            names = Names(_only(kept))
            campaigns = tuple(names.take(Sighting.of_row(row)) for row in rows)
            joined = replace(joined, counted=replace(joined.counted, campaigns=campaigns))
            kept.clear()
            kept.add(names.to_bytes())
        yield upload_id, joined


def _is_reply(head: Sequence[Any]) -> bool:
    """Whether a head is the content that asked, and the key; others are a ``_Waiting``."""
    return len(head) < len(_Waiting._fields)


def _with_head(body: bytes, head: Sequence[Any]) -> bytes:
    told = json.dumps(head).encode()
    return len(told).to_bytes(4, "big") + told + body


def _parted(data: bytes) -> _Parted:
    end = 4 + int.from_bytes(data[:4], "big")
    return json.loads(data[4:end]), data[end:]


def _heads(kept: Iterable[_Parted]) -> tuple[list[_Waiting], dict[str, set[str]]]:
    """What waits, and the keys that replied to each content."""
    waiting: list[_Waiting] = []
    replied: dict[str, set[str]] = defaultdict(set)
    for head, _ in kept:
        if _is_reply(head):
            replied[head[0]].add(head[1])
        else:
            waiting.append(_Waiting(*head))
    return waiting, replied


class WithFeatures(beam.PTransform[beam.PCollection[_KEYED], beam.PCollection[_KEYED]]):
    """From ``(upload id, joined)`` to the same, where uploads have their features over time.

    Args:
        policy: The policy that decides.
        options: Further options.
    """

    def __init__(self, policy: Policy, options: CaseOptions | None) -> None:
        super().__init__()
        self.policy = policy
        self.options = options

    def expand(self, keyed: beam.PCollection[_KEYED]) -> beam.PCollection[_KEYED]:
        """See PTransform."""
        ask = beam.ParDo(AskKeys(self.policy, self.options)).with_input_types(_KEYED)
        asked = keyed | "Ask keys" >> ask.with_outputs("asks", main="joined")
        replies = _bytes(asked.asks, "Asks") | "Count keys" >> _keyed_step(CountKey, _BYTES)
        parts = (_bytes(asked.joined, "Joined"), replies)
        awaits = beam.ParDo(AwaitKeys(self.policy, self.options)).with_input_types(_BYTES)
        awaited = (
            parts
            | "Replies and uploads" >> beam.Flatten()
            | "Await keys" >> awaits.with_outputs("waves", main="joined")
        )
        members = _bytes(awaited.waves, "Members")
        found: beam.PCollection[_KEYED] = (
            awaited.joined | "With features" >> beam.Map(_same).with_output_types(_KEYED),
            members | "Name waves" >> _keyed_step(NameWaves, _KEYED),
        ) | "All uploads" >> beam.Flatten()
        return found


def _keyed_step(step: type[beam.DoFn], to: Any) -> Any:
    made = beam.ParDo(step())
    return made.with_input_types(_BYTES).with_output_types(to)


def _bytes(tagged: beam.PCollection[Any], label: str) -> beam.PCollection[_BYTES]:
    """An output with a tag, which has no type of its own: a key must have one."""
    typed: beam.PCollection[_BYTES] = tagged | label >> beam.Map(_same).with_output_types(_BYTES)
    return typed


def _same(element: Any) -> Any:
    return element


def _upload(joined: Joined) -> Upload | None:
    """The upload among the messages; None without one."""
    if joined.upload is not None:
        return joined.upload
    found: Iterable[Received] = (one for one in joined.messages if one.stream == "uploads")
    return next((Upload.model_validate_json(one.data) for one in found), None)


def _only(kept: Any) -> bytes | None:
    return next(iter(kept.read()), None)
