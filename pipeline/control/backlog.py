"""How far a job is behind: what waits in its subscriptions, by Google Cloud's metrics of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from quorum.core import metrics
from quorum.core.errors import QuorumError
from quorum.pipeline.control.google_api import GoogleApi

__all__ = ["ENDPOINT", "Backlog", "behind", "read_backlog"]

#: Names the address of Cloud Monitoring, for a private endpoint.
ENDPOINT = "QUORUM_MONITORING_ENDPOINT"
_ADDRESS = "https://monitoring.googleapis.com"

_METRIC = "pubsub.googleapis.com/subscription/"
#: Metrics of a minute are there after up to four.
_WINDOW = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in a subscription.

    Attributes:
        subscription: Its path.
        messages: Messages that are not acknowledged.
        oldest: Age of the oldest of them in seconds.
        unknown: Why both are not known; empty if they are.
    """

    subscription: str
    messages: int | None = None
    oldest: float | None = None
    unknown: str = ""


def read_backlog(subscription: str, api: GoogleApi | None = None) -> Backlog:
    """What waits in a subscription of Pub/Sub, some minutes ago.

    Args:
        subscription: ``projects/P/subscriptions/S``.
        api: Cloud Monitoring; by default Google's, or what ``QUORUM_MONITORING_ENDPOINT`` names.
    """
    if not subscription.startswith("projects/"):
        return Backlog(subscription, unknown="the workers tell it, as quorum_backlog_messages")
    named = os.environ.get(ENDPOINT)
    if os.environ.get("PUBSUB_EMULATOR_HOST") and api is None and not named:
        return Backlog(subscription, unknown="the emulator has no metrics")
    api = api or GoogleApi(named or _ADDRESS)
    try:
        messages = _latest(api, subscription, "num_undelivered_messages")
        oldest = _latest(api, subscription, "oldest_unacked_message_age")
    except QuorumError as error:
        return Backlog(subscription, unknown=str(error))
    if messages is None and oldest is None:
        return Backlog(subscription, unknown="Cloud Monitoring has no figures of it yet")
    return Backlog(subscription, None if messages is None else int(messages), oldest)


def behind(subscriptions: Sequence[str], limit: float, api: GoogleApi | None = None) -> str | None:
    """Why a job is behind; None if it is not, or nobody knows.

    Args:
        subscriptions: Where it reads.
        limit: Age of the oldest message, in seconds, from which on it is.
        api: See ``read_backlog``.
    """
    for one in subscriptions:
        found = read_backlog(one, api)
        if found.oldest is None:
            continue
        metrics.JOB_BACKLOG.labels(one).set(found.oldest)
        if found.oldest >= limit:
            return (
                f"the job is behind: the oldest of {found.messages or 0:,} messages of {one} has "
                f"waited for {found.oldest:.0f} s"
            )
    return None


def _latest(api: GoogleApi, subscription: str, name: str) -> float | None:
    project, _, short = subscription.removeprefix("projects/").partition("/subscriptions/")
    now = datetime.now(UTC)
    chosen = f'metric.type="{_METRIC}{name}" AND resource.labels.subscription_id="{short}"'
    told = api.ask(
        "GET",
        f"/v3/projects/{project}/timeSeries",
        query={
            "filter": chosen,
            "interval.startTime": (now - _WINDOW).isoformat(),
            "interval.endTime": now.isoformat(),
            "view": "FULL",
        },
    )
    for series in told.get("timeSeries") or ():
        for point in series.get("points") or ():  # newest first
            value = point.get("value") or {}
            return float(value.get("int64Value") or value.get("doubleValue") or 0)
    return None
