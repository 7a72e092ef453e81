"""Bodies of answers, batches and webhooks: schemas, and messages joined without a second parse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from quorum.apps.web.description import PROBLEM_EXAMPLE
from quorum.core.messages import Message, Prediction, Upload, Verdict
from quorum.pipeline.moderator import Moderated

__all__ = [
    "BatchAnswer",
    "BatchItem",
    "CaseAnswer",
    "ModelAnswer",
    "ModelsAnswer",
    "ModeratedAnswer",
    "PoliciesAnswer",
    "ProblemAnswer",
    "StatusAnswer",
    "UploadBatch",
    "UploadForm",
    "WebhookBody",
    "as_bytes",
    "case_bytes",
    "joined",
    "problem_bytes",
]


class ProblemAnswer(BaseModel):
    """What went wrong, as RFC 9457 has it."""

    model_config = ConfigDict(
        extra="allow", use_attribute_docstrings=True, json_schema_extra={"example": PROBLEM_EXAMPLE}
    )

    type: str = "about:blank"
    title: str
    """The HTTP status in words."""
    status: int
    """The HTTP status."""
    detail: str
    """What was wrong, and what to do."""
    problems: dict[str, str] | None = None
    """Of ``/ready``: the checks that fail, with their reasons."""


class StatusAnswer(BaseModel):
    """Whether the service is well."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    status: str
    """``ok`` or ``ready``."""
    models: str | None = None
    """The models that may differ from the registry's, if any do."""


class ModeratedAnswer(BaseModel):
    """The verdict on an upload, and every detector's prediction."""

    verdict: Verdict
    predictions: tuple[Prediction, ...]


class BatchItem(BaseModel):
    """The verdict on one upload of a batch, or its problem."""

    verdict: Verdict | None = None
    predictions: tuple[Prediction, ...] = ()
    problem: ProblemAnswer | None = None


class BatchAnswer(BaseModel):
    """For each upload, in their order, its verdict or a problem."""

    results: tuple[BatchItem, ...]


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
    #: Why a newer policy may have been released than the one that decides.
    stale: str | None = None


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


class UploadBatch(BaseModel):
    """Many uploads to decide in one request."""

    uploads: tuple[Upload, ...]


class UploadForm(BaseModel):
    """An upload, and its media as a file."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    upload: str
    """The upload as JSON."""
    media: Annotated[bytes, Field(json_schema_extra={"format": "binary"})] = b""
    """The file."""


class WebhookBody(BaseModel):
    """What a webhook brings: a verdict, in the form of Standard Webhooks."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: Literal["verdict"] = "verdict"
    """What ``data`` is."""
    timestamp: datetime
    """When the verdict was made."""
    data: Verdict
    """The verdict."""


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
    return b'{"problem":' + problem.model_dump_json(exclude_none=True).encode() + b"}"
