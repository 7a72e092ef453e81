"""Where released policies are read: the ledger, a subscription, a topic of Kafka, or a file.

Each of them keeps the newest release until there is a newer one, so that a process that starts, or
starts again after a kill, finds the policy in force: the ledger, the file and the topic by what
they are, the subscription because its readers give the newest message back and acknowledge older
ones alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from quorum.aggregator.policy.tree import MAX_POLICY_BYTES
from quorum.core.errors import (
    ConfigurationError,
    EngineUnavailable,
    InputError,
    PolicyError,
    QuorumError,
)
from quorum.core.identity import Admission, Publisher
from quorum.core.messages import PolicyRelease, digest
from quorum.core.metrics import REFUSED_POLICIES
from quorum.pipeline.streams.address import KAFKA, AddressKind, KafkaAddress, parse_address
from quorum.store.ledger import Ledger
from quorum.store.ledger.releases import in_force

__all__ = [
    "Candidate",
    "FileReader",
    "KafkaReader",
    "LedgerReader",
    "Reader",
    "SubscriptionReader",
    "open_reader",
]

_log = logging.getLogger(__name__)

#: The address that stands for the ledger of ``QUORUM_DATABASE``.
LEDGER: Final = "ledger"

_PULL_SECONDS: Final = 10.0
_MOST_A_PULL: Final = 100


@dataclass(frozen=True, slots=True)
class Candidate:
    """The newest policy that was found, not yet read.

    Attributes:
        id: Of the release, or a digest of the file.
        text: The YAML.
        version: What its release calls it; empty where there is no release.
        told: Where it is from, in words.
        file: Its name in errors; None for that of a release.
    """

    id: str
    text: str
    version: str
    told: str
    file: str | None = None


class Reader(Protocol):
    """Reads released policies."""

    def read(self) -> Candidate | None:
        """The newest policy; None if none was released.

        Raises:
            QuorumError: If it cannot be read now.
        """


class FileReader:
    """Reads a policy's file, such as the console writes, or a mounted ConfigMap.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[Any, Candidate | None] = (None, None)

    def read(self) -> Candidate | None:
        """See Reader."""
        try:
            stat = self._path.stat()
            state = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if state != self._known[0]:
                self._known = (state, self._candidate(self._path.read_bytes()))
        except OSError as error:
            msg = f"cannot read the policy {self._path}: {error.strerror or error}"
            raise PolicyError(msg) from None
        return self._known[1]

    def _candidate(self, data: bytes) -> Candidate:
        if len(data) > MAX_POLICY_BYTES:
            msg = f"the policy has {len(data):,} bytes; the limit is {MAX_POLICY_BYTES:,}"
            raise PolicyError(msg, file=str(self._path))
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            msg = "the policy is not valid UTF-8"
            raise PolicyError(msg, file=str(self._path)) from None
        name = str(self._path)
        return Candidate(digest("policy-file", text), text, "", f"in {name}", name)


class LedgerReader:
    """Reads the releases that the ledger has.

    Args:
        url: The ledger; None for ``QUORUM_DATABASE``.
        admission: Who may release policies.
    """

    def __init__(self, url: str | None, admission: Admission) -> None:
        # No retries: the next round is soon.
        self._ledger = Ledger(url, check_schema=False, retry=())
        self._admission = admission

    def read(self) -> Candidate | None:
        """See Reader."""
        found = self._ledger.transact(in_force)
        if found is None:
            return None
        return _candidate(self._admission.admit(PolicyRelease, found.data, found.attributes))


class SubscriptionReader:
    """Reads a subscription, and leaves the newest release in it for whoever reads next.

    So one subscription serves all workers of a job, and those that start later: each message that
    is older than the newest is acknowledged, and the newest is given back at once. What is no
    release, or comes from a publisher that may not release policies, is acknowledged and told.

    Args:
        path: ``projects/P/subscriptions/S``.
        admission: Who may release policies.
        client: Pub/Sub's client.
    """

    def __init__(self, path: str, admission: Admission, client: Any = None) -> None:
        from quorum.pipeline.streams.pubsub_clients import subscriber_client

        self._path = path
        self._admission = admission
        self._client: Any = client or subscriber_client()
        self._newest: tuple[Any, PolicyRelease] | None = None

    def read(self) -> Candidate | None:
        """See Reader."""
        from google.api_core import exceptions as google_errors

        try:
            self._pull()
        except google_errors.DeadlineExceeded:
            pass
        except (google_errors.GoogleAPICallError, google_errors.RetryError) as error:
            msg = f"cannot pull from {self._path}: {' '.join(str(error).split())}"
            raise EngineUnavailable(msg) from None
        return None if self._newest is None else _candidate(self._newest[1])

    def _pull(self) -> None:
        response = self._client.pull(
            subscription=self._path,
            max_messages=_MOST_A_PULL,
            return_immediately=True,
            timeout=_PULL_SECONDS,
            retry=None,
        )
        back: list[tuple[Any, str]] = []
        done: list[str] = []
        for item in response.received_messages:
            message = item.message
            try:
                release = self._admission.admit(
                    PolicyRelease, message.data, dict(message.attributes)
                )
            except InputError as error:
                _log.warning("a message of %s is no policy to follow: %s", self._path, error)
                REFUSED_POLICIES.inc()
                done.append(item.ack_id)
                continue
            # One release that was published twice is two messages, of which the later one stays.
            order = (release.order, message.publish_time.timestamp(), message.message_id)
            if self._newest is None or order > self._newest[0]:
                self._newest = (order, release)
            back.append((order, item.ack_id))
        newest = None if self._newest is None else self._newest[0]
        done += [ack_id for order, ack_id in back if order != newest]
        kept = [ack_id for order, ack_id in back if order == newest]
        if kept:
            self._client.modify_ack_deadline(
                subscription=self._path,
                ack_ids=kept,
                ack_deadline_seconds=0,
                timeout=_PULL_SECONDS,
                retry=None,
            )
        if done:
            self._client.acknowledge(
                subscription=self._path, ack_ids=done, timeout=_PULL_SECONDS, retry=None
            )


class KafkaReader:
    """Reads a topic of Kafka.

    Args:
        path: ``kafka://BROKERS/TOPIC``.
        admission: Who may release policies.
    """

    def __init__(self, path: str, admission: Admission) -> None:
        # Kafka's client is an extra.
        from quorum.pipeline.policies.kafka_reader import TopicReader

        self._topic = TopicReader(path, admission)

    def read(self) -> Candidate | None:
        """See Reader."""
        found = self._topic.read()
        return None if found is None else _candidate(found)


def open_reader(address: str, publishers: Mapping[str, Publisher]) -> Reader:
    """The reader of an address: ``ledger``, a ledger's URL, a stream, or a policy's file.

    Raises:
        ConfigurationError: If the address is none of these.
    """
    return _opener(address)(Admission(publishers))


def _opener(address: str) -> Callable[[Admission], Reader]:
    if address == LEDGER:
        return lambda admission: LedgerReader(None, admission)
    if address.startswith(KAFKA):
        return _kafka_opener(KafkaAddress.parse(address))
    if "://" in address and not address.startswith("file:"):
        return lambda admission: LedgerReader(address, admission)
    if address.endswith((".yaml", ".yml")):
        return lambda _: FileReader(Path(address.removeprefix("file:")))
    try:
        parsed = parse_address(address)
    except QuorumError:
        parsed = None
    if parsed is None or parsed.kind is not AddressKind.SUBSCRIPTION:
        msg = (
            f"policies cannot be followed at {address!r}: give `ledger` for that of "
            "QUORUM_DATABASE, a ledger's URL, projects/P/subscriptions/S, kafka://HOST:PORT/TOPIC, "
            "or a policy's .yaml file"
        )
        raise ConfigurationError(msg)
    path = parsed.path
    return lambda admission: SubscriptionReader(path, admission)


def _kafka_opener(address: KafkaAddress) -> Callable[[Admission], Reader]:
    if str(address) != str(KafkaAddress(address.brokers, address.topic)):
        msg = (
            f"policies on {KAFKA}{address.brokers}/{address.topic} are read whole by each process, "
            "without a group: leave out what stands after the topic"
        )
        raise ConfigurationError(msg)
    return lambda admission: KafkaReader(str(address), admission)


def _candidate(release: PolicyRelease) -> Candidate:
    at = release.at.astimezone(UTC)
    told = f"released {_minute(at)} UTC by {release.by}"
    return Candidate(release.event_id(), release.text, release.policy_version, told)


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
