"""The record of a statement of reasons, with the fields of the DSA Transparency Database."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from quorum.aggregator.policy.categories import DSA_CATEGORIES
from quorum.aggregator.policy.territories import EEA

__all__ = ["TransparencyRecord"]

_DATE: Final = r"^\d{4}-\d\d-\d\d$"


class TransparencyRecord(BaseModel):
    """One statement as the database's ``statements`` endpoint accepts it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decision_visibility: Annotated[
        tuple[
            Literal[
                "DECISION_VISIBILITY_CONTENT_REMOVED",
                "DECISION_VISIBILITY_CONTENT_DISABLED",
                "DECISION_VISIBILITY_CONTENT_DEMOTED",
                "DECISION_VISIBILITY_CONTENT_AGE_RESTRICTED",
                "DECISION_VISIBILITY_CONTENT_INTERACTION_RESTRICTED",
                "DECISION_VISIBILITY_CONTENT_LABELLED",
                "DECISION_VISIBILITY_OTHER",
            ],
            ...,
        ],
        Field(min_length=1),
    ]
    decision_visibility_other: Annotated[str, Field(max_length=500)] | None = None
    decision_ground: Literal[
        "DECISION_GROUND_ILLEGAL_CONTENT", "DECISION_GROUND_INCOMPATIBLE_CONTENT"
    ]
    illegal_content_legal_ground: Annotated[str, Field(max_length=500)] | None = None
    illegal_content_explanation: Annotated[str, Field(max_length=2000)] | None = None
    incompatible_content_ground: Annotated[str, Field(max_length=500)] | None = None
    incompatible_content_explanation: Annotated[str, Field(max_length=2000)] | None = None
    category: str
    content_type: Annotated[
        tuple[Literal["CONTENT_TYPE_TEXT", "CONTENT_TYPE_VIDEO"], ...], Field(min_length=1)
    ]
    content_language: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    content_date: Annotated[str, Field(pattern=_DATE)]
    application_date: Annotated[str, Field(pattern=_DATE)]
    end_date_visibility_restriction: Annotated[str, Field(pattern=_DATE)] | None = None
    territorial_scope: Annotated[tuple[str, ...], Field(min_length=1)]
    decision_facts: Annotated[str, Field(min_length=1, max_length=5000)]
    source_type: Literal["SOURCE_VOLUNTARY"] = "SOURCE_VOLUNTARY"
    automated_detection: Literal["Yes", "No"]
    automated_decision: Literal[
        "AUTOMATED_DECISION_FULLY",
        "AUTOMATED_DECISION_PARTIALLY",
        "AUTOMATED_DECISION_NOT_AUTOMATED",
    ]
    puid: Annotated[str, Field(max_length=500, pattern=r"^[A-Za-z0-9_-]+$")]

    @model_validator(mode="after")
    def _goes_together(self) -> TransparencyRecord:
        if self.category not in DSA_CATEGORIES.values():
            msg = f"{self.category} is no category of the database"
            raise ValueError(msg)
        if not set(self.territorial_scope) <= set(EEA):
            msg = "territorial_scope may hold countries of the EEA only"
            raise ValueError(msg)
        other = "DECISION_VISIBILITY_OTHER" in self.decision_visibility
        if other != (self.decision_visibility_other is not None):
            msg = "decision_visibility_other goes with DECISION_VISIBILITY_OTHER"
            raise ValueError(msg)
        illegal = self.decision_ground == "DECISION_GROUND_ILLEGAL_CONTENT"
        law = (self.illegal_content_legal_ground, self.illegal_content_explanation)
        terms = (self.incompatible_content_ground, self.incompatible_content_explanation)
        given, absent = (law, terms) if illegal else (terms, law)
        if None in given or absent != (None, None):
            msg = "the ground's own reference and explanation must be given, and no other"
            raise ValueError(msg)
        return self

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values, without absent ones."""
        return self.model_dump(mode="json", exclude_none=True)
