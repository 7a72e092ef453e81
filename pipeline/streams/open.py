"""From an address to the source or the sink that serves it."""

from __future__ import annotations

from quorum.core.errors import ConfigurationError
from quorum.pipeline.streams.address import AddressKind, parse_address
from quorum.pipeline.streams.base import Acknowledge, Refused, Sink, Source
from quorum.pipeline.streams.files import FileSink, FileSource

__all__ = ["sink", "source"]


def source(
    address: str,
    stream: str,
    *,
    acknowledge: Acknowledge = Acknowledge.VERDICT,
    native: bool = False,
    verified: bool = False,
    in_turns: bool = False,
    refused: Refused | None = None,
) -> Source:
    """The source of a stream.

    Args:
        address: A subscription of Pub/Sub or a file of JSON lines.
        stream: ``uploads``, ``predictions`` or ``reviews``.
        acknowledge: When its messages are acknowledged.
        native: Whether to use Beam's own Pub/Sub source, which Dataflow replaces by its own.
        verified: Whether it is verified who sent a message.
        in_turns: Whether Pub/Sub is to be taken in turns, for the direct runner; uploads only,
            because a prediction or a review would seldom meet its upload in the same turn.
        refused: Takes messages of Pub/Sub that were delivered so often that they must not be
            processed again; see ``PubSubSource``.

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
        msg = f"--runner direct cannot take {stream} from Pub/Sub; leave them out or use prism"
        raise ConfigurationError(msg)
    if in_turns:
        from quorum.pipeline.streams.pubsub_turns import TurnSource

        return TurnSource(parsed.path, stream, refused)
    from quorum.pipeline.streams.pubsub_source import NativePubSubSource, PubSubSource

    if native:
        return NativePubSubSource(parsed.path, stream, by_event_id=not verified)
    if acknowledge is Acknowledge.CHECKPOINT:
        from quorum.pipeline.streams.flink_source import FlinkPubSubSource

        return FlinkPubSubSource(parsed.path, stream, refused)
    return PubSubSource(parsed.path, stream, refused)


def sink(address: str, *, origin: str) -> Sink:
    """The sink of a stream.

    Args:
        address: A topic of Pub/Sub or a file of JSON lines.
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
    from quorum.pipeline.streams.pubsub_sink import PubSubSink

    return PubSubSink(parsed.path, origin)
