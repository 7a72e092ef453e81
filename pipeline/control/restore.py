"""Bring back the open cases of a job whose state is lost: from its sources, and from the ledger.

A message was acknowledged at the checkpoint that held its case. Without that checkpoint the case is
gone, but the upload is in two places: in its subscription, if that retains what was acknowledged,
and in the ledger, if `quorum record` reads the streams. What the subscription can deliver again is
had by a seek; what it cannot is published anew from the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from google.api_core import exceptions as google_errors
from google.pubsub_v1.types import SeekRequest

from quorum.core.errors import ConfigurationError, EngineUnavailable
from quorum.core.messages import Upload
from quorum.pipeline.streams.address import AddressKind, parse_address
from quorum.pipeline.streams.pubsub_clients import subscriber_client
from quorum.store.ledger import Ledger, LedgerCase, TimeRange

__all__ = ["Replay", "RestorePlan", "look", "open_cases", "plan_restore", "seek"]

#: A seek is not exact, and an upload's time is its producer's.
_MARGIN = timedelta(minutes=2)

_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Replay:
    """What a subscription can deliver again.

    Attributes:
        subscription: Its path.
        topic: What it reads.
        reaches: The earliest time from which on it retains what was acknowledged; None if it
            retains nothing.
    """

    subscription: str
    topic: str
    reaches: datetime | None


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What is to be done.

    Attributes:
        since: The time to which subscriptions are set back; None for none.
        seeks: The subscriptions that are.
        open: How many uploads the ledger knows without a verdict.
        oldest: When the first of them was published.
        publish: Those that no seek brings back, and what else the ledger has of them.
        topic: Where uploads of the ledger are published to; empty if nothing is.
    """

    since: datetime | None
    seeks: tuple[Replay, ...]
    open: int
    oldest: datetime | None
    publish: tuple[Upload, ...]
    topic: str


def open_cases(ledger: Ledger, period: TimeRange) -> Iterator[LedgerCase]:
    """The uploads of a period whose content has no verdict, oldest first.

    Args:
        ledger: What `quorum record` keeps.
        period: Of the uploads' time of publishing.
    """
    for case in ledger.cases(period, parts=("upload", "verdicts")):
        if case.upload is not None and (case.verdict is None or case.awaits_decision):
            yield case


def look(subscription: str, at: datetime) -> Replay:
    """Ask Pub/Sub what a subscription can deliver again.

    Args:
        subscription: Its path.
        at: The present.

    Raises:
        ConfigurationError: If there is no such subscription, or it is none of Pub/Sub's.
        EngineUnavailable: If Pub/Sub does not answer.
    """
    address = parse_address(subscription)
    if address.kind is not AddressKind.SUBSCRIPTION:
        msg = f"{subscription} is a {address.kind.value}, and no subscription that can be set back"
        if address.kind is AddressKind.KAFKA:
            msg += (
                ": set its group back with Kafka's own tool while the job does not run "
                "(kafka-consumer-groups.sh --reset-offsets --to-datetime …)"
            )
        raise ConfigurationError(msg)
    subscription = address.path
    try:
        found = subscriber_client().get_subscription(subscription=subscription, timeout=_SECONDS)
    except google_errors.NotFound:
        msg = f"there is no subscription {subscription}"
        raise ConfigurationError(msg) from None
    except (google_errors.GoogleAPICallError, google_errors.RetryError) as error:
        msg = f"Pub/Sub does not answer: {error}"
        raise EngineUnavailable(msg) from None
    kept = timedelta()
    if found.retain_acked_messages:
        # The emulator does not tell how long; the service keeps seven days by default.
        kept = found.message_retention_duration or timedelta(days=7)
    kept = max(kept, found.topic_message_retention_duration or timedelta())
    return Replay(subscription, found.topic, at - kept if kept else None)


def plan_restore(
    cases: Iterable[LedgerCase], replays: Sequence[Replay], since: datetime | None = None
) -> RestorePlan:
    """What brings the open cases back.

    Args:
        cases: The open ones, with their uploads.
        replays: The subscriptions of the job: that of uploads first.
        since: Also whatever was published from this time on, recorded or not.

    Raises:
        ConfigurationError: If messages since this time are asked for, and a subscription does not
            retain them for as long.
    """
    uploads = [case.upload for case in cases if case.upload is not None]
    oldest = min((one.published_at for one in uploads), default=None)
    source = replays[0]
    if since is not None and (source.reaches is None or source.reaches > since):
        kept = "nothing" if source.reaches is None else f"what came since {source.reaches:%FT%TZ}"
        msg = (
            f"{source.subscription} retains {kept} of what was acknowledged: it cannot be set back "
            f"to {since:%FT%TZ}. Leave --since out to bring back what the ledger knows; for the "
            "next time: gcloud pubsub subscriptions update NAME --retain-acked-messages"
        )
        raise ConfigurationError(msg)
    reached = [
        one for one in uploads if source.reaches and one.published_at - _MARGIN >= source.reaches
    ]
    beyond = [one for one in uploads if one not in reached]
    times = [one.published_at - _MARGIN for one in reached]
    back = min([*times, *([since] if since else [])], default=None)
    seeks = tuple(one for one in replays if back and one.reaches)
    return RestorePlan(back, seeks, len(uploads), oldest, tuple(beyond), source.topic)


def seek(plan: RestorePlan) -> None:
    """Set the subscriptions back.

    Raises:
        EngineUnavailable: If Pub/Sub does not; doing it again is harmless.
    """
    for one in plan.seeks:
        to = max(plan.since or datetime.now(UTC), one.reaches or datetime.now(UTC))
        try:
            subscriber_client().seek(
                request=SeekRequest(subscription=one.subscription, time=to), timeout=_SECONDS
            )
        except (google_errors.GoogleAPICallError, google_errors.RetryError) as error:
            msg = f"{one.subscription} was not set back: {error}"
            raise EngineUnavailable(msg) from None
