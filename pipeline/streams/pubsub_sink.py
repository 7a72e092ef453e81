"""A sink that publishes to a Pub/Sub topic and acks source messages once that is confirmed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from google.api_core.exceptions import InvalidArgument, RetryError
from google.pubsub_v1.types import PublishRequest, PubsubMessage

from quorum.core.errors import EngineUnavailable
from quorum.core.messages import Message
from quorum.core.tracing import now_ns
from quorum.pipeline.streams.acks import abandon, acknowledge
from quorum.pipeline.streams.away import ABSENCE_SECONDS, publish_retry
from quorum.pipeline.streams.base import Outgoing, Sink
from quorum.pipeline.streams.carrier import NO_KEY, Carrier, signer_name
from quorum.pipeline.streams.publishing import published, publishing
from quorum.pipeline.streams.pubsub_clients import publisher_client

__all__ = ["PubSubSink"]

_log = logging.getLogger(__name__)

#: Pub/Sub takes 1,000 messages and 10 MB a request; half of that leaves room for attributes.
_MESSAGES_A_REQUEST = 1_000
_BYTES_A_REQUEST = 5_000_000

#: How long one request may take. One that a broken connection swallowed is sent again after it.
_REQUEST_SECONDS = 30.0

#: The plain protocol buffers: proto-plus' wrappers take eight times as long to construct.
_PublishRequest: Any = PublishRequest.pb()
_PubsubMessage: Any = PubsubMessage.pb()


class PubSubSink(Sink):
    """Publishes the messages of a bundle in as few requests as their size allows.

    It signs them if this process has a signing key; the workers must have the same.

    Args:
        path: ``projects/P/topics/T``.
        origin: The CloudEvents ``source`` of what is published.
    """

    def __init__(self, path: str, origin: str) -> None:
        self.path = path
        self.origin = origin
        self.signer_name = signer_name()

    def transform(self) -> beam.PTransform[beam.PCollection[Outgoing], Any]:
        """See Sink."""
        return beam.ParDo(_Publish(self.path, self.origin, self.signer_name))


@dataclass(frozen=True, slots=True)
class _Prepared:
    messages: tuple[Any, ...]
    ack_ids: tuple[str, ...]
    size: int
    trace: str = ""
    kind: str = ""


def _requests(messages: Iterable[Any]) -> Iterator[list[Any]]:
    chunk: list[Any] = []
    size = 0
    for message in messages:
        full = len(chunk) >= _MESSAGES_A_REQUEST or size + len(message.data) > _BYTES_A_REQUEST
        if chunk and full:
            yield chunk
            chunk, size = [], 0
        chunk.append(message)
        size += len(message.data)
    if chunk:
        yield chunk


def _groups(prepared: Iterable[_Prepared]) -> Iterator[list[_Prepared]]:
    """Group elements that are published and then acked together, about one request each."""
    group: list[_Prepared] = []
    count = size = 0
    for one in prepared:
        full = count + len(one.messages) > _MESSAGES_A_REQUEST or size + one.size > _BYTES_A_REQUEST
        if group and full:
            yield group
            group, count, size = [], 0, 0
        group.append(one)
        count += len(one.messages)
        size += one.size
    if group:
        yield group


class _Publish(beam.DoFn):
    def __init__(self, path: str, origin: str, signer_name: str = NO_KEY) -> None:
        self.path = path
        self.origin = origin
        self.signer_name = signer_name

    def setup(self) -> None:
        self._client: Any = publisher_client()
        self._carrier = Carrier(self.origin, self.signer_name)

    def start_bundle(self) -> None:
        self._prepared: list[_Prepared] = []
        self._begin = now_ns()

    def process(self, element: Outgoing) -> None:
        messages = tuple(self._message(message, element.trace) for message in element.messages)
        size = sum(len(message.data) for message in messages)
        kind = element.messages[0].kind if element.trace and element.messages else ""
        self._prepared.append(_Prepared(messages, element.ack_ids, size, element.trace, kind))

    def _message(self, message: Message, trace: str) -> Any:
        data, attributes = self._carrier.carried(message, trace)
        return _PubsubMessage(data=data, attributes=attributes)

    def finish_bundle(self) -> None:
        for group in _groups(self._prepared):
            try:
                self._send(group)
            except InvalidArgument:
                self._send_apart(group)

    def _send(self, group: list[_Prepared]) -> None:
        # One element may exceed a request: the parts of a large dead letter.
        for messages in _requests(message for one in group for message in one.messages):
            request = PublishRequest.wrap(_PublishRequest(topic=self.path, messages=messages))
            with publishing(self.path) as failed:
                retry = publish_retry(failed)
                try:
                    self._client.publish(request=request, retry=retry, timeout=_REQUEST_SECONDS)
                except RetryError as error:
                    reason = f"{self.path} took no message for {ABSENCE_SECONDS:g} s: {error.cause}"
                    raise EngineUnavailable(reason) from None
        acknowledge(ack_id for one in group for ack_id in one.ack_ids)
        for one in group:
            if one.kind:
                published(one.kind, len(one.messages), one.trace, self._begin)

    def _send_apart(self, group: list[_Prepared]) -> None:
        """Publish each element by itself, so that a refused message affects no other.

        Its source message is nacked, and after the deliveries that its subscription allows it is a
        dead letter.
        """
        for one in group:
            try:
                self._send([one])
            except InvalidArgument as error:
                _log.error("%s refused a message of %d bytes: %s", self.path, one.size, error)
                abandon(one.ack_ids)
