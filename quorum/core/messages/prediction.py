"""A detector's result for an upload, and the evidence for it."""

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

#: Works that a decision keeps of a prediction's matches.
MAX_WORKS = 5

#: The ``field`` of the evidence that tells how much of the media a detector has seen: its
#: ``weight`` is the share of the length.
SEEN = "seen"


class Status(StrEnum):
    """Whether a detector could score an upload."""

    SCORED = "scored"
    """There is a score."""
    ABSTAINED = "abstained"
    """There was nothing to judge, such as no media."""
    FAILED = "failed"
    """There was something to judge, and the detector could not."""


def prediction_id(upload_id: str, detector: str, version: str, content: str | None = None) -> str:
    """The identifier of a prediction: a digest of the upload, its content, detector and version.

    Args:
        upload_id: The upload.
        detector: The detector's name.
        version: The version of its model.
        content: ``Upload.digest``, so that predictions of two contents of one upload differ; None
            for a detector that does not know it.
    """
    content_part = () if content is None else (content,)
    return digest("prediction", upload_id, detector, version, *content_part)


class Evidence(Value):
    """A part of an upload that led a detector to its score."""

    kind: Literal["text", "video", "audio", "match"]
    """The unit of ``start`` and ``end``: characters of ``field`` for ``text``, else seconds of the
    media; ``match`` is a copy of a reference work."""
    what: str
    """What was found, in words that a reviewer can read."""
    field: str | None = None
    """``title``, ``description``, ``tags[2]``, ``comments[0]``, ``frames`` for text in them, or
    ``speech`` for what is said; ``seen`` for how much of the media was looked at, of which
    ``weight`` is the share."""
    start: Seconds | None = None
    """Where it begins."""
    end: Seconds | None = None
    """Where it ends."""
    weight: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """How much it counts, from 0 to 1, where the detector can measure it."""
    work: str | None = None
    """The reference work, for ``match``."""
    work_start: Seconds | None = None
    """Second of the work at which the match begins."""
    work_end: Seconds | None = None
    """Second of the work at which the match ends."""


class Usage(Value):
    """What a prediction cost beyond this machine, or saved there."""

    calls: Annotated[int, Field(ge=0)] = 0
    """Requests to the server of a model."""
    tokens: Annotated[int, Field(ge=0)] = 0
    """Tokens of questions and answers, as the server counted them, else estimated."""
    seconds: Seconds = 0.0
    """Seconds that requests took, added up."""
    cached: Annotated[int, Field(ge=0)] = 0
    """Questions whose answer was known."""


class Prediction(Message):
    """The result of one version of a detector for one upload."""

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
    """See ``prediction_id``."""
    upload_id: Identifier
    """The upload."""
    digest: Identifier | None = None
    """``Upload.digest`` of the content that was scored. Without it, the prediction counts for the
    first content of an upload only, and not for an edit: nobody knows what it saw."""
    detector: Identifier
    """The detector's name."""
    version: Identifier
    """The version of its model."""
    status: Status
    """Whether there is a score."""
    score: Probability | None = None
    """Calibrated probability that the upload has the detector's harm; only when scored."""
    labels: dict[str, Probability] = Field(default_factory=dict)
    """Paths in the tree of labels, such as ``violence/fight``, each with its probability."""
    evidence: tuple[Evidence, ...] = ()
    """The parts of the upload that led to the score."""
    reason: str | None = None
    """Why the detector abstained or failed."""
    elapsed: Seconds = 0.0
    """Seconds of work for this upload (its share of a batch)."""
    at: Time
    """When it was made."""
    shadow: bool = False
    """Whether it is only recorded and never decides."""
    usage: Usage | None = None
    """What it cost, where a detector asked the server of a model."""

    @property
    def seen(self) -> float | None:
        """Share of the media's length that the detector has looked at; None if it does not say."""
        found = [one.weight for one in self.evidence if one.field == SEEN]
        return min((one for one in found if one is not None), default=None)

    @property
    def works(self) -> tuple[str, ...]:
        """The reference works or listed hashes that it matched, at most ``MAX_WORKS``."""
        found = [one.work for one in self.evidence if one.kind == "match" and one.work]
        return tuple(dict.fromkeys(found))[:MAX_WORKS]

    @model_validator(mode="after")
    def _score_goes_with_status(self) -> Self:
        if (self.score is not None) != (self.status is Status.SCORED):
            msg = "score must be given when status is scored, and only then"
            raise ValueError(msg)
        if self.status is not Status.SCORED and not self.reason:
            msg = f"reason must say why the detector {self.status.value}"
            raise ValueError(msg)
        return self

    def of_content(self, content: str) -> Prediction:
        """The same prediction as one of this content, with the id that belongs to it.

        Args:
            content: ``Upload.digest``.
        """
        if self.digest == content:
            return self
        made = prediction_id(self.upload_id, self.detector, self.version, content)
        return self.model_copy(update={"id": made, "digest": content})

    def event_id(self) -> str:
        """See Message."""
        return self.id

    def event_time(self) -> datetime:
        """See Message."""
        return self.at
