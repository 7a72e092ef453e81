"""The contract of the streams on Kafka: librdkafka's mock cluster, and a real broker where one is.

The mock speaks the real protocol, consumer groups included, and stores nothing on a disk.
``QUORUM_KAFKA`` names a broker that runs (``host:port``) or the folder of a distribution of Kafka,
which is started on loopback; a distribution is looked for, too, by ``kafka-server-start.sh``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from uuid import uuid4

import pytest

from quorum.pipeline.record import Feed, SubscriptionFeed
from quorum.pipeline.streams import kafka_clients, kafka_group, subscription
from quorum.pipeline.streams.address import parse_address
from quorum.pipeline.streams.kafka_admin import KafkaCluster, planned_kafka
from quorum.pipeline.streams.open import held_path
from tests.kafka_broker import KafkaBroker, find_kafka
from tests.kafka_mock import KafkaMock
from tests.pipeline.streams.contract import StreamContract, Transport

pytest.importorskip("confluent_kafka", reason="needs Kafka's client: the extra kafka")


class KafkaTransport(Transport):
    """Topics of a cluster."""

    def __init__(self, cluster: KafkaMock | KafkaBroker) -> None:
        self.cluster = cluster

    def stream(self, name: str) -> tuple[str, str]:
        # A broker that runs may keep what an earlier run of the tests left.
        topic = f"contract-{uuid4().hex[:12]}-{name}"
        self.cluster.topic(topic, 3)
        address = f"kafka://{self.cluster.brokers}/{topic}"
        return address, f"{address}?deliveries=5"

    def feed(self, address: str) -> Feed:
        # A reader of its own, as in a process of its own.
        path = held_path(parse_address(address), "contract")
        with subscription._SUBSCRIPTIONS_LOCK:
            subscription._SUBSCRIPTIONS.pop(path, None)
        return SubscriptionFeed(path)

    def crash(self, feed: Feed) -> None:
        group = feed._subscription  # type: ignore[attr-defined]
        # What was acknowledged is committed within a fifth of a second, or is repeated: here it is,
        # so that a repeat can be told from what is passed over.
        group._commit()
        group._commit = lambda *_, **__: None
        group._draining = group._closed = group._stopping = True
        for thread in group._threads:
            thread.join()
        group._consumer.close()

    def away(self, address: str) -> AbstractContextManager[None]:
        del address
        if not self.cluster.stoppable:
            pytest.skip("the broker is not ours to stop")
        return self._away()

    @contextmanager
    def _away(self) -> Iterator[None]:
        self.cluster.down()
        yield
        self.cluster.up()


@pytest.fixture(scope="module")
def mock() -> Iterator[KafkaMock]:
    with KafkaMock() as made:
        yield made


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    found, told = find_kafka()
    if found is None:
        pytest.skip(told)
    with KafkaBroker(found, tmp_path_factory.mktemp("kafka")) as made:
        yield made


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_group, "_LOOK_SECONDS", 0.5)
    monkeypatch.setattr(kafka_group, "_AGAIN_SECONDS", (0.1, 0.5))


class TestOnTheMockCluster(StreamContract):
    """On librdkafka's own."""

    @pytest.fixture
    def transport(self, mock: KafkaMock, monkeypatch: pytest.MonkeyPatch) -> Transport:
        # The mock waits a second less than this for a member that has left.
        monkeypatch.setattr(kafka_clients, "SESSION_SECONDS", 4.0)
        return KafkaTransport(mock)


@pytest.mark.kafka
class TestOnABroker(StreamContract):
    """On a broker of its own, or one that runs."""

    @pytest.fixture
    def transport(self, broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch) -> Transport:
        # The least that a broker allows by itself.
        monkeypatch.setattr(kafka_clients, "SESSION_SECONDS", 6.0)
        return KafkaTransport(broker)

    def test_topics_are_made_once_and_how_far_a_group_is_behind_is_told(
        self, broker: KafkaBroker
    ) -> None:
        prefix = f"made{uuid4().hex[:12]}"
        plan = planned_kafka(broker.brokers, prefix, ("uploads", "verdicts"), ("stream",))
        asked = KafkaCluster(plan.brokers)
        assert asked.create(plan, 3, 1) == {f"{prefix}-uploads", f"{prefix}-verdicts"}
        assert asked.create(plan, 3, 1) == set()
        assert asked.topics()[f"{prefix}-uploads"] == (3, 1)
        assert asked.has(f"{prefix}-uploads")
        assert not asked.has(f"{prefix}-nothing")
        assert asked.behind(f"{prefix}-uploads", f"{prefix}-uploads-stream") is None
