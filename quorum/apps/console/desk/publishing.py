"""Publishing of reviews: to a topic, to a file, or directly to the case in the ledger."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from quorum.aggregator.decider import Decider
from quorum.aggregator.policy.policy import Policy
from quorum.apps.console.desk.active_policy import ActivePolicy
from quorum.core.errors import ConfigurationError, EngineUnavailable
from quorum.core.identity import Publisher, SigningKey, check_signer
from quorum.core.messages import Review, now
from quorum.store.ledger import Ledger

__all__ = [
    "FileReviewPublisher",
    "KafkaReviewPublisher",
    "LedgerReviewPublisher",
    "ReviewPublisher",
    "TopicReviewPublisher",
    "open_review_publisher",
]

_SOURCE = "/quorum/console"
_SECONDS = 10.0


class ReviewPublisher(Protocol):
    """A destination of reviews."""

    name: str

    def publish(self, reviews: Sequence[Review]) -> None:
        """Publish reviews and return once all are durable.

        Raises:
            EngineUnavailable: If publishing failed; the reviews may be published again.
        """


class TopicReviewPublisher:
    """Publishes reviews to a Pub/Sub topic, signed if this process has a signing key."""

    def __init__(self, path: str) -> None:
        from quorum.pipeline.streams.pubsub_clients import publisher_client

        self.name = path
        self._signer = SigningKey.from_environment()
        self._client = publisher_client()

    def publish(self, reviews: Sequence[Review]) -> None:
        """Publish reviews (see ReviewPublisher)."""
        from google.api_core import exceptions
        from google.pubsub_v1.types import PubsubMessage

        messages = []
        for review in reviews:
            data, attributes = review.to_bytes(), review.attributes(_SOURCE)
            if self._signer is not None:
                attributes = self._signer.sign(data, attributes)
            messages.append(PubsubMessage(data=data, attributes=attributes))
        try:
            self._client.publish(topic=self.name, messages=messages, timeout=_SECONDS, retry=None)
        except (exceptions.GoogleAPICallError, exceptions.RetryError) as error:
            kind = type(error).__name__
            msg = f"cannot publish to the reviews topic ({kind}); the decision will be retried"
            raise EngineUnavailable(msg) from None


class KafkaReviewPublisher:
    """Publishes reviews to a topic of Kafka, signed if this process has a signing key."""

    def __init__(self, path: str) -> None:
        from quorum.pipeline.streams.carrier import Carrier, signer_name
        from quorum.pipeline.streams.kafka_topic import KafkaTopic

        self.name = path
        self._carrier = Carrier(_SOURCE, signer_name())
        self._topic = KafkaTopic(path, _SECONDS)

    def publish(self, reviews: Sequence[Review]) -> None:
        """Publish reviews (see ReviewPublisher)."""
        from quorum.pipeline.streams.kafka_topic import KafkaRecord

        carried = ((one.upload_id, *self._carrier.carried(one)) for one in reviews)
        refusals = self._topic.send([KafkaRecord(*one) for one in carried])
        if refusal := next(filter(None, refusals), ""):
            msg = f"the reviews topic refuses the decision: {refusal}"
            raise EngineUnavailable(msg)


class FileReviewPublisher:
    """Appends reviews to a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def publish(self, reviews: Sequence[Review]) -> None:
        """Publish reviews (see ReviewPublisher)."""
        lines = b"".join(review.to_bytes() + b"\n" for review in reviews)
        try:
            with self._path.open("ab") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            msg = f"cannot write the reviews file ({error.strerror}); the decision will be retried"
            raise EngineUnavailable(msg) from None


class LedgerReviewPublisher:
    """Applies reviews to cases in the ledger and records the new verdicts; needs no stream."""

    def __init__(self, ledger: Ledger, policy: Policy) -> None:
        self.name = "the ledger"
        self._ledger = ledger
        self._active_policy = ActivePolicy(ledger, policy)

    def publish(self, reviews: Sequence[Review]) -> None:
        """Publish reviews (see ReviewPublisher)."""
        decider = Decider(self._active_policy.current())
        for review in reviews:
            found = self._ledger.get_case(review.upload_id)
            if found is None or found.upload is None:
                continue
            if found.awaits_decision:
                # The review is of what was there before; it is known when the edit is decided.
                self._ledger.record([review])
                continue
            verdict = decider.again(
                found.upload,
                found.predictions,
                found.counted_reviews,
                found.verdict,
                at=now(),
                review=review,
                earlier=found.verdicts,
            )
            self._ledger.record([review] if verdict is None else [review, verdict])


def open_review_publisher(
    address: str | None,
    ledger: Ledger,
    policy: Policy,
    publishers: Mapping[str, Publisher] | None = None,
) -> ReviewPublisher:
    """Open the destination that an address names; the ledger without an address.

    Args:
        address: A topic of Pub/Sub or Kafka, or a .jsonl file; None for the ledger.
        ledger: The ledger.
        policy: Decides, where reviews are applied to the ledger.
        publishers: The publishers of the settings: this console must be one that may review.

    Raises:
        ConfigurationError: If reviews cannot be published to the address.
    """
    if address is None:
        return LedgerReviewPublisher(ledger, policy)
    from quorum.pipeline.streams.address import AddressKind, parse_address

    parsed = parse_address(address)
    if parsed.kind in (AddressKind.TOPIC, AddressKind.KAFKA):
        check_signer(publishers or {}, SigningKey.from_environment(), ["reviews"], at=now())
        is_kafka = parsed.kind is AddressKind.KAFKA
        return (KafkaReviewPublisher if is_kafka else TopicReviewPublisher)(parsed.path)
    if parsed.kind is AddressKind.FILE:
        return FileReviewPublisher(Path(parsed.path))
    msg = f"{parsed} is a subscription; reviews are published to a topic"
    raise ConfigurationError(msg)
