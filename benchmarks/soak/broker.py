"""The broker of a soak: the Pub/Sub emulator, a tap before it, and a network that can fail."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from google.api_core.exceptions import GoogleAPIError
from google.pubsub_v1.types import PubsubMessage

from benchmarks.soak.history import History
from benchmarks.soak.proxy import Proxy
from benchmarks.soak.tap import Tap
from quorum.pipeline.streams.emulator import emulator
from quorum.pipeline.streams.pubsub_clients import publisher_client, subscriber_client
from quorum.pipeline.streams.topics import (
    PlannedSubscription,
    TopicPlan,
    create_topics,
    planned,
)

__all__ = ["PREFIX", "Broker", "subscription", "topic"]

_PROJECT, PREFIX = "quorum-soak", "soak"
_MESSAGES_A_REQUEST = 500
_WAIT = 0.5


def _plan() -> TopicPlan:
    """What a fused job needs, and the stream of an external detector."""
    made = planned(_PROJECT, PREFIX)
    partner = PlannedSubscription(
        path=subscription("partner-stream"),
        topic=topic("partner"),
        dead_letters=topic("dead-letters"),
    )
    return TopicPlan((*made.topics, topic("partner")), (*made.subscriptions, partner))


def topic(name: str) -> str:
    """The full name of a topic."""
    return f"projects/{_PROJECT}/topics/{PREFIX}-{name}"


def subscription(name: str) -> str:
    """The full name of a subscription."""
    return f"projects/{_PROJECT}/subscriptions/{PREFIX}-{name}"


class Broker:
    """The emulator as the platform sees it, and as the job does: through network and tap.

    Args:
        history: Takes what the tap sees.

    Attributes:
        tap: What the job pulls, acks and publishes.
        proxy: The network between the job and the tap.
        remade: Called after the emulator lost all and its topics are there again.
    """

    def __init__(self, history: History) -> None:
        self._stack = ExitStack()
        self.remade: Callable[[], None] = lambda: None
        host = self._start()
        self.tap = Tap(host, history, PREFIX)
        self.proxy = Proxy(self.tap.port)

    @property
    def host(self) -> str:
        """Where the job finds it."""
        return f"127.0.0.1:{self.proxy.port}"

    def publish(self, stream: str, messages: Sequence[bytes]) -> None:
        """Publish for the platform, a partner or a reviewer; waits for a broker that is away."""
        for start in range(0, len(messages), _MESSAGES_A_REQUEST):
            chunk = [PubsubMessage(data=data) for data in messages[start:][:_MESSAGES_A_REQUEST]]
            while True:
                try:
                    self._publisher.publish(
                        topic=topic(stream), messages=chunk, timeout=10.0, retry=None
                    )
                    break
                except GoogleAPIError:
                    time.sleep(_WAIT)

    def pull(self, name: str, seconds: float = _WAIT) -> list[Any]:
        """What a subscription of the platform has, acknowledged."""
        return self._pull(name, seconds, keep=False)

    def left(self, name: str, seconds: float) -> list[bytes]:
        """What a subscription of the job still has within ``seconds``, by different bytes."""
        found: dict[bytes, None] = {}
        end = time.monotonic() + seconds
        while (wait := end - time.monotonic()) > 0:
            for one in self._pull(name, wait, keep=True):
                found[one.message.data] = None
        return list(found)

    def lose(self) -> None:
        """End the emulator, and all that it holds."""
        self._stack.close()

    def remake(self) -> None:
        """Start another emulator, with new topics."""
        host = self._start()
        self.tap.point(host)
        self.remade()

    def close(self) -> None:
        """Stop all."""
        self.proxy.close()
        self.tap.close()
        self._stack.close()

    def _start(self) -> str:
        self._stack = ExitStack()
        host = self._stack.enter_context(emulator())
        create_topics(_plan())
        self._publisher = publisher_client()
        self._subscriber = subscriber_client()
        return host

    def _pull(self, name: str, seconds: float, *, keep: bool) -> list[Any]:
        path = subscription(name)
        with suppress(GoogleAPIError):
            response = self._subscriber.pull(
                subscription=path, max_messages=1000, timeout=seconds, retry=None
            )
            received = list(response.received_messages)
            if received and not keep:
                self._subscriber.acknowledge(
                    subscription=path, ack_ids=[one.ack_id for one in received]
                )
            return received
        return []

    @staticmethod
    def environment() -> dict[str, str]:
        """Of this process, without the emulator."""
        return {key: value for key, value in os.environ.items() if key != "PUBSUB_EMULATOR_HOST"}
