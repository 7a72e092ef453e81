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

from quorum.core.messages import Message

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
    """Messages of one upload that reach its case together, in the order of their use."""

    messages: tuple[Received, ...]


class JoinedCoder(coders.Coder):
    """Received messages, each after its length."""

    def encode(self, value: Joined) -> bytes:
        """Bytes of joined messages."""
        coder = ReceivedCoder()
        parts = [coder.encode(message) for message in value.messages]
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)

    def decode(self, encoded: bytes) -> Joined:
        """The joined messages of these bytes."""
        coder = ReceivedCoder()
        messages = []
        start = 0
        while start < len(encoded):
            end = start + 4 + int.from_bytes(encoded[start : start + 4], "big")
            messages.append(coder.decode(encoded[start + 4 : end]))
            start = end
        return Joined(tuple(messages))

    def is_deterministic(self) -> bool:
        """Joined messages are values, never keys."""
        return False

    def to_type_hint(self) -> type:
        """What this coder codes."""
        return Joined


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
