"""Publish messages from a command, by the same sinks as a job."""

from __future__ import annotations

from collections.abc import Sequence

import apache_beam as beam

from quorum.core.identity import SigningKey, check_signer
from quorum.core.messages import Message, Prediction, now
from quorum.core.settings import load_settings
from quorum.pipeline.streams.address import AddressKind, parse_address
from quorum.pipeline.streams.base import Outgoing
from quorum.pipeline.streams.open import sink

__all__ = ["publish"]


def publish(messages: Sequence[Message], address: str, origin: str) -> None:
    """Publish messages, each on its own, and return when that is durable.

    They are signed as those of a job are; ``QUORUM_SETTINGS`` names the settings.

    Args:
        messages: What to publish.
        address: A topic of Pub/Sub or Kafka, or a .jsonl file.
        origin: The ``ce-source`` of the messages.

    Raises:
        ConfigurationError: If publishers are configured, and this process may not publish these.
    """
    if parse_address(address).kind is not AddressKind.FILE:
        check_signer(
            load_settings().publishers,
            SigningKey.from_environment(),
            {one.stream_name() for one in messages},
            {one.detector for one in messages if isinstance(one, Prediction)},
            at=now(),
        )
    with beam.Pipeline(runner="DirectRunner") as pipeline:
        _ = (
            pipeline
            | "Messages" >> beam.Create([Outgoing(messages=(one,)) for one in messages])
            | "Publish" >> sink(address, origin=origin).transform()
        )
