"""What the service answers: messages, joined without being parsed again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, Field

from quorum.apps.web.description import UPLOAD_EXAMPLE
from quorum.core.messages import Message, Prediction, Upload, Verdict
from quorum.pipeline.moderator import Moderated

__all__ = [
    "BatchAnswer",
    "CaseAnswer",
    "ModelAnswer",
    "ModelsAnswer",
    "ModeratedAnswer",
    "PoliciesAnswer",
    "ProblemAnswer",
    "as_bytes",
    "case_bytes",
    "joined",
    "upload_schema",
]


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


class PolicyAnswer(BaseModel):
    """The policy in force, as it was written."""

    name: str
    version: str
    #: Seconds within which a verdict comes.
    deadline: float
    detectors: tuple[str, ...]
    rules: tuple[str, ...]
    text: str


class PoliciesAnswer(BaseModel):
    """The policy that decides, and the names of those that ship."""

    active: PolicyAnswer
    shipped: tuple[str, ...]


class ModelAnswer(BaseModel):
    """A detector that scores here."""

    name: str
    version: str
    needs: tuple[str, ...]
    #: Where its model comes from; null for the one that ships.
    model: str | None = None
    #: The reference whose model it takes in when that moves.
    follows: str | None = None
    #: Why its model may not be the one that the reference names now.
    stale: str | None = None
    shadow: bool
    max_batch: int
    timeout: float


class ModelsAnswer(BaseModel):
    """The detectors that score here."""

    models: tuple[ModelAnswer, ...]


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
