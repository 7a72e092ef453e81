"""What a detector says of an upload, and the evidence for it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from quorum.core.messages.fields import Identifier, Probability, Seconds, Time, digest
from quorum.core.messages.message import Message, Value

#: How the reason of an abstained prediction begins where the detector was not run, since its answer
#: could not have changed the action. A policy takes it for a detector that is missing.
NOT_ASKED = "not asked: "


class Status(StrEnum):
    """Whether a detector could say anything of an upload."""

    SCORED = "scored"
    ABSTAINED = "abstained"
    FAILED = "failed"


def prediction_id(upload_id: str, detector: str, version: str) -> str:
    """The identifier of what one version of a detector says of one upload."""
    return digest("prediction", upload_id, detector, version)


class Evidence(Value):
    """What in an upload led a detector to its score.

    ``kind`` says what ``start`` and ``end`` count: characters of ``field`` for ``text``, seconds
    of the media for ``video`` and ``audio``, seconds of the upload for ``match`` (of a reference
    work, where ``work``, ``work_start`` and ``work_end`` tell the other side).
    """

    kind: Literal["text", "video", "audio", "match"]
    what: str
    field: str | None = None
    """``title``, ``description``, ``tags[2]``, ``comments[0]``, or ``frames`` for text in them."""
    start: Seconds | None = None
    end: Seconds | None = None
    weight: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """How much it counts, from 0 to 1 where the detector can say."""
    work: str | None = None
    work_start: Seconds | None = None
    work_end: Seconds | None = None


class Prediction(Message):
    """What one version of a detector says of one upload."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"status": {"const": "scored"}}},
            "then": {"required": ["score"], "properties": {"score": {"type": "number"}}},
            "else": {
                "required": ["reason"],
                "properties": {
                    "score": {"type": "null"},
                    "reason": {"type": "string", "minLength": 1},
                },
            },
        }
    )
    kind: ClassVar[str] = "prediction"

    id: Identifier
    upload_id: Identifier
    detector: Identifier
    version: Identifier
    status: Status
    score: Probability | None = None
    """Calibrated probability that the upload has the detector's harm; only when scored."""
    labels: dict[str, Probability] = Field(default_factory=dict)
    """Paths in the tree of labels, such as ``violence/fight``, each with its probability."""
    evidence: tuple[Evidence, ...] = ()
    reason: str | None = None
    """Why the detector abstained or failed."""
    elapsed: Seconds = 0.0
    """Seconds of work for this upload (its share of a batch)."""
    at: Time
    shadow: bool = False

    @model_validator(mode="after")
    def _score_goes_with_status(self) -> Self:
        if (self.score is not None) != (self.status is Status.SCORED):
            msg = "score must be given when status is scored, and only then"
            raise ValueError(msg)
        if self.status is not Status.SCORED and not self.reason:
            msg = f"reason must say why the detector {self.status.value}"
            raise ValueError(msg)
        return self

    def event_id(self) -> str:
        """See Message."""
        return self.id

    def event_time(self) -> datetime:
        """See Message."""
        return self.at
