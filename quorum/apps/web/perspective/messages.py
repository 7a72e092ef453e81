"""Requests and answers of ``comments:analyze``, as JSON has them (proto3's JSON mapping).

The names are those of the service ``commentanalyzer.v1alpha1``: fields in lower camel case, which
may also be sent in snake case; null is as good as absent; an unknown field is an error.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

__all__ = [
    "AnalyzeAnswer",
    "AnalyzeRequest",
    "ArticleAndParent",
    "AttributeParameters",
    "AttributeScores",
    "Context",
    "ErrorAnswer",
    "ErrorDetail",
    "Score",
    "SpanScore",
    "TextEntry",
]


class _Message(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid"
    )


def _present(value: object) -> object:
    """A message without its null fields, which are as good as absent."""
    if isinstance(value, dict):
        return {name: part for name, part in value.items() if part is not None}
    return value


class TextEntry(_Message):
    """A text and its type."""

    text: str = ""
    type: Literal["TEXT_TYPE_UNSPECIFIED", "PLAIN_TEXT", "HTML"] = "TEXT_TYPE_UNSPECIFIED"


Text = Annotated[TextEntry, BeforeValidator(_present)]


class ArticleAndParent(_Message):
    """The article and the comment that a comment answers to."""

    article: Text | None = None
    parent_comment: Text | None = None


class Context(_Message):
    """What a comment answers to; accepted, and not used."""

    entries: tuple[Text, ...] = ()
    article_and_parent_comment: Annotated[ArticleAndParent, BeforeValidator(_present)] | None = None


class AttributeParameters(_Message):
    """How one attribute is to be answered."""

    score_type: Literal[
        "SCORE_TYPE_UNSPECIFIED", "PROBABILITY", "STD_DEV_SCORE", "PERCENTILE", "RAW"
    ] = "SCORE_TYPE_UNSPECIFIED"
    #: Scores below it are left out.
    score_threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None


Parameters = Annotated[AttributeParameters, BeforeValidator(_present)]


class AnalyzeRequest(_Message):
    """A comment, and the attributes to score."""

    comment: Text = TextEntry()
    context: Annotated[Context, BeforeValidator(_present)] | None = None
    requested_attributes: dict[str, Parameters] = Field(default_factory=dict, max_length=100)
    #: Whether each sentence is scored, too.
    span_annotations: bool = False
    #: BCP 47 tags of the comment's language; without any, it is detected.
    languages: tuple[str, ...] = Field(default=(), max_length=20)
    #: Nothing is stored in either case.
    do_not_store: bool = False
    #: Returned as it is.
    client_token: str | None = None
    session_id: str | None = None
    community_id: str | None = None

    @classmethod
    def of(cls, data: dict[str, Any]) -> AnalyzeRequest:
        """Validate the JSON of a request.

        Raises:
            ValidationError: If a field is unknown or of another type.
        """
        return cls.model_validate(_present(data))


class Score(_Message):
    """A score from 0 to 1."""

    value: float
    type: Literal["PROBABILITY"] = "PROBABILITY"


class SpanScore(_Message):
    """The score of a part of the comment."""

    #: Where it begins, in UTF-16 code units.
    begin: int
    #: Where it ends, in UTF-16 code units.
    end: int
    score: Score


class AttributeScores(_Message):
    """The scores of one attribute."""

    #: Of each sentence with ``spanAnnotations``, else of the whole comment.
    span_scores: tuple[SpanScore, ...] | None = None
    #: Of the whole comment.
    summary_score: Score | None = None


class AnalyzeAnswer(_Message):
    """The scores of a comment."""

    #: By attribute; absent where no score reaches its threshold.
    attribute_scores: dict[str, AttributeScores] | None = None
    #: The languages of the request, else those detected.
    languages: tuple[str, ...]
    client_token: str | None = None
    #: ``und`` where none can be detected.
    detected_languages: tuple[str, ...]


class ErrorDetail(BaseModel):
    """What went wrong, as Google's services say it."""

    code: int
    message: str
    status: str
    details: tuple[dict[str, Any], ...] = ()


class ErrorAnswer(BaseModel):
    """An error in the form of Google's services."""

    error: ErrorDetail
