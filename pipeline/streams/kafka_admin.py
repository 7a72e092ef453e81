"""Topics of Kafka for a deployment: made, looked for, and how far their readers are behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from quorum.core.errors import ConfigurationError, EngineUnavailable
from quorum.pipeline.streams.address import KAFKA, KafkaAddress
from quorum.pipeline.streams.kafka_clients import (
    admin_client,
    consumer_client,
    library,
    refuses_credentials,
)

__all__ = ["KafkaCluster", "KafkaPlan", "planned_kafka"]

_SECONDS: Final = 10.0

#: As Pub/Sub's: a week, and 10 MB a message.
_RETENTION_MILLISECONDS: Final = 7 * 24 * 3_600 * 1_000
_MOST_BYTES: Final = 10_485_760

#: Who reads what; see ``quorum.pipeline.streams.topics``.
_READERS: Final = {
    "stream": ("uploads", "reviews"),
    "detect": ("uploads",),
    "decide": ("uploads", "predictions", "reviews"),
    "record": ("uploads", "predictions", "verdicts", "reviews", "policies", "dead-letters"),
}

#: The end of the name of a topic with released policies, which keeps the newest release of each
#: version for good: a job that starts in a year finds the policy in force.
_POLICIES: Final = "-policies"


@dataclass(frozen=True, slots=True)
class KafkaPlan:
    """What a deployment needs of a cluster.

    Attributes:
        brokers: ``host:port``, with commas.
        topics: The names of its topics.
        groups: By topic, the consumer groups that read it.
    """

    brokers: str
    topics: tuple[str, ...]
    groups: dict[str, tuple[str, ...]]

    def address(self, topic: str) -> str:
        """The address of a topic."""
        return str(KafkaAddress(self.brokers, topic))


def planned_kafka(
    brokers: str, prefix: str, streams: Sequence[str], readers: Sequence[str]
) -> KafkaPlan:
    """The topics of a deployment, and the groups that its jobs read them with.

    Args:
        brokers: ``HOST:PORT``, with commas.
        prefix: What each name begins with.
        streams: The streams, such as ``uploads``.
        readers: The jobs, such as ``stream`` and ``record``.

    Raises:
        ConfigurationError: If a broker or the prefix cannot be one.
    """
    parsed = [KafkaAddress.parse(f"{KAFKA}{brokers}/{prefix}-{each}") for each in streams]
    groups = {
        f"{prefix}-{stream}": tuple(
            f"{prefix}-{stream}-{reader}" for reader in readers if stream in _READERS[reader]
        )
        for stream in streams
    }
    return KafkaPlan(parsed[0].brokers, tuple(each.topic for each in parsed), groups)


class KafkaCluster:
    """A cluster, asked for its topics and groups.

    Args:
        brokers: ``host:port``, with commas.

    Raises:
        ConfigurationError: If the library is absent, or the environment's settings are wrong.
    """

    def __init__(self, brokers: str) -> None:
        self.brokers = brokers
        self._errors: list[Any] = []
        self._client = admin_client(brokers, self._errors.append)

    def topics(self) -> dict[str, tuple[int, int]]:
        """By topic, how many partitions and replicas it has.

        Raises:
            EngineUnavailable: If no broker answers.
            ConfigurationError: If they refuse who asks.
        """
        with self._asked():
            known = self._client.list_topics(timeout=_SECONDS).topics
        return {
            name: (
                len(one.partitions),
                min((len(each.replicas) for each in one.partitions.values()), default=0),
            )
            for name, one in known.items()
            if one.error is None
        }

    def has(self, topic: str) -> bool:
        """Whether a topic is there; who may not see it is believed.

        Raises:
            EngineUnavailable: If no broker answers.
            ConfigurationError: If they refuse who asks.
        """
        kafka = library().KafkaError
        # A consumer that asks for a topic does not have it made, as others may.
        asking = consumer_client(self.brokers, f"{topic}-asked", self._errors.append)
        try:
            with self._asked():
                known = asking.list_topics(topic, timeout=_SECONDS).topics[topic]
        finally:
            asking.close()
        absent = (kafka.UNKNOWN_TOPIC_OR_PART, kafka._UNKNOWN_TOPIC)
        return known.error is None or known.error.code() not in absent

    def create(self, plan: KafkaPlan, partitions: int, replication: int) -> set[str]:
        """Make the topics that are absent.

        Args:
            plan: What is needed.
            partitions: How many partitions each has.
            replication: On how many brokers each is kept.

        Returns:
            The names of those that were made.

        Raises:
            ConfigurationError: If the brokers refuse one.
            EngineUnavailable: If they do not answer.
        """
        kafka = library()
        admin = import_module("confluent_kafka.admin")
        absent = [each for each in plan.topics if each not in self.topics()]
        if not absent:
            return set()
        config = {
            "retention.ms": str(_RETENTION_MILLISECONDS),
            "max.message.bytes": str(_MOST_BYTES),
            "cleanup.policy": "delete",
            # A confirmed message outlives a broker.
            "min.insync.replicas": str(min(2, replication)),
        }
        kept = {"cleanup.policy": "compact"}
        wanted = [
            admin.NewTopic(
                each,
                num_partitions=partitions,
                replication_factor=replication,
                config=config | (kept if each.endswith(_POLICIES) else {}),
            )
            for each in absent
        ]
        asked = self._client.create_topics(wanted, request_timeout=_SECONDS)
        for topic, answer in asked.items():
            try:
                answer.result(2 * _SECONDS)
            except kafka.KafkaException as error:
                if error.args[0].code() == kafka.KafkaError.TOPIC_ALREADY_EXISTS:
                    continue
                if error.args[0].code() < 0:
                    raise self._away(error) from None
                msg = f"Kafka did not make {topic}: {error.args[0].str()}"
                raise ConfigurationError(msg) from None
            except TimeoutError as error:
                raise self._away(error) from None
        return set(absent)

    def behind(self, topic: str, group: str) -> int | None:
        """How many messages of a topic a group has not acknowledged; None if it never read it.

        Raises:
            EngineUnavailable: If no broker answers.
            ConfigurationError: If they refuse who asks.
        """
        kafka = library()
        with self._asked():
            # It asks for the group's offsets, and never becomes a member of it.
            asking = consumer_client(self.brokers, group, self._errors.append)
            try:
                known = asking.list_topics(topic, timeout=_SECONDS).topics[topic]
                places = [kafka.TopicPartition(topic, each) for each in known.partitions]
                committed = asking.committed(places, timeout=_SECONDS) if places else []
                behind = 0
                for place in committed:
                    low, high = asking.get_watermark_offsets(place, timeout=_SECONDS)
                    behind += high - max(low, place.offset)
            finally:
                asking.close()
        return behind if any(place.offset >= 0 for place in committed) else None

    @contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except library().KafkaException as error:
            raise self._away(error) from None

    def _away(self, error: Exception) -> Exception:
        told = [one for one in self._errors if refuses_credentials(one)] or self._errors[-1:]
        why = told[0].str() if told else " ".join(str(error).split())
        if told and refuses_credentials(told[0]):
            msg = (
                f"Kafka at {self.brokers} refuses the credentials or its certificate is not "
                f"trusted: {why} (QUORUM_KAFKA_…, docs/kafka.md)"
            )
            return ConfigurationError(msg)
        return EngineUnavailable(f"Kafka at {self.brokers} does not answer: {why}")
