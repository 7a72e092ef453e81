"""What a project of Pub/Sub has: the topics and subscriptions of a deployment, and our rights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.api_core import exceptions as google_errors

from quorum.apps.doctor.findings import Finding
from quorum.core.errors import QuorumError
from quorum.pipeline.streams.pubsub_clients import (
    emulator_host,
    publisher_client,
    subscriber_client,
)
from quorum.pipeline.streams.topics import PlannedSubscription, TopicPlan

__all__ = ["streams"]

_SECONDS = 5.0
_PUBLISH = "pubsub.topics.publish"
_CONSUME = "pubsub.subscriptions.consume"


def streams(plan: TopicPlan, remedy: str) -> Iterator[Finding]:
    """Examine each topic and subscription of a plan.

    Args:
        plan: What should be there.
        remedy: The command that makes it.
    """
    where = f"the emulator at {emulator_host()}" if emulator_host() else "Pub/Sub"
    try:
        publisher, subscriber = publisher_client(), subscriber_client()
        project = plan.topics[0].rsplit("/", 2)[0]
        next(iter(publisher.list_topics(project=project, timeout=_SECONDS, retry=None)), None)
    except (google_errors.GoogleAPICallError, google_errors.RetryError, QuorumError) as error:
        told = f"{where} does not answer: {error}"
        yield Finding.lacking("broker", told, "every stream", "start it", needed=True)
        return
    yield Finding.ok("broker", where)
    for topic in plan.topics:
        yield _examined(topic, "nothing can be published there", remedy, publisher, _PUBLISH)
    for subscription in plan.subscriptions:
        yield _subscription(subscription, remedy, subscriber)


def _examined(path: str, without: str, remedy: str, client: Any, right: str) -> Finding:
    """Whether a topic or subscription is there, and we have a right to it."""
    kind, name = path.split("/")[-2][:-1], path
    try:
        if kind == "topic":
            client.get_topic(topic=path, timeout=_SECONDS, retry=None)
        else:
            client.get_subscription(subscription=path, timeout=_SECONDS, retry=None)
    except google_errors.NotFound:
        return Finding.lacking(f"{kind} {name}", "is not there", without, remedy, needed=True)
    except google_errors.PermissionDenied:
        pass  # to publish and to pull one need not see it
    except (google_errors.GoogleAPICallError, google_errors.RetryError) as error:
        return Finding.lacking(f"{kind} {name}", str(error), without, remedy, needed=True)
    if emulator_host():
        return Finding.ok(f"{kind} {name}", "is there (the emulator knows no rights)")
    try:
        request = {"resource": path, "permissions": [right]}
        granted = client.test_iam_permissions(request=request, timeout=_SECONDS).permissions
    except (google_errors.GoogleAPICallError, google_errors.RetryError) as error:
        return Finding.lacking(f"{kind} {name}", str(error), without, remedy, needed=True)
    if right not in granted:
        role = "roles/pubsub.publisher" if right == _PUBLISH else "roles/pubsub.subscriber"
        return Finding.lacking(
            f"{kind} {name}", f"lacks {right}", without, f"grant {role} on it", needed=True
        )
    return Finding.ok(f"{kind} {name}", f"is there, with {right}")


def _subscription(planned: PlannedSubscription, remedy: str, client: Any) -> Finding:
    without = f"{planned.reader} has nothing to read"
    return _examined(planned.path, without, remedy, client, _CONSUME)
