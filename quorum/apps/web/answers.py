"""Response bodies: their schemas, and messages joined without being parsed again."""

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
    """A problem detail (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class ModeratedAnswer(BaseModel):
    """The verdict on an upload, and every detector's prediction."""

    verdict: Verdict
    predictions: tuple[Prediction, ...]


class _BatchItem(BaseModel):
    verdict: Verdict | None = None
    predictions: tuple[Prediction, ...] = ()
    problem: ProblemAnswer | None = None


class BatchAnswer(BaseModel):
    """For each upload, in their order, its verdict or a problem."""

    results: tuple[_BatchItem, ...]


class CaseAnswer(BaseModel):
    """The verdicts and predictions of an upload."""

    #: The current verdict.
    verdict: Verdict
    #: The verdicts that it superseded, oldest first.
    earlier: tuple[Verdict, ...] = ()
    predictions: tuple[Prediction, ...] = Field(default=())


class PolicyAnswer(BaseModel):
    """The active policy, with its source text."""

    name: str
    version: str
    #: Seconds within which a verdict is returned.
    deadline: float
    detectors: tuple[str, ...]
    rules: tuple[str, ...]
    text: str


class PoliciesAnswer(BaseModel):
    """The active policy, and the names of the shipped ones."""

    active: PolicyAnswer
    shipped: tuple[str, ...]


class ModelAnswer(BaseModel):
    """A detector in use."""

    name: str
    version: str
    needs: tuple[str, ...]
    #: Reference of its model; null for the shipped one.
    model: str | None = None
    #: The reference that it follows: when that moves, the model is replaced.
    follows: str | None = None
    #: Why its model may differ from the one that the reference names now.
    stale: str | None = None
    shadow: bool
    max_batch: int
    timeout: float


class ModelsAnswer(BaseModel):
    """The detectors in use."""

    models: tuple[ModelAnswer, ...]


def upload_schema() -> dict[str, Any]:
    """Return the JSON Schema of an upload as a request's body."""
    made = Upload.model_json_schema(mode="validation")
    made["example"] = UPLOAD_EXAMPLE
    return made


def joined(messages: Iterable[Message]) -> bytes:
    """Serialise messages as a JSON list."""
    return b"[" + b",".join(message.to_bytes() for message in messages) + b"]"


def as_bytes(moderated: Moderated) -> bytes:
    """Serialise a ``ModeratedAnswer``."""
    return (
        b'{"verdict":'
        + moderated.verdict.to_bytes()
        + b',"predictions":'
        + joined(moderated.predictions)
        + b"}"
    )


def case_bytes(verdicts: Sequence[Verdict], predictions: Iterable[Prediction]) -> bytes:
    """Serialise a ``CaseAnswer``; the last verdict is the current one."""
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
    """Serialise a batch's result that is a problem."""
    problem = ProblemAnswer(title=title, status=status, detail=detail)
    return b'{"problem":' + json.dumps(problem.model_dump()).encode() + b"}"
