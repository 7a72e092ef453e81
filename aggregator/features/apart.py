"""Features over time where no process sees all uploads: each key is counted in a place of its own.

An upload asks each of its keys; each key replies with what it had before, and counts it. Who has
all replies has the values: those that one table would give for uploads in the same order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from quorum.aggregator.features.counts import Definitions, Form, Plan
from quorum.aggregator.features.keys import Event, Reading, hashed
from quorum.aggregator.features.names import Sighting
from quorum.aggregator.features.waves import Before, Sign, has_common, marks_keep, noted
from quorum.aggregator.features.windows import History, Spans
from quorum.aggregator.policy.values import Feature
from quorum.core.messages import Upload

__all__ = ["Ask", "Found", "KeptKey", "Reply", "asks_of", "found_in"]

#: What is kept of a key of a wave.
_WAVE: Final = Form(("",), ("uploader",), False)
#: Seconds beyond the longest window for which the state of a key is kept.
_SPARE: Final = 60.0


class Past(NamedTuple):
    """Which uploads a key of a wave remembers by their ids.

    Attributes:
        keep: For how many seconds.
        least: The uploads from which on it tells them: below, no campaign can be new.
    """

    keep: int
    least: int


class Part(NamedTuple):
    """What one plan, or one wave, asks of a key.

    Attributes:
        name: Of the plan or the wave.
        overs: The windows.
        lateness: Seconds by which uploads may be late.
        form: What is needed.
        event: What is read of the upload.
        past: For a wave.
    """

    name: str
    overs: tuple[float, ...]
    lateness: float
    form: Form
    event: Event
    past: Past | None = None


class Ask(NamedTuple):
    """An upload's question to one of its keys.

    Attributes:
        upload_id: Whose it is.
        content: The digest of the upload: an edit asks again.
        key: The kind of key, and the key.
        new: Whether the upload is to be counted.
        parts: What is asked.
    """

    upload_id: str
    content: str
    key: str
    new: bool
    parts: tuple[Part, ...]

    def to_bytes(self) -> bytes:
        """As JSON."""
        return json.dumps(self).encode()

    @classmethod
    def of_bytes(cls, data: bytes) -> Ask:
        """Read what ``to_bytes`` wrote."""
        upload_id, content, key, new, parts = json.loads(data)
        return cls(upload_id, content, key, new, tuple(_part(*one) for one in parts))


class Kept(NamedTuple):
    """What a key has of the uploads before, for one plan or wave.

    Attributes:
        form: The form of the history.
        history: What was counted.
        before: For a wave, the uploads that may have been part of no campaign.
        until: When it may be forgotten, in seconds since 1970.
    """

    form: Form
    history: History
    before: list[Before]
    until: float = 0.0

    def row(self) -> list[Any]:
        """As values of JSON, for ``of_row``."""
        return [self.form, self.history.row(), self.before, self.until]

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Kept:
        """Read a row."""
        form, history, before, until = row
        return cls(_form(form), History.of_row(history), [(at, one) for at, one in before], until)


class Reply(NamedTuple):
    """What a key had before an upload.

    Attributes:
        content: The digest of the upload that asked.
        key: As in the question.
        new: As in the question.
        parts: By the name of what was asked; None where the key had nothing.
    """

    content: str
    key: str
    new: bool
    parts: Mapping[str, Kept | None]

    def to_bytes(self) -> bytes:
        """As JSON."""
        rows = {name: None if one is None else one.row() for name, one in self.parts.items()}
        return json.dumps([*self[:3], rows]).encode()

    @classmethod
    def of_bytes(cls, data: bytes) -> Reply:
        """Read what ``to_bytes`` wrote."""
        content, key, new, rows = json.loads(data)
        parts = {name: None if one is None else Kept.of_row(one) for name, one in rows.items()}
        return cls(content, key, new, parts)


class KeptKey:
    """What is kept of one key, as bytes between two questions.

    Args:
        data: From ``to_bytes``; None for a new key.

    Attributes:
        timer: When somebody looks next whether it is to be forgotten, in seconds since 1970.
    """

    def __init__(self, data: bytes | None = None) -> None:
        self.timer = 0.0
        self._parts: dict[str, Kept] = {}
        if data:
            self.timer, rows = json.loads(data)
            self._parts = {name: Kept.of_row(row) for name, row in rows.items()}

    def to_bytes(self) -> bytes:
        """What is kept."""
        return json.dumps([self.timer, {n: one.row() for n, one in self._parts.items()}]).encode()

    @property
    def until(self) -> float:
        """When it may be forgotten, in seconds since 1970; 0 if nothing was counted."""
        return max((one.until for one in self._parts.values()), default=0.0)

    def take(self, ask: Ask, now: float) -> bytes:
        """The reply to a question, as bytes; counts its upload.

        Args:
            ask: The question.
            now: The time, in seconds since 1970.
        """
        self._parts = {name: one for name, one in self._parts.items() if one.until > now}
        said = {one.name: self._said(one) for one in ask.parts}
        reply = Reply(ask.content, ask.key, ask.new, said).to_bytes()
        if ask.new:
            for part in ask.parts:
                self._count(part, ask.upload_id, now)
        return reply

    def _said(self, part: Part) -> Kept | None:
        kept = self._parts.get(part.name)
        if kept is None:
            return None
        spans, edge = Spans.of(part.overs, part.lateness), part.event.edge
        found = kept.history.at(edge, spans)
        before: list[Before] = []
        if part.past:
            uploads = 1 + found.within(edge, spans.begins(edge), spans)[0][0]
            before = kept.before if uploads >= part.past.least else []
        return Kept(kept.form, found, before)

    def _count(self, part: Part, upload_id: str, now: float) -> None:
        spans, event = Spans.of(part.overs, part.lateness), part.event
        kept = self._parts.get(part.name) or Kept(part.form, part.form.history(), [])
        form, before = kept.form, kept.before
        if form != part.form:
            # One policy may ask for less than another one that is still, or again, in force.
            form = form.union(part.form)
            form.adapt(kept.history, kept.form)
        amounts = dict(zip(part.form.sums, event.amounts, strict=True))
        values = dict(zip(part.form.kinds, event.values, strict=True))
        kept.history.add(
            int(event.at),
            [amounts.get(one, 0) for one in form.sums],
            [values.get(one) for one in form.kinds],
            spans,
        )
        if part.past:
            before = noted(before, int(event.at), upload_id, part.past.keep)
        until = max(kept.until, now + spans.reach + _SPARE)
        self._parts[part.name] = Kept(form, kept.history, before, until)


def asks_of(upload: Upload, definitions: Definitions, *, new: bool) -> Iterator[Ask]:
    """The questions of an upload: one to each of its keys that a feature is by."""
    reading = Reading(upload)
    parts: dict[str, list[Part]] = {}
    for plan in definitions.plans.values():
        if reading.keys(plan.by):
            overs = tuple(sorted({one.over for one in plan.features}))
            event = reading.event(plan.asked)
            part = Part(_plan_name(plan), overs, plan.lateness, plan.form, event)
            parts.setdefault(plan.by, []).append(part)
    for wave in definitions.waves:
        if _wave_keys(reading, wave):
            event = reading.event((wave.lateness, _WAVE.sums, _WAVE.kinds))
            past = Past(int(wave.over) + marks_keep(wave), wave.uploads)
            part = Part(wave.key, (wave.over,), wave.lateness, _WAVE, event, past)
            parts.setdefault(wave.by, []).append(part)
    for by, asked in parts.items():
        for key in reading.keys(by):
            yield Ask(upload.id, upload.digest, _name(by, key), new, tuple(asked))


class Found(NamedTuple):
    """What the replies to an upload say.

    Attributes:
        values: By ``Feature.key``; unknown ones lack.
        sightings: The waves that it is part of.
        complete: Whether all keys replied.
    """

    values: Mapping[str, float]
    sightings: tuple[Sighting, ...]
    complete: bool


def found_in(upload: Upload, replies: Iterable[Reply], definitions: Definitions) -> Found:
    """What the replies to an upload say; features by a key that has not replied are unknown."""
    known = {one.key: one for one in replies if one.content == upload.digest}
    reading = Reading(upload)
    values: dict[str, float] = {}
    complete = True
    for plan in definitions.plans.values():
        keys = reading.keys(plan.by)
        said = _said(known, plan.by, keys, _plan_name(plan))
        if said is None:
            complete = False
            continue
        histories = []
        for _, one in said:
            if one is not None:
                plan.form.adapt(one.history, one.form)
                histories.append(one.history)
        if keys:
            plan.values(histories, reading.event(plan.asked), values)
    sightings = []
    for wave in definitions.waves:
        keys = _wave_keys(reading, wave)
        said = _said(known, wave.by, keys, wave.key)
        if said is None:
            complete = False
            continue
        new = any(one.new for one in known.values())
        seen = _sighting(reading, wave, said, new=new)
        if keys:
            values[wave.key] = float(max((one.uploaders for one in seen.signs), default=0))
        if seen.signs:
            sightings.append(seen)
    return Found(values, tuple(sightings), complete)


def _said(
    known: Mapping[str, Reply], by: str, keys: Iterable[int], part: str
) -> list[tuple[int, Kept | None]] | None:
    """What each key had; None if one of them has not replied."""
    replies = [(key, known.get(_name(by, key))) for key in keys]
    if any(one is None or part not in one.parts for _, one in replies):
        return None
    return [(key, one.parts[part]) for key, one in replies if one is not None]


def _sighting(
    reading: Reading, wave: Feature, said: Sequence[tuple[int, Kept | None]], *, new: bool
) -> Sighting:
    event = reading.event((wave.lateness, _WAVE.sums, _WAVE.kinds))
    edge, own = event.edge, hashed(reading.upload.uploader)
    signs = tuple(
        sign
        for key, one in said
        if one is not None
        and (sign := Sign.at(key, wave, one.history, one.before, own, edge)) is not None
    )
    partly = len(signs) < len(said)
    return Sighting(wave, reading.upload.id, int(event.at), edge, new, partly, signs)


def _wave_keys(reading: Reading, wave: Feature) -> tuple[int, ...]:
    keys = reading.keys(wave.by)
    return keys if keys and has_common(reading.upload, wave) else ()


def _name(by: str, key: int) -> str:
    return f"{by} {key:016x}"


def _plan_name(plan: Plan) -> str:
    return f"{plan.lateness:g}"


def _form(row: Sequence[Any]) -> Form:
    sums, kinds, last = row
    return Form(tuple(sums), tuple(kinds), last)


def _part(
    name: str,
    overs: Sequence[float],
    lateness: float,
    form: Sequence[Any],
    event: Sequence[Any],
    past: Sequence[int] | None,
) -> Part:
    read = None if past is None else Past(*past)
    return Part(name, tuple(overs), lateness, _form(form), Event(*event), read)
