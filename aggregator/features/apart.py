"""Features over time where no process sees all uploads: each key is counted in a place of its own.

An upload asks each of its keys; each key replies with what it had before, and counts it. Who has
all replies has the values: those that one table would give for uploads in the same order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from quorum.aggregator.features.counts import Definitions, Form
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


class Ask(NamedTuple):
    """An upload's question to one of its keys.

    Attributes:
        upload_id: Whose it is.
        content: The digest of the upload: an edit asks again.
        key: What is counted, and the key.
        new: Whether the upload is to be counted.
        overs: The windows.
        lateness: Seconds by which uploads may be late.
        form: What is needed.
        event: What is read of the upload.
        past: For a wave.
    """

    upload_id: str
    content: str
    key: str
    new: bool
    overs: tuple[float, ...]
    lateness: float
    form: Form
    event: Event
    past: Past | None = None

    def to_bytes(self) -> bytes:
        """As JSON."""
        return json.dumps(self).encode()

    @classmethod
    def of_bytes(cls, data: bytes) -> Ask:
        """Read what ``to_bytes`` wrote."""
        upload_id, content, key, new, overs, lateness, form, event, past = json.loads(data)
        return cls(
            *(upload_id, content, key, new, tuple(overs), lateness, _form(form), Event(*event)),
            past=None if past is None else Past(*past),
        )


class Reply(NamedTuple):
    """What a key had before an upload.

    Attributes:
        content: The digest of the upload that asked.
        key: As in the question.
        new: As in the question.
        form: The form of the history.
        history: What is needed of it; None for a new key.
        before: For a wave, the uploads that may have been part of no campaign.
    """

    content: str
    key: str
    new: bool
    form: Form
    history: History | None
    before: list[Before]

    def to_bytes(self) -> bytes:
        """As JSON."""
        row = None if self.history is None else self.history.row()
        return json.dumps([*self[:4], row, self.before]).encode()

    @staticmethod
    def head(data: bytes) -> tuple[str, str]:
        """The content and the key of a reply, without reading all of it."""
        content, key, *_ = json.loads(data)
        return content, key

    @classmethod
    def of_bytes(cls, data: bytes) -> Reply:
        """Read what ``to_bytes`` wrote."""
        content, key, new, form, row, before = json.loads(data)
        history = None if row is None else History.of_row(row)
        past = [(at, one) for at, one in before]
        return cls(content, key, new, _form(form), history, past)


class KeptKey:
    """What is kept of one key, as bytes between two questions.

    Args:
        data: From ``to_bytes``; None for a new key.

    Attributes:
        until: When it may be forgotten, in seconds since 1970.
        timer: When somebody looks next whether it is to be forgotten.
    """

    def __init__(self, data: bytes | None = None) -> None:
        self.until, self.timer = 0.0, 0.0
        self._form: Form | None = None
        self._history: History | None = None
        self._before: list[Before] = []
        if data:
            self.until, self.timer, form, row, before = json.loads(data)
            self._before = [(at, one) for at, one in before]
            self._form, self._history = _form(form), History.of_row(row)

    def to_bytes(self) -> bytes:
        """What is kept."""
        assert self._history is not None
        kept = [self.until, self.timer, self._form, self._history.row(), self._before]
        return json.dumps(kept).encode()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted."""
        return self._history is None

    def take(self, ask: Ask, now: float) -> bytes:
        """The reply to a question, as bytes; counts its upload.

        Args:
            ask: The question.
            now: The time, in seconds since 1970.
        """
        spans = Spans.of(ask.overs, ask.lateness)
        history, form = self._history, ask.form
        if history is None:
            history = form.history()
        elif self._form != form and self._form is not None:
            # One policy may ask for less than another one that is still, or again, in force.
            form = Form(
                tuple(sorted({*self._form.sums, *form.sums})),
                tuple(sorted({*self._form.kinds, *form.kinds})),
                self._form.last or form.last,
            )
            form.adapt(history, self._form)
        found = None if self._history is None else history.at(ask.event.edge, spans)
        before: list[Before] = []
        if ask.past and found is not None:
            edge = ask.event.edge
            uploads = 1 + found.within(edge, spans.begins(edge), spans)[0][0]
            before = self._before if uploads >= ask.past.least else []
        reply = Reply(ask.content, ask.key, ask.new, form, found, before).to_bytes()
        if ask.new:
            amounts = dict(zip(ask.form.sums, ask.event.amounts, strict=True))
            values = dict(zip(ask.form.kinds, ask.event.values, strict=True))
            history.add(
                int(ask.event.at),
                [amounts.get(one, 0) for one in form.sums],
                [values.get(one) for one in form.kinds],
                spans,
            )
            if ask.past:
                self._before = noted(self._before, int(ask.event.at), ask.upload_id, ask.past.keep)
            self._history = history
            self.until = max(self.until, now + spans.reach + _SPARE)
        if self._history is not None:
            self._form = form
        return reply


def asks_of(upload: Upload, definitions: Definitions, *, new: bool) -> Iterator[Ask]:
    """The questions of an upload: one to each of its keys that a feature is by."""
    reading = Reading(upload)
    for plan in definitions.plans.values():
        keys = reading.keys(plan.by)
        if not keys:
            continue
        event = reading.event(plan.asked)
        overs = tuple(sorted({one.over for one in plan.features}))
        for key in keys:
            name = _name(f"{plan.by} {plan.lateness:g}", key)
            yield Ask(upload.id, upload.digest, name, new, overs, plan.lateness, plan.form, event)
    for wave in definitions.waves:
        event = Event(reading.at, int(reading.at - wave.lateness), (1,), (hashed(upload.uploader),))
        past = Past(int(wave.over) + marks_keep(wave), wave.uploads)
        for key in _wave_keys(reading, wave):
            name = _name(f"wave {wave.key}", key)
            overs = (wave.over,)
            yield Ask(upload.id, upload.digest, name, new, overs, wave.lateness, _WAVE, event, past)


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
        said = [known.get(_name(f"{plan.by} {plan.lateness:g}", key)) for key in keys]
        if None in said:
            complete = False
            continue
        histories = []
        for one in said:
            if one is not None and one.history is not None:
                plan.form.adapt(one.history, one.form)
                histories.append(one.history)
        if keys:
            plan.values(histories, reading.event(plan.asked), values)
    sightings = []
    for wave in definitions.waves:
        keys = _wave_keys(reading, wave)
        told = [(key, known.get(_name(f"wave {wave.key}", key))) for key in keys]
        if any(one is None for _, one in told):
            complete = False
            continue
        seen = _sighting(upload, wave, [(key, one) for key, one in told if one is not None])
        if keys:
            values[wave.key] = float(max((one.uploaders for one in seen.signs), default=0))
        if seen.signs:
            sightings.append(seen)
    return Found(values, tuple(sightings), complete)


def _sighting(upload: Upload, wave: Feature, told: Sequence[tuple[int, Reply]]) -> Sighting:
    at = upload.published_at.timestamp()
    edge, own = int(at - wave.lateness), hashed(upload.uploader)
    signs = tuple(
        sign
        for key, one in told
        if one.history is not None
        and (sign := Sign.at(key, wave, one.history, one.before, own, edge)) is not None
    )
    new = any(one.new for _, one in told)
    return Sighting(wave, upload.id, int(at), edge, new, len(signs) < len(told), signs)


def _wave_keys(reading: Reading, wave: Feature) -> tuple[int, ...]:
    keys = reading.keys(wave.by)
    return keys if keys and has_common(reading.upload, wave) else ()


def _name(counted: str, key: int) -> str:
    return f"{counted} {key:016x}"


def _form(row: Any) -> Form:
    sums, kinds, last = row
    return Form(tuple(sums), tuple(kinds), last)
