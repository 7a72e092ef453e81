"""A platform's backend: publish uploads to Quorum, keep the verdict that counts.

    python examples/platform_backend.py publish projects/my-project/topics/quorum-uploads \\
        examples/uploads.jsonl
    python examples/platform_backend.py watch \\
        projects/my-project/subscriptions/quorum-verdicts-platform

``quorum topics create --project my-project`` makes both. ``PUBSUB_EMULATOR_HOST`` names an emulator
to try it on. Two lines of the shipped examples are no uploads: they are told, and not published.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

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


def readable(lines: Iterable[bytes], folder: Path) -> Iterator[bytes]:
    """The uploads among the lines, with absolute addresses of media; the others are told.

    A platform names its media by ``https:``, ``gs:`` or ``s3:``; that of the shipped examples lies
    beside them.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            upload = Upload.from_bytes(line)
        except MalformedMessage as error:
            print(f"line {number}: {error}", file=sys.stderr)
            continue
        if upload.media and "://" not in upload.media:
            media = (folder / upload.media).resolve().as_uri()
            line = json.dumps(json.loads(line) | {"media": media}).encode()
        yield line


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


def main(verb: str, name: str, file: str = "/dev/stdin") -> None:
    """Publish a file of uploads to a topic, or watch a subscription until it is interrupted."""
    if verb == "watch":
        try:
            watch(name, Verdicts()).result()
        except KeyboardInterrupt:
            return
    lines = Path(file).read_bytes().splitlines()
    sent = publish(name, readable(lines, Path(file).parent))
    print(f"published {sent} of {sum(bool(line.strip()) for line in lines)} lines")


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 4 or sys.argv[1] not in ("publish", "watch"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
