"""From an address to the source or the sink that serves it."""

from __future__ import annotations

from dataclasses import replace

from quorum.core.errors import ConfigurationError
from quorum.pipeline.streams.address import Address, AddressKind, KafkaAddress, parse_address
from quorum.pipeline.streams.base import Acknowledge, Refused, Sink, Source
from quorum.pipeline.streams.files import FileSink, FileSource

__all__ = ["held_path", "sink", "source"]


def source(
    address: str,
    stream: str,
    *,
    acknowledge: Acknowledge = Acknowledge.VERDICT,
    native: bool = False,
    verified: bool = False,
    in_turns: bool = False,
    refused: Refused | None = None,
    reader: str = "stream",
) -> Source:
    """The source of a stream.

    Args:
        address: A subscription of Pub/Sub, a topic of Kafka or a file of JSON lines.
        stream: ``uploads``, ``predictions`` or ``reviews``.
        acknowledge: When its messages are acknowledged.
        native: Whether to use Beam's own Pub/Sub source, which Dataflow replaces by its own.
        verified: Whether it is verified who sent a message.
        in_turns: Whether a broker is to be taken in turns, for the direct runner; uploads only,
            because a prediction or a review would seldom meet its upload in the same turn.
        refused: Takes messages that were delivered so often that they must not be processed
            again; see ``PullingSource``.
        reader: Who reads, such as ``stream``: names Kafka's consumer group where the address does
            not.

    Raises:
        ConfigurationError: If the address cannot be read from.
    """
    parsed = parse_address(address)
    if parsed.kind is AddressKind.FILE:
        return FileSource(parsed.path, stream)
    if parsed.kind is AddressKind.TOPIC:
        msg = (
            f"{parsed} is a topic; {stream} are read from a subscription of it "
            "(`quorum topics create` makes them)"
        )
        raise ConfigurationError(msg)
    if in_turns and stream != "uploads":
        msg = f"--runner direct cannot take {stream} from a broker; leave them out or use prism"
        raise ConfigurationError(msg)
    path = held_path(parsed, reader)
    if in_turns:
        from quorum.pipeline.streams.pubsub_turns import TurnSource

        return TurnSource(path, stream, refused)
    from quorum.pipeline.streams.pubsub_source import NativePubSubSource, PubSubSource

    if native and parsed.kind is AddressKind.KAFKA:
        msg = f"--runner dataflow reads Pub/Sub alone, not {parsed}; use prism or flink for Kafka"
        raise ConfigurationError(msg)
    if native:
        return NativePubSubSource(parsed.path, stream, by_event_id=not verified)
    if acknowledge is Acknowledge.CHECKPOINT:
        from quorum.pipeline.streams.flink_source import FlinkPubSubSource

        return FlinkPubSubSource(path, stream, refused)
    return PubSubSource(path, stream, refused)


def held_path(address: Address, reader: str) -> str:
    """The path of ``subscription`` for an address: Kafka's names the consumer group that reads.

    Args:
        address: A subscription or a topic of Kafka.
        reader: Who reads, such as ``stream``.
    """
    if address.kind is not AddressKind.KAFKA:
        return address.path
    found = KafkaAddress.parse(address.path)
    return str(found if found.group else replace(found, group=f"{found.topic}-{reader}"))


def sink(address: str, *, origin: str) -> Sink:
    """The sink of a stream.

    Args:
        address: A topic of Pub/Sub or Kafka, or a file of JSON lines.
        origin: The CloudEvents ``source`` of what is published, such as ``/quorum/stream``.

    Raises:
        ConfigurationError: If the address cannot be written to.
    """
    parsed = parse_address(address)
    if parsed.kind is AddressKind.FILE:
        return FileSink(parsed.path)
    if parsed.kind is AddressKind.SUBSCRIPTION:
        msg = f"{parsed} is a subscription; messages are published to a topic"
        raise ConfigurationError(msg)
    if parsed.kind is AddressKind.KAFKA:
        from quorum.pipeline.streams.kafka_sink import KafkaSink

        return KafkaSink(parsed.path, origin)
    from quorum.pipeline.streams.pubsub_sink import PubSubSink

    return PubSubSink(parsed.path, origin)
