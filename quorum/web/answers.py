"""What the service answers: messages, joined without being parsed again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, Field

from quorum.messages import Message, Prediction, Upload, Verdict
from quorum.moderator import Moderated

__all__ = [
    "UPLOAD_EXAMPLE",
    "BatchAnswer",
    "CaseAnswer",
    "ModeratedAnswer",
    "ProblemAnswer",
    "as_bytes",
    "case_bytes",
    "joined",
    "upload_schema",
]

UPLOAD_EXAMPLE: dict[str, Any] = {
    "id": "video-4711",
    "uploader": "channel-12",
    "title": "Win a phone NOW, click the link",
    "description": "Subscribe and you get one too",
    "tags": ["phone", "free"],
    "published_at": "2026-01-31T12:00:00Z",
}


class ProblemAnswer(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class ModeratedAnswer(BaseModel):
    """The verdict on an upload, and what each detector said."""

    verdict: Verdict
    predictions: tuple[Prediction, ...]


class _BatchItem(BaseModel):
    verdict: Verdict | None = None
    predictions: tuple[Prediction, ...] = ()
    problem: ProblemAnswer | None = None


class BatchAnswer(BaseModel):
    """For each upload, in their order, its verdict, or why there is none."""

    results: tuple[_BatchItem, ...]


class CaseAnswer(BaseModel):
    """What is known of an upload."""

    #: The current verdict.
    verdict: Verdict
    #: The verdicts that it superseded, oldest first.
    earlier: tuple[Verdict, ...] = ()
    predictions: tuple[Prediction, ...] = Field(default=())


def upload_schema() -> dict[str, Any]:
    """The JSON Schema of an upload as a request's body."""
    made = Upload.model_json_schema(mode="validation")
    made["example"] = UPLOAD_EXAMPLE
    return made


def joined(messages: Iterable[Message]) -> bytes:
    """A JSON list of messages."""
    return b"[" + b",".join(message.to_bytes() for message in messages) + b"]"


def as_bytes(moderated: Moderated) -> bytes:
    """A ``ModeratedAnswer``."""
    return (
        b'{"verdict":'
        + moderated.verdict.to_bytes()
        + b',"predictions":'
        + joined(moderated.predictions)
        + b"}"
    )


def case_bytes(verdicts: Sequence[Verdict], predictions: Iterable[Prediction]) -> bytes:
    """A ``CaseAnswer``; the last verdict is the current one."""
    return (
        b'{"verdict":'
        + verdicts[-1].to_bytes()
        + b',"earlier":'
        + joined(verdicts[:-1])
        + b',"predictions":'
        + joined(predictions)
        + b"}"
    )


def problem_bytes(status: int, title: str, detail: str) -> bytes:
    """One result of a batch that is a problem."""
    problem = ProblemAnswer(title=title, status=status, detail=detail)
    return b'{"problem":' + json.dumps(problem.model_dump()).encode() + b"}"
