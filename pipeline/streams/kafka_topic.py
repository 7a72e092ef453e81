"""A topic of Kafka to publish to: records go out together, and each is told its outcome."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from quorum.core.errors import EngineUnavailable
from quorum.core.messages import Message, Upload
from quorum.pipeline.streams.address import KafkaAddress
from quorum.pipeline.streams.away import ABSENCE_SECONDS
from quorum.pipeline.streams.kafka_clients import library, producer_client

__all__ = ["KafkaRecord", "KafkaTopic", "key_of"]

_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class KafkaRecord:
    """A record to publish.

    Attributes:
        key: The upload's id, by which its partition is chosen; None for any partition.
        data: The body.
        attributes: Its headers.
    """

    key: str | None
    data: bytes
    attributes: Mapping[str, str]


def key_of(message: Message) -> str | None:
    """The id of the upload that a message is of; None of a dead letter, whose upload is unknown."""
    return message.id if isinstance(message, Upload) else getattr(message, "upload_id", None)


class KafkaTopic:
    """Publishes to one topic.

    Args:
        path: ``kafka://BROKERS/TOPIC``.
        seconds: How long a record is tried before it fails.

    Raises:
        ConfigurationError: If the library is absent, or the environment's settings are wrong.
    """

    def __init__(self, path: str, seconds: float = ABSENCE_SECONDS) -> None:
        address = KafkaAddress.parse(path)
        self.path = path
        self._topic = address.topic
        self._seconds = seconds
        self._error = ""
        self._producer = producer_client(address.brokers, self._failed, seconds)

    def send(
        self,
        records: Sequence[KafkaRecord],
        failed: Callable[[Exception], None] = lambda _error: None,
    ) -> list[str]:
        """Publish records, and wait until each is durable or refused.

        Args:
            records: What to publish.
            failed: Is called while the brokers do not answer, with why.

        Returns:
            For each record why it was refused, such as that it is too large; empty where it is
            durable.

        Raises:
            EngineUnavailable: If the brokers did not take a record in time. Others may be durable.
        """
        kafka = library()
        outcomes: list[Any] = [None] * len(records)
        waiting = set(range(len(records)))
        for index, record in enumerate(records):
            self._produce(record, index, outcomes, waiting)
        while waiting:
            self._producer.poll(_POLL_SECONDS)
            if self._error and waiting:
                failed(RuntimeError(self._error))
        self._error = ""
        unsent = [one for one in outcomes if one is not None and not _is_refusal(kafka, one)]
        if unsent:
            reason = f"{self.path} took no message for {self._seconds:g} s: {unsent[0].str()}"
            raise EngineUnavailable(reason)
        return ["" if one is None else one.str() for one in outcomes]

    def _produce(
        self, record: KafkaRecord, index: int, outcomes: list[Any], waiting: set[int]
    ) -> None:
        def delivered(error: Any, _message: Any) -> None:
            outcomes[index] = error
            waiting.discard(index)

        while True:
            try:
                self._producer.produce(
                    self._topic,
                    value=record.data,
                    key=record.key,
                    headers=list(record.attributes.items()),
                    on_delivery=delivered,
                )
            except BufferError:
                self._producer.poll(_POLL_SECONDS)
            except library().KafkaException as error:
                delivered(error.args[0], None)
                return
            else:
                return

    def _failed(self, error: Any) -> None:
        """An error of the connection, of which librdkafka tells; it tries again by itself."""
        self._error = error.str()


def _is_refusal(kafka: Any, error: Any) -> bool:
    """Whether a record fails however often it is sent."""
    return error.code() in (
        kafka.KafkaError.MSG_SIZE_TOO_LARGE,
        kafka.KafkaError.INVALID_RECORD,
        kafka.KafkaError.RECORD_LIST_TOO_LARGE,
    )


#: The topics of this process, by path: a producer has a connection to each broker.
_TOPICS: dict[str, KafkaTopic] = {}
_LOCK = threading.Lock()


def kafka_topic(path: str) -> KafkaTopic:
    """This process's topic of a path, opened at the first call."""
    with _LOCK:
        if path not in _TOPICS:
            _TOPICS[path] = KafkaTopic(path)
        return _TOPICS[path]
