"""Streams: where messages come from and go to.

An address names a stream: ``projects/P/subscriptions/S`` and ``projects/P/topics/T`` are
Google Pub/Sub's, ``kafka://BROKERS/TOPIC`` is Kafka's, anything that ends in ``.jsonl`` (or starts
with ``file:``) is a file of JSON lines. ``source`` and ``sink`` make the transform that fits the
address.
"""

from quorum.pipeline.streams.address import Address, parse_address
from quorum.pipeline.streams.base import Acknowledge, Received, Sink, Source
from quorum.pipeline.streams.open import sink, source

__all__ = [
    "Acknowledge",
    "Address",
    "Received",
    "Sink",
    "Source",
    "parse_address",
    "sink",
    "source",
]
