"""The second half of the graph: from uploads, predictions and reviews to verdicts.

The DoFn is thin: ``quorum.aggregator.case`` decides, and this keeps its snapshot in state, its time
in a timer, and the ack_ids of what it waits with until a verdict is published.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
from apache_beam import coders
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp

from quorum.aggregator.decider import Case, Decider, Discard, Effect, Emit, Forget
from quorum.aggregator.policy.policy import Policy
from quorum.core.errors import MalformedMessage
from quorum.core.messages import Message, Prediction, Review, Upload, digest, now
from quorum.pipeline.case_options import CaseOptions
from quorum.pipeline.detect import dead_letter
from quorum.pipeline.drift import process_watch
from quorum.pipeline.metrics import Meter
from quorum.pipeline.streams.base import Joined, Outgoing, Received
from quorum.store.histories import Histories
from quorum.store.ledger import Ledger

__all__ = ["MAX_JOINED_BYTES", "Decide", "KeyByUpload"]

_log = logging.getLogger(__name__)

STAGE = "decide"

#: The largest prediction or review that joins a case. A case keeps what it hears and what waits
#: for its upload, and its verdict lists what was heard: larger ones could make a verdict that
#: Pub/Sub refuses, over 10 MB.
MAX_JOINED_BYTES = 128 * 1024

_MESSAGES: dict[str, type[Message]] = {
    "uploads": Upload,
    "predictions": Prediction,
    "reviews": Review,
}


class KeyByUpload(beam.DoFn):
    """From received messages of any stream to ``(upload id, joined)``; bad ones to ``dead``."""

    def setup(self) -> None:
        self._meter = Meter()

    def process(self, received: Received) -> Iterator[tuple[str, Joined]]:
        try:
            message = _joining(received)
        except MalformedMessage as error:
            stage = f"{STAGE}.{received.stream}"
            self._meter.dead_letter(stage)
            yield beam.pvalue.TaggedOutput(  # type: ignore[misc]
                "dead", dead_letter(received, stage, str(error))
            )
            return
        yield (
            (message.id if isinstance(message, Upload) else message.upload_id),
            Joined((received,)),
        )


def _joining(received: Received) -> Any:
    message = _MESSAGES[received.stream].from_bytes(received.data)
    if not isinstance(message, Upload) and len(received.data) > MAX_JOINED_BYTES:
        msg = f"{message.kind} of {len(received.data):,} bytes; the limit is {MAX_JOINED_BYTES:,}"
        raise MalformedMessage(msg)
    return message


@dataclass(slots=True)
class _Stored:
    """What is kept of one upload between its messages.

    Attributes:
        case: The case.
        waiting: Messages that are not given back before a verdict: ``(key, ack_id)``, and for
            the first of those whose upload is unknown its attributes, body and stream as well.
        decided: Whether a verdict has been made.
        opened: Whether the upload has come.
        due: When the timer is set to, in seconds since the epoch; 0 for not at all.
    """

    case: Case
    waiting: list[list[Any]] = field(default_factory=list)
    decided: bool = False
    opened: bool = False
    due: float = 0.0

    @classmethod
    def restore(cls, decider: Decider, data: bytes | None) -> _Stored:
        if not data:
            return cls(decider.case())
        size = int.from_bytes(data[:4], "big")
        waiting, decided, opened, due = json.loads(data[4 : 4 + size])
        case = decider.restore(data[4 + size :])
        return cls(case, waiting, decided, opened, due)

    def snapshot(self) -> bytes:
        head = json.dumps([self.waiting, self.decided, self.opened, self.due]).encode()
        return len(head).to_bytes(4, "big") + head + self.case.snapshot()


class _Cases(beam.DoFn):
    """What both kinds of run share: takes a message or a time to a case, and its effects out."""

    def __init__(self, policy: Policy, options: CaseOptions | None = None) -> None:
        self.policy = policy
        self.options = options or CaseOptions()

    def setup(self) -> None:
        self._meter = Meter()
        self._decider = Decider(self.policy, self.options.shadows)
        self._watch = process_watch(self.options.reference)
        self._histories = None
        self._ledger = None
        if self.options.histories or self.options.ledger:
            # Without tries of its own: a look-up ends long before a database is back.
            self._ledger = Ledger(self.options.ledger, check_schema=False, retry=())
        if self.options.histories and self._ledger is not None:
            self._histories = Histories(self.policy, self._ledger, self._meter.unknown_history)

    def teardown(self) -> None:
        if self._histories is not None:
            self._histories.close()
        if self._ledger is not None:
            self._ledger.close()

    def _on_message(self, stored: _Stored, received: Received) -> Iterator[Any]:
        message: Any = _MESSAGES[received.stream].from_bytes(received.data)
        at = now()
        if isinstance(message, Upload):
            arrived = datetime.fromtimestamp(received.arrived, UTC)
            stored.opened = True
            known = self._histories.of(message, at) if self._histories is not None else None
            effects = stored.case.on_upload(message, at, arrived=min(arrived, at), uploader=known)
        elif isinstance(message, Prediction):
            effects = stored.case.on_prediction(message, at)
        else:
            if not stored.opened and not stored.waiting:
                self._resume(stored, message.upload_id)
            effects = stored.case.on_review(message, at)
        self._wait(stored, message, received)
        yield from self._out(stored, effects)

    def _resume(self, stored: _Stored, upload_id: str) -> None:
        """A review may come when its case is long forgotten, or lost with a restart.

        The ledger remembers it. Where it is away or knows of no verdict, the review waits for its
        upload like any other message.
        """
        if self._ledger is None:
            return
        try:
            past = self._ledger.get_case(upload_id)
        except Exception as error:  # a driver's own; its text may quote the URL
            extra = {"upload_id": upload_id, "reason": type(error).__name__}
            _log.warning("the ledger does not answer for a review", extra=extra)
            return
        if past is None or past.upload is None or past.verdict is None:
            return
        stored.case = self._decider.resume(
            past.upload, past.predictions, past.reviews, past.verdict
        )
        stored.opened = stored.decided = True

    @staticmethod
    def _wait(stored: _Stored, message: Message, received: Received) -> None:
        key = _key(message)
        if not stored.opened and not any(entry[0] == key for entry in stored.waiting):
            attributes = dict(received.attributes)
            stored.waiting.append(
                [key, received.ack_id, attributes, received.data.decode(), received.stream]
            )
        elif received.ack_id:
            stored.waiting.append([key, received.ack_id])

    def _out(self, stored: _Stored, effects: Iterable[Effect]) -> Iterator[Any]:
        for effect in effects:
            match effect:
                case Emit(verdict=verdict):
                    stored.decided = True
                    self._meter.verdict(verdict.action.value, verdict.decided_by, verdict.latency)
                    self._watch.verdict(verdict)
                    _log.info(
                        "verdict",
                        extra={
                            "upload_id": verdict.upload_id,
                            "action": verdict.action.value,
                            "revision": verdict.revision,
                        },
                    )
                    yield Outgoing((verdict,), self._released(stored))
                case Discard(message=message, error=error):
                    yield from self._discard(stored, message, error)
                case Forget():
                    yield from self._absorb(stored)
                    stored.opened = stored.decided = False
        if stored.decided:
            yield from self._absorb(stored)

    def _released(self, stored: _Stored) -> tuple[str, ...]:
        waiting, stored.waiting = stored.waiting, []
        return tuple(entry[1] for entry in waiting if entry[1])

    def _absorb(self, stored: _Stored) -> Iterator[Outgoing]:
        if ack_ids := self._released(stored):
            yield Outgoing((), ack_ids)

    def _discard(self, stored: _Stored, message: Message, error: str) -> Iterator[Any]:
        """One dead letter, however often the message came; all of its ack_ids go with it."""
        key = _key(message)
        mine = [entry for entry in stored.waiting if entry[0] == key]
        stored.waiting = [entry for entry in stored.waiting if entry[0] != key]
        attributes, text, stream = next(
            (entry[2:] for entry in mine if len(entry) > 2),
            ({}, message.to_bytes().decode(), f"{message.kind}s"),
        )
        stage = f"{STAGE}.{stream}"
        self._meter.dead_letter(stage)
        letters = dead_letter(Received(text.encode(), attributes, "", stream), stage, error)
        ack_ids = tuple(entry[1] for entry in mine if entry[1])
        yield beam.pvalue.TaggedOutput("dead", Outgoing(letters.messages, ack_ids))


def _key(message: Message) -> str:
    """The same for the same message; not its id, which another may claim."""
    return digest(message.kind, message.to_bytes().decode())


class _DecideStream(_Cases):
    """Cases of an unbounded stream: deadlines in processing time."""

    CASE = ReadModifyWriteStateSpec("case", coders.BytesCoder())
    DUE = TimerSpec("due", TimeDomain.REAL_TIME)

    def process(
        self,
        element: tuple[str, Joined],
        case: Any = beam.DoFn.StateParam(CASE),  # noqa: B008
        due: Any = beam.DoFn.TimerParam(DUE),  # noqa: B008
    ) -> Iterator[Any]:
        stored = _Stored.restore(self._decider, case.read())
        if not stored.opened and _is_due(stored):
            # The timer is late: what waited too long must not take these with it.
            yield from self._out(stored, stored.case.on_deadline(now()))
        for received in element[1].messages:
            yield from self._on_message(stored, received)
        self._keep(stored, case, due)

    @on_timer(DUE)
    def on_due(
        self,
        case: Any = beam.DoFn.StateParam(CASE),  # noqa: B008
        due: Any = beam.DoFn.TimerParam(DUE),  # noqa: B008
    ) -> Iterator[Any]:
        data = case.read()
        if not data:
            return
        stored = _Stored.restore(self._decider, data)
        stored.due = 0.0
        yield from self._out(stored, stored.case.on_deadline(now()))
        self._keep(stored, case, due)

    @staticmethod
    def _keep(stored: _Stored, case: Any, due: Any) -> None:
        when = stored.case.notify_at()
        if when is None:
            case.clear()
            due.clear()
            return
        if stored.due != when.timestamp():
            stored.due = when.timestamp()
            due.set(Timestamp.of(stored.due))
        case.write(stored.snapshot())


def _is_due(stored: _Stored) -> bool:
    when = stored.case.notify_at()
    return when is not None and when <= now()


class _DecideBounded(_Cases):
    """Cases of a bounded input: what has not come by its end does not come."""

    CASE = ReadModifyWriteStateSpec("case", coders.BytesCoder())
    END = TimerSpec("end", TimeDomain.WATERMARK)

    def process(
        self,
        element: tuple[str, Joined],
        case: Any = beam.DoFn.StateParam(CASE),  # noqa: B008
        end: Any = beam.DoFn.TimerParam(END),  # noqa: B008
    ) -> Iterator[Any]:
        stored = _Stored.restore(self._decider, case.read())
        for received in element[1].messages:
            yield from self._on_message(stored, received)
        end.set(GlobalWindow().max_timestamp())
        case.write(stored.snapshot())

    @on_timer(END)
    def on_end(self, case: Any = beam.DoFn.StateParam(CASE)) -> Iterator[Any]:  # noqa: B008
        if data := case.read():
            stored = _Stored.restore(self._decider, data)
            yield from self._out(stored, tuple(stored.case.on_end(now())))
            case.clear()


class Decide(beam.PTransform):
    """From ``(upload id, joined)`` to verdicts (main) and dead letters (tag ``dead``).

    Args:
        policy: The policy that decides.
        bounded: Whether the input ends; then its end is every case's deadline.
        options: What stands beside the policy.
    """

    def __init__(
        self, policy: Policy, *, bounded: bool, options: CaseOptions | None = None
    ) -> None:
        super().__init__()
        self.policy = policy
        self.bounded = bounded
        self.options = options

    def expand(self, keyed: beam.PCollection[tuple[str, Joined]]) -> Any:
        dofn = (_DecideBounded if self.bounded else _DecideStream)(self.policy, self.options)
        case = beam.ParDo(dofn).with_input_types(tuple[str, Joined])
        return keyed | "Case" >> case.with_outputs("dead", main="verdicts")
