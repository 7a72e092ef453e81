"""The contract of the streams on Pub/Sub: the official emulator, behind a proxy that goes away."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from google.pubsub_v1.types import DeadLetterPolicy, Subscription

from quorum.pipeline.record import Feed, SubscriptionFeed
from quorum.pipeline.streams import subscription
from quorum.pipeline.streams.pubsub_clients import publisher_client, subscriber_client
from tests.broker_proxy import BrokerProxy, broker_proxy
from tests.pipeline.streams.contract import StreamContract, Transport

pytestmark = pytest.mark.emulator

_names = itertools.count()


class PubSubTransport(Transport):
    """Topics and subscriptions of the emulator."""

    # Without ordering keys it promises none.
    keeps_order = False

    def __init__(self, proxy: BrokerProxy) -> None:
        self.proxy = proxy

    def stream(self, name: str) -> tuple[str, str]:
        name = f"contract{next(_names)}-{name}"
        topic, path = f"projects/contract/topics/{name}", f"projects/contract/subscriptions/{name}"
        publisher = publisher_client()
        publisher.create_topic(name=topic)
        publisher.create_topic(name=f"{topic}-dead")
        policy = DeadLetterPolicy(dead_letter_topic=f"{topic}-dead", max_delivery_attempts=5)
        subscriber_client().create_subscription(
            request=Subscription(
                name=path, topic=topic, ack_deadline_seconds=10, dead_letter_policy=policy
            )
        )
        return topic, path

    def feed(self, address: str) -> Feed:
        with subscription._SUBSCRIPTIONS_LOCK:
            subscription._SUBSCRIPTIONS.pop(address, None)
        return SubscriptionFeed(address)

    def crash(self, feed: Feed) -> None:
        held = feed._subscription  # type: ignore[attr-defined]
        with held._lock:
            held._draining = held._closed = held._stopping = True
            held._lock.notify_all()
            leases = [one.lease for one in held._held.values()]
        # As the broker does it when the leases end.
        held._leases.give_back(leases, 10.0)

    def away(self, address: str) -> AbstractContextManager[None]:
        del address
        return self._away()

    @contextmanager
    def _away(self) -> Iterator[None]:
        self.proxy.refuse()
        yield
        self.proxy.come_back()


class TestOnPubSub(StreamContract):
    """On the emulator."""

    @pytest.fixture
    def transport(self, emulator: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Transport]:
        with broker_proxy(emulator) as proxy:
            monkeypatch.setenv("PUBSUB_EMULATOR_HOST", proxy.host)
            yield PubSubTransport(proxy)
