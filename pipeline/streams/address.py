"""What a stream is called on the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from quorum.core.errors import ConfigurationError

__all__ = ["KAFKA", "Address", "AddressKind", "KafkaAddress", "parse_address"]

#: What each address of Kafka begins with.
KAFKA: Final = "kafka://"

#: Deliveries of a message of Kafka before it is set aside, where the address says nothing else.
_DELIVERIES: Final = 20
_PORT: Final = 9092

_PUBSUB = re.compile(
    r"^(?:pubsub:)?projects/(?P<project>[^/\s]+)/(?P<kind>subscriptions|topics)/(?P<name>[^/\s]+)$"
)
_BROKER = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
#: Kafka's own rule for names of topics; for those of groups it has none.
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_GROUP = re.compile(r"[A-Za-z0-9._-]{1,249}")


class AddressKind(StrEnum):
    """The kinds of stream."""

    SUBSCRIPTION = "subscription"
    TOPIC = "topic"
    KAFKA = "Kafka topic"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address.

    Attributes:
        kind: What it is of.
        path: Pub/Sub's full resource name, the file's path, or Kafka's address in full, as
            ``KafkaAddress`` writes it.
    """

    kind: AddressKind
    path: str

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """A topic of Kafka, and who reads it.

    Attributes:
        brokers: ``host:port`` of some brokers of the cluster, with commas.
        topic: The topic.
        group: The consumer group that reads it; empty if the address names none.
        deliveries: How often a message is delivered before it is set aside.
    """

    brokers: str
    topic: str
    group: str = ""
    deliveries: int = _DELIVERIES

    def __str__(self) -> str:
        options = [f"group={self.group}"] if self.group else []
        options += [f"deliveries={self.deliveries}"] if self.deliveries != _DELIVERIES else []
        query = f"?{'&'.join(options)}" if options else ""
        return f"{KAFKA}{self.brokers}/{self.topic}{query}"

    @classmethod
    def parse(cls, text: str) -> KafkaAddress:
        """Read ``kafka://HOST:PORT[,HOST:PORT]/TOPIC[?group=GROUP&deliveries=20]``.

        Raises:
            ConfigurationError: If it is none. What stands before an ``@`` is not quoted: a password
                does not belong there.
        """
        place, _, query = text.removeprefix(KAFKA).partition("?")
        brokers, slash, topic = place.partition("/")
        if "@" in brokers:
            msg = (
                "an address of Kafka holds no user and no password: give them as "
                "QUORUM_KAFKA_SASL_USERNAME and QUORUM_KAFKA_SASL_PASSWORD (docs/kafka.md)"
            )
            raise ConfigurationError(msg)
        named = _brokers(brokers)
        if named is None or not slash or not _TOPIC.fullmatch(topic) or topic in (".", ".."):
            msg = f"{text!r} is no address of Kafka: give kafka://HOST:PORT[,HOST:PORT]/TOPIC"
            raise ConfigurationError(msg)
        options = dict(parse_qsl(query, keep_blank_values=True))
        group, deliveries = options.pop("group", ""), options.pop("deliveries", str(_DELIVERIES))
        is_count = deliveries.isdecimal() and 3 <= int(deliveries) <= 1_000
        if options or not is_count or not (_GROUP.fullmatch(group) or "group" not in query):
            msg = (
                f"{text!r}: after the topic there may be ?group=GROUP (letters, digits, . _ -) and "
                "&deliveries=COUNT (3 to 1000), and nothing else"
            )
            raise ConfigurationError(msg)
        return cls(named, topic, group, int(deliveries))


def _brokers(text: str) -> str | None:
    """Brokers with their ports; None if one is no host or has no possible port."""
    found = [_BROKER.fullmatch(one) for one in text.split(",")]
    ports = [int(one["port"] or _PORT) if one else 0 for one in found]
    if not all(0 < port < 65_536 for port in ports):
        return None
    return ",".join(
        f"{one['host']}:{port}" for one, port in zip(found, ports, strict=True) if one is not None
    )


def parse_address(text: str) -> Address:
    """Read an address.

    Raises:
        ConfigurationError: If it is neither Pub/Sub's nor Kafka's nor a file of JSON lines.
    """
    if match := _PUBSUB.match(text):
        kind = AddressKind.SUBSCRIPTION if match["kind"] == "subscriptions" else AddressKind.TOPIC
        return Address(kind, f"projects/{match['project']}/{match['kind']}/{match['name']}")
    if text.startswith("kafka:"):
        return Address(AddressKind.KAFKA, str(KafkaAddress.parse(text)))
    if text.startswith("file:") or text.endswith(".jsonl"):
        path = text.removeprefix("file:")
        if path.startswith("///"):
            path = path[2:]
        return Address(AddressKind.FILE, str(Path(path)))
    msg = (
        f"{text!r} is not a stream: give projects/P/subscriptions/S or projects/P/topics/T "
        "for Pub/Sub, kafka://HOST:PORT/TOPIC for Kafka, or the path of a .jsonl file"
    )
    raise ConfigurationError(msg)
