"""Released policies on a topic of Kafka: each process reads all of it, from its first message.

A topic keeps its messages whoever has read them, so that no group is needed: nothing is committed,
and a process that starts later finds the newest release as well.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from quorum.core.errors import EngineUnavailable, InputError
from quorum.core.identity import Admission
from quorum.core.messages import PolicyRelease
from quorum.core.metrics import REFUSED_POLICIES
from quorum.pipeline.streams.address import KafkaAddress
from quorum.pipeline.streams.kafka_clients import attributes_of, consumer_client, library

__all__ = ["TopicReader"]

_log = logging.getLogger(__name__)

#: Seconds for one answer of the brokers, and for one read of what is new.
_ANSWER_SECONDS: Final = 5.0
_READ_SECONDS: Final = 8.0
_MOST_A_READ: Final = 100


class TopicReader:
    """Reads a topic of Kafka to its end, and keeps the newest release that it has seen.

    What is no release, or comes from a publisher that may not release policies, is told and passed
    over.

    Args:
        path: ``kafka://BROKERS/TOPIC``.
        admission: Who may release policies.

    Raises:
        ConfigurationError: If the library is absent, or the environment's settings are wrong.
    """

    def __init__(self, path: str, admission: Admission) -> None:
        address = KafkaAddress.parse(path)
        self._path = path
        self._topic = address.topic
        self._admission = admission
        self._error = ""
        # A consumer must name a group; it never becomes a member of it.
        self._consumer = consumer_client(address.brokers, f"{address.topic}-asked", self._failed)
        #: By partition, the offset behind the last message that was read.
        self._next: dict[int, int] = {}
        self._newest: tuple[Any, PolicyRelease] | None = None

    def read(self) -> PolicyRelease | None:
        """The newest release; None if there is none.

        Raises:
            EngineUnavailable: If the topic cannot be read to its end now.
        """
        kafka = library()
        self._error = ""
        try:
            self._assign()
            self._read_to(self._ends())
        except kafka.KafkaException as error:
            raise self._away(" ".join(str(error).split())) from None
        return None if self._newest is None else self._newest[1]

    def close(self) -> None:
        """Leave the brokers."""
        self._consumer.close()

    def _assign(self) -> None:
        """Read all partitions, also those that were added since."""
        kafka = library()
        known = self._consumer.list_topics(self._topic, timeout=_ANSWER_SECONDS)
        found = known.topics[self._topic]
        if found.error is not None:
            why = f"{found.error.str()} (`quorum topics create` makes what a deployment needs)"
            raise self._away(why)
        if new := [each for each in found.partitions if each not in self._next]:
            begin = kafka.OFFSET_BEGINNING
            self._consumer.incremental_assign(
                [kafka.TopicPartition(self._topic, each, begin) for each in new]
            )
            self._next |= dict.fromkeys(new, 0)

    def _ends(self) -> dict[int, int]:
        """By partition with messages that were not read, the offset behind its last one."""
        kafka = library()
        ends = {}
        for each, begin in self._next.items():
            place = kafka.TopicPartition(self._topic, each)
            low, high = self._consumer.get_watermark_offsets(place, timeout=_ANSWER_SECONDS)
            if max(low, begin) < high:
                ends[each] = high
        return ends

    def _read_to(self, ends: dict[int, int]) -> None:
        until = time.monotonic() + _READ_SECONDS
        while any(self._next[each] < end for each, end in ends.items()):
            left = until - time.monotonic()
            if left <= 0:
                raise self._away(self._error or f"its end was not reached in {_READ_SECONDS:g} s")
            for message in self._consumer.consume(_MOST_A_READ, min(left, 0.2)):
                if message.error() is None:
                    self._take(message)
                else:
                    self._failed(message.error())

    def _take(self, message: Any) -> None:
        partition, offset = message.partition(), message.offset()
        self._next[partition] = offset + 1
        try:
            release = self._admission.admit(
                PolicyRelease, message.value() or b"", attributes_of(message.headers())
            )
        except InputError as error:
            _log.warning("a message of %s is no policy to follow: %s", self._path, error)
            REFUSED_POLICIES.inc()
            return
        order = (release.order, message.timestamp()[1], partition, offset)
        if self._newest is None or order > self._newest[0]:
            self._newest = (order, release)

    def _failed(self, error: Any) -> None:
        """An error of the connection; librdkafka goes on by itself."""
        self._error = error.str()

    def _away(self, why: str) -> EngineUnavailable:
        told = f"{why}; {self._error}" if self._error and self._error not in why else why
        return EngineUnavailable(f"cannot read {self._path}: {told}")
