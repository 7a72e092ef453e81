"""Converts messages to rows of the tables."""

from __future__ import annotations

import json
from typing import Any

from quorum.core.errors import MalformedMessage
from quorum.core.messages import (
    MAX_MESSAGE_BYTES,
    DeadLetter,
    Prediction,
    Review,
    Upload,
    Verdict,
    digest,
)
from quorum.core.messages.carriage import plain_json
from quorum.store.ledger.indexing import labels_of, text_of
from quorum.store.ledger.values import Delivery, Owner, StatementRecord

__all__ = [
    "account_row",
    "dead_letter_row",
    "delivery_row",
    "owner_row",
    "prediction_row",
    "review_row",
    "statement_row",
    "upload_row",
    "verdict_row",
]

#: The length of an indexed text; the body keeps the whole.
MAX_KEY = 256
#: The largest stored number; the body keeps a larger one.
MAX_INTEGER = 2**31 - 1

#: The length of a title in lists.
MAX_TITLE = 1000

Row = dict[str, Any]


def _text(value: str, limit: int | None = None) -> str:
    """Text without the character NUL, which PostgreSQL refuses."""
    return value.replace("\x00", "\ufffd")[:limit]


def _key(value: str | None) -> str | None:
    return None if value is None else _text(value, MAX_KEY)


def upload_row(upload: Upload) -> Row:
    """The row of ``uploads``, with the columns for ``cases`` and the search."""
    return {
        "id": upload.id,
        "uploader": upload.uploader,
        "published_at": upload.published_at,
        "words": text_of(upload),
        "title": _text(upload.title, MAX_TITLE),
        "language": _key(upload.language),
        "body": upload.to_bytes().decode(),
    }


def prediction_row(prediction: Prediction) -> Row:
    """The row of ``predictions``."""
    return {
        "id": prediction.id,
        "upload_id": prediction.upload_id,
        "detector": prediction.detector,
        "version": prediction.version,
        "status": prediction.status.value,
        "score": prediction.score,
        "shadow": prediction.shadow,
        "at": prediction.at,
        "body": prediction.to_bytes().decode(),
    }


def verdict_row(verdict: Verdict) -> Row:
    """The row of ``verdicts``, with the columns for ``cases`` and the search."""
    used = [item.score for item in verdict.predictions if not item.shadow]
    scores = [score for score in used if score is not None]
    return {
        "id": verdict.id,
        "upload_id": verdict.upload_id,
        "revision": min(verdict.revision, MAX_INTEGER),
        "action": verdict.action.value,
        "category": _key(verdict.category),
        "rule": _key(verdict.rule),
        "policy_version": verdict.policy_version,
        "decided_by": verdict.decided_by,
        "at": verdict.at,
        "content_at": verdict.published_at,
        "latency": verdict.latency,
        "top_score": max(scores, default=None),
        "labels": labels_of(verdict),
        "body": verdict.to_bytes().decode(),
        "account": account_row(verdict),
    }


def account_row(verdict: Verdict) -> Row | None:
    """The row of ``account_verdicts``; None where the verdict decides on no account."""
    one = verdict.account
    if one is None:
        return None
    return {
        "verdict_id": verdict.id,
        "id": one.id,
        "uploader": one.uploader,
        "upload_id": verdict.upload_id,
        "action": one.action.value,
        "state": one.state.value,
        "until": one.until,
        "at": verdict.at,
        "body": _text(one.model_dump_json(exclude_none=True)),
    }


def review_row(review: Review) -> Row:
    """The row of ``reviews``."""
    return {
        "id": review.event_id(),
        "upload_id": review.upload_id,
        "verdict_id": review.verdict_id,
        "action": review.action.value,
        "reviewer": review.reviewer,
        "at": review.at,
        "body": review.to_bytes().decode(),
    }


def statement_row(statement: StatementRecord) -> Row:
    """The row of ``statements``."""
    record = statement.record
    return {
        "verdict_id": statement.verdict_id,
        "upload_id": statement.upload_id,
        "at": statement.at,
        "text": _text(statement.text),
        "record": None if record is None else json.dumps(dict(record), sort_keys=True),
    }


def owner_row(owner: Owner) -> Row:
    """The row of ``owners``."""
    return {"upload_id": owner.upload_id, "client": owner.client}


def delivery_row(delivery: Delivery) -> Row:
    """The row of ``deliveries``."""
    return {
        "id": delivery.id,
        "endpoint": delivery.endpoint,
        "upload_id": delivery.upload_id,
        "verdict_id": delivery.verdict_id,
        "attempts": delivery.attempts,
        "due_at": delivery.due_at,
        "error": delivery.error,
        "body": delivery.body,
        "trace": delivery.trace or None,
    }


def dead_letter_row(letter: DeadLetter) -> Row:
    """The row of ``dead_letters``, with the upload and uploader if the original names them.

    One original has one row for each of its parts, wherever it fails: ``detect``, ``decide`` and
    ``record`` all read the uploads, and each keeps what it cannot read.
    """
    upload_id, uploader = _owner(letter.data)
    return {
        "id": digest("dead-letter", letter.original_id, str(letter.part)),
        "original_id": letter.original_id,
        "part": min(letter.part, MAX_INTEGER),
        "parts": min(letter.parts, MAX_INTEGER),
        "stage": _key(letter.stage),
        "error": _text(letter.error),
        "at": letter.at,
        "upload_id": upload_id,
        "uploader": uploader,
        "attributes": json.dumps(dict(letter.original), sort_keys=True),
        "data": letter.data,
    }


def _owner(data: bytes) -> tuple[str | None, str | None]:
    try:
        read = json.loads(plain_json(data, "", MAX_MESSAGE_BYTES)[0])
    except (MalformedMessage, ValueError, RecursionError):
        return None, None
    if not isinstance(read, dict):
        return None, None

    def text(name: str) -> str | None:
        value = read.get(name)
        if not isinstance(value, str) or not value:
            return None
        # JSON allows lone surrogates; no database does.
        return _key(value.encode("utf-8", "replace").decode())

    return text("upload_id") or text("id"), text("uploader")
