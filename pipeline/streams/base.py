"""Sources and sinks of any kind of stream, and the elements that they exchange with the graph."""

from __future__ import annotations

import json
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import apache_beam as beam
from apache_beam import coders

from quorum.aggregator.decision.compact import CompactPrediction
from quorum.aggregator.features.table import Counted
from quorum.core.messages import Campaign, DeadLetter, Message, Upload, now
from quorum.core.tracing import context_of, ids, is_on

__all__ = [
    "Acknowledge",
    "Joined",
    "JoinedCoder",
    "Outgoing",
    "Received",
    "ReceivedCoder",
    "Refused",
    "Sink",
    "Source",
    "as_plain",
    "dead_letter",
]

_log = logging.getLogger(__name__)


class Acknowledge(StrEnum):
    """When a source message is acked.

    VERDICT: when all of its outcomes are published; for runners without checkpoints (Direct,
    Prism), whose worker runs in this process. CHECKPOINT: in a bundle finalizer, when the runner
    itself has made the message durable (Flink, Dataflow).
    """

    VERDICT = "verdict"
    CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class Received:
    """A message as received from a source.

    Attributes:
        data: The bytes of its body.
        attributes: Its attributes; empty for a line of a file.
        ack_id: Its ack id; empty where the source needs no ack.
        stream: The stream that it was read from: ``uploads``, ``predictions`` or ``reviews``.
        arrived: When it was read, in seconds since the epoch.
        trace: Its context of ``quorum.core.tracing``; empty where traces are off.
    """

    data: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)
    ack_id: str = ""
    stream: str = "uploads"
    arrived: float = field(default_factory=time.time)
    trace: str = ""


class ReceivedCoder(coders.Coder):
    """Encodes the length of a head, the head as JSON, and the bytes of the body unchanged."""

    def encode(self, value: Received) -> bytes:
        """Encode a received message."""
        head = json.dumps(
            [dict(value.attributes), value.ack_id, value.stream, value.arrived, value.trace]
        ).encode()
        return len(head).to_bytes(4, "big") + head + value.data

    def decode(self, encoded: bytes) -> Received:
        """Decode a received message."""
        size = int.from_bytes(encoded[:4], "big")
        return Received(encoded[4 + size :], *json.loads(encoded[4 : 4 + size]))

    def is_deterministic(self) -> bool:
        """Return False: received messages are values, never keys."""
        return False

    def to_type_hint(self) -> type:
        """Return the type that this coder encodes."""
        return Received


coders.registry.register_coder(Received, ReceivedCoder)


@dataclass(frozen=True, slots=True)
class Joined:
    """Messages of one upload that reach its case together.

    Attributes:
        messages: The received messages, in the order in which the case processes them.
        predictions: Parsed predictions: those that this job made for the upload among the
            messages, or the one in the message. The case processes them with the upload, in one
            call.
        upload: The upload among the messages, parsed; None once it has crossed the engine.
        counted: What features over time say of it, where they are counted before its case.
    """

    messages: tuple[Received, ...]
    predictions: tuple[CompactPrediction, ...] = ()
    upload: Upload | None = field(default=None, compare=False)
    counted: Counted | None = None


class JoinedCoder(coders.Coder):
    """Encodes the predictions as JSON, then the received messages, each after its length."""

    def encode(self, value: Joined) -> bytes:
        """Encode joined messages."""
        head = b""
        if value.counted is not None:
            waves = [one.model_dump(mode="json") for one in value.counted.campaigns]
            told = {"p": value.predictions, "f": dict(value.counted.values), "w": waves}
            head = json.dumps(told).encode()
        elif value.predictions:
            head = json.dumps(value.predictions).encode()
        parts = [head, *(_RECEIVED.encode(message) for message in value.messages)]
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)

    def decode(self, encoded: bytes) -> Joined:
        """Decode joined messages."""
        parts = []
        start = 0
        while start < len(encoded):
            end = start + 4 + int.from_bytes(encoded[start : start + 4], "big")
            parts.append(encoded[start + 4 : end])
            start = end
        head = json.loads(parts[0]) if parts[0] else ()
        counted = None
        if isinstance(head, dict):
            counted = Counted(head["f"], tuple(map(Campaign.model_validate, head["w"])))
            head = head["p"]
        return Joined(
            tuple(_RECEIVED.decode(part) for part in parts[1:]),
            tuple(map(CompactPrediction.of_row, head)),
            counted=counted,
        )

    def is_deterministic(self) -> bool:
        """Return False: joined messages are values, never keys."""
        return False

    def to_type_hint(self) -> type:
        """Return the type that this coder encodes."""
        return Joined


_RECEIVED = ReceivedCoder()
coders.registry.register_coder(Joined, JoinedCoder)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Messages for a sink, and the source messages to ack once they are published.

    Attributes:
        messages: Messages to publish; empty where there is only something to ack.
        ack_ids: Ack ids of the source messages whose outcome these are.
        trace: The context of ``quorum.core.tracing`` that the messages carry; empty for none.
    """

    messages: tuple[Message, ...] = ()
    ack_ids: tuple[str, ...] = ()
    trace: str = ""


def as_plain(received: Received, message: Message) -> Received:
    """The received message with plain JSON as its body, however it was carried."""
    return received if message.was_plain else replace(received, data=message.to_bytes())


def dead_letter(received: Received, stage: str, error: str) -> Outgoing:
    """Make the dead letters of a received message, which is acked once they are published."""
    trace = received.trace or (context_of(received.attributes) if is_on() else "")
    _log.warning("dead letter", extra={"stage": stage, "reason": error, **ids(trace)})
    letters = DeadLetter.of(received.data, dict(received.attributes), stage, error, now())
    return Outgoing(letters, (received.ack_id,) if received.ack_id else (), trace)


#: Takes received messages that must not be processed, each with the reason.
Refused = beam.PTransform[beam.PCollection[tuple[Received, str]], Any]


class Source(ABC):
    """Reads messages of a stream."""

    #: Whether it ends by itself.
    bounded: bool
    #: Whether workers are threads of the process that launches the job, and end with it.
    in_process: bool = False
    #: The Pub/Sub subscription that this process pulls from for it; empty if it pulls from none.
    subscription: str = ""
    #: Whether its messages have attributes, and so can be signed.
    has_attributes: bool = True
    #: The stream: ``uploads``, ``predictions`` or ``reviews``.
    stream: str

    @abstractmethod
    def transform(self) -> beam.PTransform[beam.pvalue.PBegin, beam.PCollection[Received]]:
        """Return the transform that reads."""


class Sink(ABC):
    """Publishes messages."""

    @abstractmethod
    def transform(self) -> beam.PTransform[beam.PCollection[Outgoing], Any]:
        """Return the transform that publishes, waits for confirmation, and then acks."""
