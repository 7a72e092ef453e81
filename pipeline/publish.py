"""Publish messages from a command, by the same sinks as a job."""

from __future__ import annotations

from collections.abc import Sequence

import apache_beam as beam

from quorum.core.messages import Message
from quorum.pipeline.streams import sink
from quorum.pipeline.streams.base import Outgoing

__all__ = ["publish"]


def publish(messages: Sequence[Message], address: str, origin: str) -> None:
    """Publish messages, each on its own, and return when that is durable.

    Args:
        messages: What to publish.
        address: A topic or a .jsonl file.
        origin: The ``ce-source`` of the messages.
    """
    with beam.Pipeline(runner="DirectRunner") as pipeline:
        _ = (
            pipeline
            | "Messages" >> beam.Create([Outgoing(messages=(one,)) for one in messages])
            | "Publish" >> sink(address, origin=origin).transform()
        )
