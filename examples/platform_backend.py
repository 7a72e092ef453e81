"""A platform's backend: publish uploads to Quorum, keep the verdict that counts.

    python examples/platform_backend.py publish projects/mine/topics/uploads < uploads.jsonl
    python examples/platform_backend.py watch projects/mine/subscriptions/verdicts

Set ``PUBSUB_EMULATOR_HOST`` to try it on the emulator.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from google.cloud import pubsub_v1

from quorum.messages import MalformedMessage, SigningKey, Upload, Verdict

SOURCE = "/example/backend"


def attributes(upload: Upload) -> dict[str, str]:
    """The attributes of an upload, signed if ``QUORUM_SIGNING_KEY`` holds the platform's key."""
    key = SigningKey.from_environment()
    event = upload.attributes(SOURCE)
    return event if key is None else key.sign(upload.to_bytes(), event)


def publish(topic: str, lines: Iterable[bytes]) -> int:
    """Publish uploads, one JSON a line, and wait until the broker has each of them."""
    publisher = pubsub_v1.PublisherClient()
    uploads = [Upload.from_bytes(line) for line in lines if line.strip()]
    # The attributes are CloudEvents: a resent upload has the same ce-id and is decided once.
    sent = [publisher.publish(topic, each.to_bytes(), **attributes(each)) for each in uploads]
    for future in sent:
        future.result(timeout=60)
    return len(sent)


class Verdicts:
    """The verdict that counts for each upload.

    Verdicts may come twice, late or out of order; the one with the greatest order counts: that on
    the content that was published last, of these the one of the greatest revision. A platform
    keeps this in its database, in the transaction that applies the action.
    """

    def __init__(self) -> None:
        self.by_upload: dict[str, Verdict] = {}

    def take(self, verdict: Verdict) -> bool:
        """Whether this verdict is news that must be applied."""
        known = self.by_upload.get(verdict.upload_id)
        if known and verdict.order <= known.order:
            return False
        self.by_upload[verdict.upload_id] = verdict
        return True


def watch(
    subscription: str, verdicts: Verdicts
) -> pubsub_v1.subscriber.futures.StreamingPullFuture:
    """Apply verdicts as they arrive; each is acknowledged only once it is kept."""

    def on_message(message: pubsub_v1.subscriber.message.Message) -> None:
        try:
            verdict = Verdict.from_bytes(message.data)
        except MalformedMessage as error:
            print(f"not a verdict: {error}", file=sys.stderr)
            message.nack()  # the subscription's dead-letter policy keeps it
            return
        if verdicts.take(verdict):
            print(f"{verdict.upload_id}: {verdict.action}. {' '.join(verdict.reasons)}", flush=True)
        message.ack()

    return pubsub_v1.SubscriberClient().subscribe(subscription, on_message)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("publish", "watch"):
        sys.exit(__doc__)
    if sys.argv[1] == "publish":
        print(f"published {publish(sys.argv[2], sys.stdin.buffer)} uploads")
    else:
        watch(sys.argv[2], Verdicts()).result()
