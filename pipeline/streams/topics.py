"""The topics and subscriptions of a deployment, and how they are made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from google.api_core import exceptions as google_errors
from google.api_core import retry as google_retry
from google.pubsub_v1.types import DeadLetterPolicy, RetryPolicy, Subscription, Topic

from quorum.core.errors import ConfigurationError, EngineUnavailable
from quorum.pipeline.streams.pubsub_clients import (
    emulator_host,
    publisher_client,
    subscriber_client,
)

__all__ = ["TOPICS", "PlannedSubscription", "TopicPlan", "create_topics", "planned"]

#: The streams of the design; each is a topic under the deployment's prefix.
TOPICS = ("uploads", "predictions", "verdicts", "reviews", "policies", "dead-letters")

#: Who reads what, fused and apart. The platform reads verdicts either way, and dead letters are
#: kept by a subscription that only a person pulls from.
_FUSED = ("uploads-stream", "reviews-stream", "policies-stream")
_APART = (
    "uploads-detect",
    "uploads-decide",
    "predictions-decide",
    "reviews-decide",
    "policies-decide",
)
#: What `quorum record` reads: a subscription of its own to each stream.
_RECORD = tuple(f"{topic}-record" for topic in TOPICS)
_ALWAYS = ("verdicts-platform", "dead-letters-kept")

#: Who reads a subscription, by the end of its name.
_READERS = {
    "stream": "quorum stream",
    "detect": "quorum detect",
    "decide": "quorum decide",
    "record": "quorum record",
    "platform": "the platform's backend",
    "kept": "a person who looks at dead letters",
}

#: Deliveries before a message is set aside. Each crash or drain counts as one, so that a few
#: restarts in a row must not be taken for a message that kills its worker.
_MAX_DELIVERIES = 20

_ACK_DEADLINE_SECONDS = 15
_RETENTION = timedelta(days=7)

#: The longest that Pub/Sub keeps a message. Jobs read the newest policy again and again and leave
#: it in their subscription, so that the next worker finds it there.
_POLICY_RETENTION = timedelta(days=31)

_TIMEOUT_SECONDS = 30.0

#: What a worker could not finish is not tried in a tight loop, and yet soon by another.
_RETRY_POLICY = RetryPolicy(
    minimum_backoff=timedelta(seconds=1), maximum_backoff=timedelta(seconds=60)
)


@dataclass(frozen=True, slots=True)
class PlannedSubscription:
    """A subscription to make.

    Attributes:
        path: Its full name.
        topic: The full name of what it reads.
        dead_letters: The full name of the topic for what cannot be delivered; empty for none.
        reader: Who reads it, in words.
        is_register: Whether its readers leave the newest message in it, for each other.
        retains: Whether it retains what was acknowledged, so that it can be set back in time.
    """

    path: str
    topic: str
    dead_letters: str
    reader: str = ""
    is_register: bool = False
    retains: bool = False


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """What a deployment needs."""

    topics: tuple[str, ...]
    subscriptions: tuple[PlannedSubscription, ...]


def planned(
    project: str,
    prefix: str,
    *,
    fused: bool = True,
    apart: bool = False,
    record: bool = False,
    replayable: bool = False,
) -> TopicPlan:
    """The topics and subscriptions of a deployment.

    Args:
        project: The Google Cloud project.
        prefix: What each name begins with.
        fused: Whether `quorum stream` reads them.
        apart: Whether `quorum detect` and `quorum decide` read them.
        record: Whether `quorum record` reads them.
        replayable: Whether what a job reads can be replayed after it was acknowledged.
    """

    def topic(name: str) -> str:
        return f"projects/{project}/topics/{prefix}-{name}"

    names = (
        *(_FUSED if fused else ()),
        *(_APART if apart else ()),
        *(_RECORD if record else ()),
        *_ALWAYS,
    )
    subscriptions = []
    for name in names:
        stream = max((each for each in TOPICS if name.startswith(each)), key=len)
        is_register = stream == "policies" and name not in _RECORD
        subscriptions.append(
            PlannedSubscription(
                path=f"projects/{project}/subscriptions/{prefix}-{name}",
                topic=topic(stream),
                dead_letters=""
                if stream == "dead-letters" or is_register
                else topic("dead-letters"),
                reader=_READERS[name.removeprefix(f"{stream}-")],
                is_register=is_register,
                retains=replayable and name in (*_FUSED, *_APART),
            )
        )
    return TopicPlan(tuple(topic(name) for name in TOPICS), tuple(subscriptions))


def create_topics(plan: TopicPlan) -> set[str]:
    """Make what is absent.

    Returns:
        The full names of what was made; the rest was there.

    Raises:
        ConfigurationError: If a name is refused, or access is.
        EngineUnavailable: If the broker does not answer.
    """
    made = set()
    retry = google_retry.Retry(timeout=_TIMEOUT_SECONDS)
    try:
        publisher, subscriber = publisher_client(), subscriber_client()
        for name in plan.topics:
            try:
                publisher.create_topic(
                    request=Topic(name=name), retry=retry, timeout=_TIMEOUT_SECONDS
                )
                made.add(name)
            except google_errors.AlreadyExists:
                continue
        for each in plan.subscriptions:
            try:
                subscriber.create_subscription(
                    request=subscription_request(each), retry=retry, timeout=_TIMEOUT_SECONDS
                )
                made.add(each.path)
            except google_errors.AlreadyExists:
                continue
    except (google_errors.InvalidArgument, google_errors.PermissionDenied) as error:
        msg = f"Pub/Sub refused: {error.message}"
        raise ConfigurationError(msg) from None
    except (google_errors.GoogleAPICallError, google_errors.RetryError) as error:
        where = f"the emulator at {emulator_host()}" if emulator_host() else "Pub/Sub"
        msg = f"{where} does not answer: {error}"
        raise EngineUnavailable(msg) from None
    return made


def subscription_request(planned: PlannedSubscription) -> Subscription:
    """What is asked of Pub/Sub for a planned subscription."""
    request = Subscription(
        name=planned.path,
        topic=planned.topic,
        ack_deadline_seconds=_ACK_DEADLINE_SECONDS,
        message_retention_duration=_RETENTION,
        retain_acked_messages=planned.retains,
    )
    if planned.is_register and not emulator_host():
        # The emulator keeps messages for a week at most.
        request.message_retention_duration = _POLICY_RETENTION
    elif not emulator_host():
        # Emulator 0.8.20 stops delivering a message to a subscription with a retry policy after
        # its third delivery.
        request.retry_policy = _RETRY_POLICY
    if planned.dead_letters:
        request.dead_letter_policy = DeadLetterPolicy(
            dead_letter_topic=planned.dead_letters, max_delivery_attempts=_MAX_DELIVERIES
        )
    return request
