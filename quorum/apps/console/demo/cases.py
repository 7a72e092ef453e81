"""Seeds a demo ledger with users and a few hundred cases scored by the shipped detectors."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from quorum.aggregator.policy.policy import Policy
from quorum.apps.console.accounts.access import Role, create_user
from quorum.apps.console.demo.reviews import seed_reviews
from quorum.apps.console.desk import tasks
from quorum.apps.demo.examples import example_messages, examples_folder
from quorum.core.errors import MalformedMessage
from quorum.core.messages import Message, Upload, now
from quorum.core.settings import MediaAccess, Settings
from quorum.pipeline.moderator import Moderator
from quorum.store.ledger import Ledger

__all__ = ["DEMO_PASSWORD", "DEMO_USERS", "demo_settings", "demo_uploads", "seed"]

#: The demo listens on loopback only.
DEMO_PASSWORD = "quorum-demo"  # noqa: S105
DEMO_USERS = {
    "ana": Role.REVIEWER,
    "ben": Role.REVIEWER,
    "lea": Role.LEAD,
    "max": Role.LEAD,
    "root": Role.ADMIN,
    "aud": Role.AUDITOR,
}
_DAYS = 3


def demo_settings(folder: Path | None = None) -> tuple[Settings, Path]:
    """Return the demo's settings and the folder of examples."""
    examples = examples_folder(folder)
    media = examples / "media"
    return Settings(media=MediaAccess(folders=(str(media),))), examples


def demo_uploads(examples: Path, count: int, until: datetime) -> list[Upload]:
    """Return the example uploads and recombinations of their parts; deterministic.

    Args:
        examples: The folder of examples.
        count: The total number.
        until: When the last one was published; the first one is three days older.
    """
    chance = random.Random(7)  # noqa: S311
    shipped: list[Upload] = []
    for line in example_messages(examples):
        try:
            shipped.append(Upload.from_bytes(line))
        except MalformedMessage:
            continue
    known = {upload.id: upload for upload in shipped}
    made = list(known.values())
    comments = [text for upload in made for text in upload.comments]
    descriptions = [upload.description for upload in made if upload.description]
    uploaders = sorted({upload.uploader for upload in made})
    plain = [upload for upload in made if not upload.media]
    for number in range(max(0, count - len(made))):
        base = chance.choice(plain)
        given = json.loads(base.to_bytes())
        given |= {
            "id": f"demo-{number:04d}",
            "uploader": chance.choice(uploaders),
            "description": chance.choice(descriptions),
            "comments": chance.sample(comments, chance.randint(0, 3)),
            "territories": chance.choice([[], [], ["DE"], ["DE", "FR"], ["US"], ["GB", "IE"]]),
            "views": int(10 ** chance.uniform(0, 6)),
        }
        made.append(Upload.model_validate(given))
    chance.shuffle(made)
    step = timedelta(days=_DAYS) / len(made)
    first = until - timedelta(days=_DAYS)
    return [
        upload.model_copy(update={"published_at": first + step * (n + 1)})
        for n, upload in enumerate(made)
    ]


def seed(
    ledger: Ledger, policy: Policy, settings: Settings, examples: Path, count: int = 320
) -> int:
    """Fill an empty ledger with users, cases, verdicts, tasks and past reviews.

    Returns:
        The number of cases.
    """
    for name, role in DEMO_USERS.items():
        create_user(ledger, name, role, DEMO_PASSWORD, "demo")
    uploads = demo_uploads(examples, count, now() - timedelta(minutes=2))
    with Moderator(settings, policy) as moderator:
        # The first call compiles kernels, which may exceed a detector's time-out.
        moderator.predict(uploads[:1])
        for start in range(0, len(uploads), 64):
            chunk = uploads[start : start + 64]
            ledger.record(_messages(policy, chunk, moderator))
    tasks.sync(ledger)
    seed_reviews(ledger, policy)
    return len(uploads)


def _messages(policy: Policy, uploads: Sequence[Upload], moderator: Moderator) -> list[Message]:
    found: list[Message] = []
    for upload, scored in zip(uploads, moderator.predict(uploads), strict=True):
        # As if it had been scored when it was published.
        at = upload.published_at + timedelta(seconds=sum(one.elapsed for one in scored))
        predictions = [
            one.model_copy(update={"at": upload.published_at + timedelta(seconds=one.elapsed)})
            for one in scored
        ]
        decided = moderator.decider.first(upload, predictions, arrived=upload.published_at, at=at)
        found += [upload, *predictions, decided.verdict]
    return found
