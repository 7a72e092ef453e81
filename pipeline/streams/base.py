"""What a source gives and a sink takes, whatever the stream."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import apache_beam as beam
from apache_beam import coders

from quorum.aggregator.decision.compact import CompactPrediction
from quorum.core.messages import Message, Upload

__all__ = [
    "Acknowledge",
    "Joined",
    "JoinedCoder",
    "Outgoing",
    "Received",
    "ReceivedCoder",
    "Sink",
    "Source",
]


class Acknowledge(StrEnum):
    """When a source message is acknowledged.

    VERDICT: when all that it led to is published; for runners that keep no checkpoint (Direct,
    Prism), whose worker runs in this process. CHECKPOINT: in a bundle finalizer, when the runner
    has made the message durable itself (Flink, Dataflow).
    """

    VERDICT = "verdict"
    CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class Received:
    """A message of a source, as it came.

    Attributes:
        data: The bytes of its body.
        attributes: Its attributes; empty for a line of a file.
        ack_id: What to give back once all that it led to is durable; empty where the source
            needs none.
        stream: Which stream it came from: ``uploads``, ``predictions`` or ``reviews``.
        arrived: When it was taken from the source, in seconds since the epoch.
    """

    data: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)
    ack_id: str = ""
    stream: str = "uploads"
    arrived: float = field(default_factory=time.time)


class ReceivedCoder(coders.Coder):
    """Three length-prefixed parts: head as JSON, and the body's bytes untouched."""

    def encode(self, value: Received) -> bytes:
        """Bytes of a received message."""
        head = json.dumps(
            [dict(value.attributes), value.ack_id, value.stream, value.arrived]
        ).encode()
        return len(head).to_bytes(4, "big") + head + value.data

    def decode(self, encoded: bytes) -> Received:
        """The received message of these bytes."""
        size = int.from_bytes(encoded[:4], "big")
        return Received(encoded[4 + size :], *json.loads(encoded[4 : 4 + size]))

    def is_deterministic(self) -> bool:
        """Received messages are values, never keys."""
        return False

    def to_type_hint(self) -> type:
        """What this coder codes."""
        return Received


coders.registry.register_coder(Received, ReceivedCoder)


@dataclass(frozen=True, slots=True)
class Joined:
    """What reaches the case of one upload together.

    Attributes:
        messages: The received messages, in the order of their use.
        predictions: Predictions that are parsed already: those that this job made of the upload
            among the messages, or the one that the message holds. The case takes them with the
            upload, in one call.
        upload: The upload among the messages, parsed; None once it has crossed an engine.
    """

    messages: tuple[Received, ...]
    predictions: tuple[CompactPrediction, ...] = ()
    upload: Upload | None = field(default=None, compare=False)


class JoinedCoder(coders.Coder):
    """The predictions as JSON, then the received messages, each part after its length."""

    def encode(self, value: Joined) -> bytes:
        """Bytes of joined messages."""
        head = json.dumps(value.predictions).encode() if value.predictions else b""
        parts = [head, *(_RECEIVED.encode(message) for message in value.messages)]
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)

    def decode(self, encoded: bytes) -> Joined:
        """The joined messages of these bytes."""
        parts = []
        start = 0
        while start < len(encoded):
            end = start + 4 + int.from_bytes(encoded[start : start + 4], "big")
            parts.append(encoded[start + 4 : end])
            start = end
        predictions = json.loads(parts[0]) if parts[0] else ()
        return Joined(
            tuple(_RECEIVED.decode(part) for part in parts[1:]),
            tuple(CompactPrediction(*prediction) for prediction in predictions),
        )

    def is_deterministic(self) -> bool:
        """Joined messages are values, never keys."""
        return False

    def to_type_hint(self) -> type:
        """What this coder codes."""
        return Joined


_RECEIVED = ReceivedCoder()
coders.registry.register_coder(Joined, JoinedCoder)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What a sink is to publish, and what it may give back once that is durable.

    Attributes:
        messages: Messages to publish; none where there is only something to give back.
        ack_ids: Ack ids of the source messages that end with these.
    """

    messages: tuple[Message, ...] = ()
    ack_ids: tuple[str, ...] = ()


class Source(ABC):
    """Where messages come from."""

    #: Whether it ends by itself.
    bounded: bool
    #: Whether workers are threads of the process that launches the job, and die with it.
    in_process: bool = False
    #: Which stream it is of: ``uploads``, ``predictions`` or ``reviews``.
    stream: str

    @abstractmethod
    def transform(self) -> beam.PTransform:
        """From the pipeline's begin to a PCollection of Received."""


class Sink(ABC):
    """Where messages go to."""

    @abstractmethod
    def transform(self) -> beam.PTransform:
        """From a PCollection of Outgoing to nothing: publishes, waits, then gives back."""
