"""The stored state of an upload: its case, and the ack ids that wait for a verdict."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from quorum.aggregator.decider import Case, Decider
from quorum.core.messages import Message, Prediction, Review, digest
from quorum.pipeline.streams.base import Received

__all__ = ["Orphan", "StoredCase"]


@dataclass(slots=True)
class Orphan:
    """A message whose upload, content or verdict is unknown: whole, for its dead letter.

    Attributes:
        key: A digest of the message, equal for its duplicates; an id may be claimed twice.
        ack_ids: Of all its deliveries.
        received: The message as first received.
        content: The content that it names, if it is a prediction.
        ahead: Whether the upload is there, but not with this content.
    """

    key: str
    ack_ids: list[str]
    received: Received
    content: str | None = None
    ahead: bool = False


@dataclass(slots=True)
class StoredCase:
    """A case with its ack ids.

    Attributes:
        case: The case.
        ack_ids: Of messages that are acked with the next verdict.
        orphans: Messages whose upload, or whose content of it, is unknown, and reviews that may be
            discarded.
        opened: Whether the upload has arrived.
        due: When the timer is set to, in seconds since the epoch; 0 if it is not set.
        trace: The context of the upload's spans; empty where traces are off.
    """

    case: Case
    ack_ids: list[str] = field(default_factory=list)
    orphans: list[Orphan] = field(default_factory=list)
    opened: bool = False
    due: float = 0.0
    trace: str = ""

    def snapshot(self) -> bytes:
        """Serialise: the length of the head, the head as JSON, and the case's own snapshot."""
        orphans = [
            [one.key, one.ack_ids, dict(one.received.attributes),
             one.received.data.decode("utf-8", "surrogateescape"),
             one.received.stream, one.content, one.ahead]
            for one in self.orphans
        ]  # fmt: skip
        trace = [self.trace] if self.trace else []
        head = json.dumps([self.ack_ids, orphans, self.opened, self.due, *trace]).encode()
        return len(head).to_bytes(4, "big") + head + self.case.snapshot()

    @classmethod
    def restore(cls, data: bytes, decider: Decider) -> StoredCase:
        """Read a snapshot.

        Args:
            data: From ``snapshot``.
            decider: Decides the case from now on.

        Raises:
            InputError: If another version took it, in another format.
        """
        size = int.from_bytes(data[:4], "big")
        case = decider.restore(data[4 + size :])  # refuses other formats, so that it comes first
        ack_ids, orphans, opened, due, *trace = json.loads(data[4 : 4 + size])
        return cls(
            case,
            ack_ids,
            [
                Orphan(
                    key,
                    acks,
                    Received(text.encode("utf-8", "surrogateescape"), attributes, "", stream),
                    content,
                    ahead,
                )
                for key, acks, attributes, text, stream, content, ahead in orphans
            ],
            opened,
            due,
            *trace,
        )

    def hold(self, ack_id: str) -> None:
        """Keep an ack id until the next verdict; an empty one needs no ack."""
        if ack_id:
            self.ack_ids.append(ack_id)

    def hold_message(self, message: Message, received: Received) -> None:
        """Keep the ack id of a prediction or review, and the message if it may be discarded."""
        content = message.digest if isinstance(message, Prediction) else None
        ahead = self.opened and self.case.lacks(content)
        if self.opened and not ahead and not isinstance(message, Review):
            self.hold(received.ack_id)
            return
        key = _key(message)
        orphan = next((one for one in self.orphans if one.key == key), None)
        if orphan is None:
            orphan = Orphan(key, [], received, content, ahead)
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

    def release_orphans(self) -> None:
        """After an upload arrived: those whose content is known are acked with the next verdict."""
        for one in self.orphans:
            one.ahead = self.case.lacks(one.content)

    def take_ack_ids(self) -> tuple[str, ...]:
        """Remove and return all ack ids but those of predictions that are ahead."""
        done = [one for one in self.orphans if not one.ahead]
        taken = (*self.ack_ids, *(each for one in done for each in one.ack_ids))
        self.ack_ids = []
        self.orphans = [one for one in self.orphans if one.ahead]
        return taken


def _key(message: Message) -> str:
    return digest(message.kind, message.to_bytes().decode())
