"""Release a policy: check it, sign it, record it in the ledger, publish it to the topic."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from quorum.core.errors import ConfigurationError, EngineUnavailable
from quorum.core.identity import Publisher, SigningKey, check_signer
from quorum.core.messages import PolicyRelease, now
from quorum.pipeline.streams.address import KAFKA, AddressKind, KafkaAddress, parse_address
from quorum.store.ledger import SignedRelease
from quorum.store.ledger.releases import in_force

__all__ = ["may_release", "release_time", "send", "signed", "topic_of"]

_SECONDS: Final = 10.0


def may_release(publishers: Mapping[str, Publisher]) -> str | None:
    """Why releases of this process are not accepted by jobs that verify; None if they are."""
    try:
        check_signer(publishers, SigningKey.from_environment(), ["policies"], at=now())
    except ConfigurationError as error:
        return str(error)
    return None


def signed(release: PolicyRelease, origin: str) -> SignedRelease:
    """A release with this process's signature, if it has a key.

    Args:
        release: The release.
        origin: Its ``ce-source``.
    """
    data, attributes = release.to_bytes(), release.attributes(origin)
    signer = SigningKey.from_environment()
    if signer is not None:
        attributes = signer.sign(data, attributes)
    return SignedRelease(release, data, attributes)


def release_time(connection: Connection) -> datetime:
    """A time for the next release: now, and after all others, whatever the clocks said."""
    newest = in_force(connection)
    at = now()
    return at if newest is None else max(at, newest.release.at + timedelta(milliseconds=1))


def topic_of(address: str) -> str:
    """The topic of an address, as ``send`` takes it.

    Raises:
        ConfigurationError: If policies cannot be published there.
    """
    parsed = parse_address(address)
    if parsed.kind is AddressKind.KAFKA:
        found = KafkaAddress.parse(parsed.path)
        return str(KafkaAddress(found.brokers, found.topic))
    if parsed.kind is not AddressKind.TOPIC:
        msg = (
            f"{address} is no topic: policies are published to projects/P/topics/T or to "
            "kafka://HOST:PORT/TOPIC"
        )
        raise ConfigurationError(msg)
    return parsed.path


def send(one: SignedRelease, topic: str) -> None:
    """Publish a release, and return when that is durable.

    Args:
        one: The release.
        topic: See ``topic_of``.

    Raises:
        EngineUnavailable: If it cannot be published now; it may be published again.
    """
    if topic.startswith(KAFKA):
        _send_to_kafka(one, topic)
        return
    from google.api_core import exceptions
    from google.pubsub_v1.types import PubsubMessage

    from quorum.pipeline.streams.pubsub_clients import publisher_client

    message = PubsubMessage(data=one.data, attributes=dict(one.attributes))
    try:
        publisher_client().publish(topic=topic, messages=[message], timeout=_SECONDS, retry=None)
    except (exceptions.GoogleAPICallError, exceptions.RetryError) as error:
        msg = f"cannot publish the policy to {topic}: {type(error).__name__}"
        raise EngineUnavailable(msg) from None


def _send_to_kafka(one: SignedRelease, path: str) -> None:
    # Kafka's client is an extra.
    from quorum.pipeline.streams.kafka_topic import KafkaRecord, KafkaTopic

    # By version: a topic that is compacted keeps the newest release of each.
    record = KafkaRecord(one.release.policy_version, one.data, dict(one.attributes))
    (refusal,) = KafkaTopic(path, _SECONDS).send([record])
    if refusal:
        msg = f"{path} refuses the policy: {refusal}"
        raise EngineUnavailable(msg)
