"""The stored state of an upload: its case, and the ack ids that wait for a verdict."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from quorum.aggregator.decider import Case, Decider
from quorum.core.messages import Message, Review, digest
from quorum.pipeline.streams.base import Received

__all__ = ["Orphan", "StoredCase"]


@dataclass(slots=True)
class Orphan:
    """A message whose upload or verdict is unknown, stored whole for its dead letter.

    Attributes:
        key: A digest of the message, equal for its duplicates; an id may be claimed twice.
        ack_ids: Of all its deliveries.
        received: The message as first received.
    """

    key: str
    ack_ids: list[str]
    received: Received


@dataclass(slots=True)
class StoredCase:
    """A case with its ack ids.

    Attributes:
        case: The case.
        ack_ids: Of messages that are acked with the next verdict.
        orphans: Messages whose upload is unknown, and reviews that wait for the first verdict.
        decided: Whether a verdict has been made.
        opened: Whether the upload has arrived.
        due: When the timer is set to, in seconds since the epoch; 0 if it is not set.
    """

    case: Case
    ack_ids: list[str] = field(default_factory=list)
    orphans: list[Orphan] = field(default_factory=list)
    decided: bool = False
    opened: bool = False
    due: float = 0.0

    def snapshot(self) -> bytes:
        """Serialise: the length of the head, the head as JSON, and the case's own snapshot."""
        orphans = [
            [one.key, one.ack_ids, dict(one.received.attributes), one.received.data.decode(),
             one.received.stream]
            for one in self.orphans
        ]  # fmt: skip
        head = json.dumps([self.ack_ids, orphans, self.decided, self.opened, self.due]).encode()
        return len(head).to_bytes(4, "big") + head + self.case.snapshot()

    @classmethod
    def restore(cls, data: bytes, decider: Decider) -> StoredCase:
        """Read a snapshot.

        Args:
            data: From ``snapshot``.
            decider: Decides the case from now on.
        """
        size = int.from_bytes(data[:4], "big")
        ack_ids, orphans, decided, opened, due = json.loads(data[4 : 4 + size])
        return cls(
            decider.restore(data[4 + size :]),
            ack_ids,
            [
                Orphan(key, acks, Received(text.encode(), attributes, "", stream))
                for key, acks, attributes, text, stream in orphans
            ],
            decided,
            opened,
            due,
        )

    def hold(self, ack_id: str) -> None:
        """Keep an ack id until the next verdict; an empty one needs no ack."""
        if ack_id:
            self.ack_ids.append(ack_id)

    def hold_message(self, message: Message, received: Received) -> None:
        """Keep the ack id of a prediction or review, and the message if it may be discarded."""
        if self.opened and not isinstance(message, Review):
            self.hold(received.ack_id)
            return
        key = _key(message)
        orphan = next((one for one in self.orphans if one.key == key), None)
        if orphan is None:
            orphan = Orphan(key, [], received)
            self.orphans.append(orphan)
        if received.ack_id:
            orphan.ack_ids.append(received.ack_id)

    def take_orphan(self, message: Message) -> Orphan:
        """Remove the orphan of a message; a new one without ack ids if there is none."""
        key = _key(message)
        found = next((one for one in self.orphans if one.key == key), None)
        self.orphans = [one for one in self.orphans if one.key != key]
        if found is None:
            return Orphan(key, [], Received(message.to_bytes(), {}, "", f"{message.kind}s"))
        return found

    def take_ack_ids(self) -> tuple[str, ...]:
        """Remove and return all ack ids."""
        taken = (*self.ack_ids, *(each for one in self.orphans for each in one.ack_ids))
        self.ack_ids, self.orphans = [], []
        return taken


def _key(message: Message) -> str:
    return digest(message.kind, message.to_bytes().decode())
