"""What a stream is called on the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from quorum.core.errors import ConfigurationError

__all__ = ["Address", "AddressKind", "parse_address"]

_PUBSUB = re.compile(
    r"^(?:pubsub:)?projects/(?P<project>[^/\s]+)/(?P<kind>subscriptions|topics)/(?P<name>[^/\s]+)$"
)


class AddressKind(StrEnum):
    """The kinds of stream."""

    SUBSCRIPTION = "subscription"
    TOPIC = "topic"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address; ``path`` is Pub/Sub's full resource name, or the file's path."""

    kind: AddressKind
    path: str

    def __str__(self) -> str:
        return self.path


def parse_address(text: str) -> Address:
    """Read an address.

    Raises:
        ConfigurationError: If it is neither Pub/Sub's nor a file of JSON lines.
    """
    if match := _PUBSUB.match(text):
        kind = AddressKind.SUBSCRIPTION if match["kind"] == "subscriptions" else AddressKind.TOPIC
        return Address(kind, f"projects/{match['project']}/{match['kind']}/{match['name']}")
    if text.startswith("file:") or text.endswith(".jsonl"):
        path = text.removeprefix("file:")
        if path.startswith("///"):
            path = path[2:]
        return Address(AddressKind.FILE, str(Path(path)))
    msg = (
        f"{text!r} is not a stream: give projects/P/subscriptions/S or projects/P/topics/T "
        "for Pub/Sub, or the path of a .jsonl file"
    )
    raise ConfigurationError(msg)
