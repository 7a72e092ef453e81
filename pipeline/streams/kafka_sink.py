"""A sink that publishes to a topic of Kafka and acks source messages once that is confirmed."""

from __future__ import annotations

import logging
from typing import Any

import apache_beam as beam

from quorum.core.tracing import now_ns
from quorum.pipeline.streams.acks import abandon, acknowledge
from quorum.pipeline.streams.base import Outgoing, Sink
from quorum.pipeline.streams.carrier import NO_KEY, Carrier, signer_name
from quorum.pipeline.streams.kafka_topic import KafkaRecord, kafka_topic, key_of
from quorum.pipeline.streams.publishing import published, publishing

__all__ = ["KafkaSink"]

_log = logging.getLogger(__name__)


class KafkaSink(Sink):
    """Publishes the messages of a bundle together, each under its upload's id as the key.

    It signs them if this process has a signing key; the workers must have the same.

    Args:
        path: ``kafka://BROKERS/TOPIC``.
        origin: The CloudEvents ``source`` of what is published.
    """

    def __init__(self, path: str, origin: str) -> None:
        self.path = path
        self.origin = origin
        self.signer_name = signer_name()

    def transform(self) -> beam.PTransform[beam.PCollection[Outgoing], Any]:
        """See Sink."""
        return beam.ParDo(_Produce(self.path, self.origin, self.signer_name))


class _Produce(beam.DoFn):
    def __init__(self, path: str, origin: str, signer_name: str = NO_KEY) -> None:
        self.path = path
        self.origin = origin
        self.signer_name = signer_name

    def setup(self) -> None:
        self._topic = kafka_topic(self.path)
        self._carrier = Carrier(self.origin, self.signer_name)

    def start_bundle(self) -> None:
        self._elements: list[Outgoing] = []
        self._begin = now_ns()

    def process(self, element: Outgoing) -> None:
        self._elements.append(element)

    def finish_bundle(self) -> None:
        records = [
            KafkaRecord(key_of(message), *self._carrier.carried(message, one.trace))
            for one in self._elements
            for message in one.messages
        ]
        with publishing(self.path) as failed:
            refusals = iter(self._topic.send(records, failed))
        done: list[str] = []
        given_up: list[str] = []
        for one in self._elements:
            told = [next(refusals) for _ in one.messages]
            if refusal := next(filter(None, told), ""):
                # Nacked: after the deliveries that are allowed it is a dead letter.
                size = max(len(message.to_bytes()) for message in one.messages)
                _log.error("%s refused a message of %d bytes: %s", self.path, size, refusal)
                given_up += one.ack_ids
                continue
            done += one.ack_ids
            if one.trace and one.messages:
                published(one.messages[0].kind, len(one.messages), one.trace, self._begin)
        acknowledge(done)
        if given_up:
            abandon(given_up)
