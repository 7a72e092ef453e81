"""The second half of the graph: from uploads, predictions and reviews to verdicts.

The DoFns are thin: ``quorum.aggregator`` decides. What they add is where a case is kept between its
events, its timer, and the ack ids that go with its verdict. There are three, for where the
engine keeps state: in the worker's memory (Prism, which has no checkpoint), in the engine's state
(Flink, Dataflow), and until the end of a bounded input.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import apache_beam as beam
from apache_beam import coders
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp

from quorum.aggregator.decider import Case, Decider, Discard, Effect, Emit, Forget
from quorum.aggregator.decision.compact import CompactPrediction
from quorum.aggregator.policy.policy import Policy
from quorum.core.errors import MalformedMessage
from quorum.core.messages import Message, Prediction, Review, Upload, digest, now
from quorum.pipeline.case_options import CaseOptions
from quorum.pipeline.case_table import CaseTable, DueCases, case_table
from quorum.pipeline.detect import dead_letter
from quorum.pipeline.drift import process_watch
from quorum.pipeline.metrics import Meter
from quorum.pipeline.streams.acks import ack_id
from quorum.pipeline.streams.base import Joined, Outgoing, Received
from quorum.store.histories import Histories
from quorum.store.ledger import Ledger

__all__ = ["MAX_JOINED_BYTES", "Decide", "DecideInProcess", "KeyByUpload"]

_log = logging.getLogger(__name__)

STAGE = "decide"

#: The largest prediction or review that joins a case. A case keeps predictions and what waits for
#: its upload, and its verdict lists them: larger ones could make a verdict that Pub/Sub refuses,
#: over 10 MB.
MAX_JOINED_BYTES = 128 * 1024

_MESSAGES: dict[str, type[Message]] = {
    "uploads": Upload,
    "predictions": Prediction,
    "reviews": Review,
}

KEYED = tuple[str, Joined]


class KeyByUpload(beam.DoFn):
    """From received messages to ``(upload id, joined)``; invalid ones go to ``dead``."""

    def setup(self) -> None:
        self._meter = Meter()

    def process(self, received: Received) -> Iterator[tuple[str, Joined]]:
        try:
            yield _keyed(received)
        except MalformedMessage as error:
            stage = f"{STAGE}.{received.stream}"
            self._meter.dead_letter(stage)
            yield beam.pvalue.TaggedOutput(  # type: ignore[misc]
                "dead", dead_letter(received, stage, str(error))
            )


def _keyed(received: Received) -> tuple[str, Joined]:
    message = _MESSAGES[received.stream].from_bytes(received.data)
    if isinstance(message, Upload):
        return message.id, Joined((received,), upload=message)
    if len(received.data) > MAX_JOINED_BYTES:
        msg = f"{message.kind} of {len(received.data):,} bytes; the limit is {MAX_JOINED_BYTES:,}"
        raise MalformedMessage(msg)
    if isinstance(message, Prediction):
        return message.upload_id, Joined((received,), (CompactPrediction.of(message),))
    assert isinstance(message, Review)
    return message.upload_id, Joined((received,))


@dataclass(slots=True)
class _Orphan:
    """A message whose upload is unknown: whole, for its dead letter.

    Attributes:
        key: The same for the same message; not its id, which another may claim.
        ack_ids: Of all times that it came.
        received: The message as it came first.
    """

    key: str
    ack_ids: list[str]
    received: Received


@dataclass(slots=True)
class _Stored:
    """What is kept of one upload between its messages.

    Attributes:
        case: The case.
        ack_ids: Of messages that are acknowledged with the next verdict.
        orphans: Messages whose upload is unknown.
        decided: Whether a verdict has been made.
        opened: Whether the upload has come.
        due: When the timer is set to, in seconds since the epoch; 0 for not at all.
    """

    case: Case
    ack_ids: list[str] = field(default_factory=list)
    orphans: list[_Orphan] = field(default_factory=list)
    decided: bool = False
    opened: bool = False
    due: float = 0.0

    def snapshot(self) -> bytes:
        orphans = [
            [one.key, one.ack_ids, dict(one.received.attributes), one.received.data.decode(),
             one.received.stream]
            for one in self.orphans
        ]  # fmt: skip
        head = json.dumps([self.ack_ids, orphans, self.decided, self.opened, self.due]).encode()
        return len(head).to_bytes(4, "big") + head + self.case.snapshot()

    def take_ack_ids(self) -> tuple[str, ...]:
        """All ack ids, which are kept no longer."""
        taken = [*self.ack_ids, *(each for one in self.orphans for each in one.ack_ids)]
        self.ack_ids, self.orphans = [], []
        return tuple(taken)


class _Cases(beam.DoFn):
    """What all three share: takes a message or a time to a case, and its effects out."""

    def __init__(self, policy: Policy, options: CaseOptions | None = None) -> None:
        self.policy = policy
        self.options = options or CaseOptions()

    def setup(self) -> None:
        self._decider = Decider(self.policy, self.options.shadows)
        self._meter = Meter()
        self._watch = process_watch(self.options.reference)
        self._histories = None
        self._ledger = None
        if self.options.histories or self.options.ledger:
            # Without retries of its own: a look-up ends long before a database is back.
            self._ledger = Ledger(self.options.ledger, check_schema=False, retry=())
        if self.options.histories and self._ledger is not None:
            self._histories = Histories(self.policy, self._ledger, self._meter.unknown_history)

    def teardown(self) -> None:
        if self._histories is not None:
            self._histories.close()
        if self._ledger is not None:
            self._ledger.close()

    def _restored(self, data: bytes | None) -> _Stored:
        if not data:
            return _Stored(self._decider.case())
        size = int.from_bytes(data[:4], "big")
        ack_ids, orphans, decided, opened, due = json.loads(data[4 : 4 + size])
        return _Stored(
            self._decider.restore(data[4 + size :]),
            ack_ids,
            [
                _Orphan(key, acks, Received(text.encode(), attributes, "", stream))
                for key, acks, attributes, text, stream in orphans
            ],
            decided,
            opened,
            due,
        )

    def _on_joined(self, stored: _Stored, joined: Joined) -> Iterator[Any]:
        for received in joined.messages:
            yield from self._on_message(stored, received, joined)

    def _on_message(self, stored: _Stored, received: Received, joined: Joined) -> Iterator[Any]:
        at = now()
        match received.stream:
            case "uploads":
                effects = self._on_upload(stored, received, joined, at)
            case "predictions":
                effects = self._on_prediction(stored, received, joined, at)
            case _:
                effects = self._on_review(stored, received, at)
        yield from self._carried_out(stored, effects)

    def _on_upload(
        self, stored: _Stored, received: Received, joined: Joined, at: datetime
    ) -> Iterable[Effect]:
        upload = joined.upload or Upload.model_validate_json(received.data)
        arrived = datetime.fromtimestamp(received.arrived, UTC)
        stored.opened = True
        if received.ack_id:
            stored.ack_ids.append(received.ack_id)
        return stored.case.on_arrival(
            upload,
            joined.predictions,
            at,
            arrived=min(arrived, at),
            uploader=None if self._histories is None else self._histories.of(upload, at),
            upload_json=received.data,
        )

    def _on_prediction(
        self, stored: _Stored, received: Received, joined: Joined, at: datetime
    ) -> Iterable[Effect]:
        if stored.opened and joined.predictions:
            if received.ack_id:
                stored.ack_ids.append(received.ack_id)
            return stored.case.on_prediction(joined.predictions[0], at)
        prediction = Prediction.from_bytes(received.data)
        self._wait(stored, prediction, received)
        return stored.case.on_prediction(prediction, at)

    def _on_review(self, stored: _Stored, received: Received, at: datetime) -> Iterable[Effect]:
        review = Review.from_bytes(received.data)
        if not stored.opened and not stored.orphans:
            self._resume(stored, review.upload_id)
        self._wait(stored, review, received)
        return stored.case.on_review(review, at)

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
        if stored.opened:
            if received.ack_id:
                stored.ack_ids.append(received.ack_id)
            return
        key = _key(message)
        known = next((one for one in stored.orphans if one.key == key), None)
        if known is None:
            known = _Orphan(key, [], received)
            stored.orphans.append(known)
        if received.ack_id:
            known.ack_ids.append(received.ack_id)

    def _carried_out(self, stored: _Stored, effects: Iterable[Effect]) -> Iterator[Any]:
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
                    yield Outgoing((verdict,), stored.take_ack_ids())
                case Discard(message=message, error=error):
                    yield from self._discard(stored, message, error)
                case Forget():
                    yield from self._acknowledged(stored)
                    stored.opened = stored.decided = False
        if stored.decided:
            yield from self._acknowledged(stored)

    def _acknowledged(self, stored: _Stored) -> Iterator[Outgoing]:
        """Messages that change nothing are acknowledged without a verdict."""
        if ack_ids := stored.take_ack_ids():
            yield Outgoing((), ack_ids)

    def _discard(self, stored: _Stored, message: Message, error: str) -> Iterator[Any]:
        """One dead letter, however often the message came; all of its ack ids go with it."""
        key = _key(message)
        mine = next((one for one in stored.orphans if one.key == key), None)
        if mine is None:
            mine = _Orphan(key, [], Received(message.to_bytes(), {}, "", f"{message.kind}s"))
        stored.orphans = [one for one in stored.orphans if one.key != key]
        stage = f"{STAGE}.{mine.received.stream}"
        self._meter.dead_letter(stage)
        letters = dead_letter(mine.received, stage, error)
        yield beam.pvalue.TaggedOutput("dead", Outgoing(letters.messages, tuple(mine.ack_ids)))


def _key(message: Message) -> str:
    return digest(message.kind, message.to_bytes().decode())


def _is_due(stored: _Stored) -> bool:
    when = stored.case.notify_at()
    return when is not None and when <= now()


class _DecideInProcess(_Cases):
    """Cases of an unbounded stream in the memory of this process."""

    def __init__(self, job: str, policy: Policy, options: CaseOptions | None = None) -> None:
        super().__init__(policy, options)
        self.job = job

    def setup(self) -> None:
        super().setup()
        self._table: CaseTable = case_table(self.job)

    def process(self, element: tuple[str, Joined]) -> Iterable[Any]:
        upload_id, joined = element
        with self._table.locked(upload_id):
            kept = self._table.get(upload_id)
            stored = kept if isinstance(kept, _Stored) else self._restored(kept)
            made = list(self._decided(stored, joined))
            self._keep(upload_id, stored)
            return [one for one in (self._ahead(upload_id, each) for each in made) if one]

    def _ahead(self, upload_id: str, made: Any) -> Any:
        """What goes on now: acks of duplicates wait until the verdict before them is published."""
        if not isinstance(made, Outgoing):
            return made
        if made.messages:
            self._table.publishing(upload_id)
            return Outgoing(made.messages, (*made.ack_ids, ack_id(self.job, upload_id)))
        return None if self._table.until_published(upload_id, made.ack_ids) else made

    def _decided(self, stored: _Stored, joined: Joined) -> Iterator[Any]:
        if not joined.messages or (not stored.opened and _is_due(stored)):
            yield from self._carried_out(stored, stored.case.on_deadline(now()))
        yield from self._on_joined(stored, joined)

    def _keep(self, upload_id: str, stored: _Stored) -> None:
        when = stored.case.notify_at()
        if when is None:
            self._table.remove(upload_id)
            return
        # Decided cases are the most, and wait only for what may come late: bytes are smaller.
        kept = stored.snapshot() if stored.decided else stored
        self._table.put(upload_id, kept, when.timestamp())


class _DecideStream(_Cases):
    """Cases of an unbounded stream in the engine's state: deadlines in processing time."""

    #: A bag of one: unlike a value, it is not cleared before it is first written.
    CASE = BagStateSpec("case", coders.BytesCoder())
    DUE = TimerSpec("due", TimeDomain.REAL_TIME)

    def process(
        self,
        element: tuple[str, Joined],
        case: Any = beam.DoFn.StateParam(CASE),  # noqa: B008
        due: Any = beam.DoFn.TimerParam(DUE),  # noqa: B008
    ) -> Iterator[Any]:
        data = _only(case)
        stored = self._restored(data)
        if not stored.opened and _is_due(stored):
            # The timer is late: what waited too long must not take these with it.
            yield from self._carried_out(stored, stored.case.on_deadline(now()))
        yield from self._on_joined(stored, element[1])
        self._keep(stored, data, case, due)

    @on_timer(DUE)
    def on_due(
        self,
        case: Any = beam.DoFn.StateParam(CASE),  # noqa: B008
        due: Any = beam.DoFn.TimerParam(DUE),  # noqa: B008
    ) -> Iterator[Any]:
        data = _only(case)
        if not data:
            return
        stored = self._restored(data)
        stored.due = 0.0
        yield from self._carried_out(stored, stored.case.on_deadline(now()))
        self._keep(stored, data, case, due)

    @staticmethod
    def _keep(stored: _Stored, before: bytes | None, case: Any, due: Any) -> None:
        if before:
            case.clear()
        when = stored.case.notify_at()
        if when is None:
            due.clear()
            return
        if stored.due != when.timestamp():
            stored.due = when.timestamp()
            due.set(Timestamp.of(stored.due))
        case.add(stored.snapshot())


class _DecideBounded(_Cases):
    """Cases of a bounded input: what has not come by its end does not come."""

    CASE = BagStateSpec("case", coders.BytesCoder())
    END = TimerSpec("end", TimeDomain.WATERMARK)

    def process(
        self,
        element: tuple[str, Joined],
        case: Any = beam.DoFn.StateParam(CASE),  # noqa: B008
        end: Any = beam.DoFn.TimerParam(END),  # noqa: B008
    ) -> Iterator[Any]:
        data = _only(case)
        stored = self._restored(data)
        yield from self._on_joined(stored, element[1])
        end.set(GlobalWindow().max_timestamp())
        if data:
            case.clear()
        case.add(stored.snapshot())

    @on_timer(END)
    def on_end(self, case: Any = beam.DoFn.StateParam(CASE)) -> Iterator[Any]:  # noqa: B008
        if data := _only(case):
            stored = self._restored(data)
            yield from self._carried_out(stored, tuple(stored.case.on_end(now())))
            case.clear()


def _only(case: Any) -> bytes | None:
    """The state of a case; None for a new one."""
    return next(iter(case.read()), None)


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

    def expand(self, keyed: beam.PCollection[KEYED]) -> Any:
        dofn = (_DecideBounded if self.bounded else _DecideStream)(self.policy, self.options)
        case = beam.ParDo(dofn).with_input_types(KEYED)
        return keyed | "Case" >> case.with_outputs("dead", main="verdicts")


class DecideInProcess(beam.PTransform):
    """The same for workers in this process, without crossing the engine.

    From collections of ``(upload id, joined)`` to one such result for each of them and one for the
    cases that are due: each collection is decided where it is made, on one table of cases.

    Args:
        policy: The policy that decides.
        options: What stands beside the policy.
    """

    def __init__(self, policy: Policy, *, options: CaseOptions | None = None) -> None:
        super().__init__()
        self.policy = policy
        self.options = options

    def expand(self, keyed: Sequence[beam.PCollection[KEYED]]) -> tuple[Any, ...]:
        job = f"cases-{uuid4().hex}"
        due = keyed[0].pipeline | "Due cases" >> DueCases(job)
        step = beam.ParDo(_DecideInProcess(job, self.policy, self.options))
        return tuple(
            each | f"Case {number}" >> step.with_outputs("dead", main="verdicts")
            for number, each in enumerate([*keyed, due])
        )
