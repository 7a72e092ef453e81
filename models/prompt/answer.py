"""What the model answered: checked against the schema and the text, or refused."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from quorum.models.features.lookalikes import is_ignorable
from quorum.models.prompt.framing import Part
from quorum.models.prompt.recipe import NONE

__all__ = [
    "Answer",
    "Nonsense",
    "Quote",
    "as_document",
    "content_of",
    "of_document",
    "read_answer",
    "tokens_of",
]

#: From this probability on an answer must quote what it stands on.
_EXPLAIN_FROM = 0.5


class Nonsense(Exception):
    """An answer that is not one: a refusal, another shape, a quotation that is none."""


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    label: str
    probability: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    rationale: Annotated[str, Field(max_length=4000)]
    quotes: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=4000)]], Field(max_length=20)
    ]


@dataclass(frozen=True, slots=True)
class Quote:
    """A passage of the upload.

    Attributes:
        field: Its field.
        start: Index of its first character in the whole field.
        end: Index after its last character.
    """

    field: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A checked answer.

    Attributes:
        label: One of the policy's labels, or ``none``.
        probability: That the upload breaks the policy.
        rationale: The reason, in the model's words.
        quotes: Where the passages are that show it.
    """

    label: str
    probability: float
    rationale: str
    quotes: tuple[Quote, ...]


def content_of(response: Any) -> str:
    """The text of a chat completion.

    Raises:
        Nonsense: If it has none: another shape, a refusal, an answer that was cut off.
    """
    try:
        choice = response["choices"][0]
        message = choice["message"]
        content, finish = message.get("content"), choice.get("finish_reason")
        refusal = message.get("refusal")
    except (KeyError, IndexError, TypeError, AttributeError):
        msg = "the answer is no chat completion"
        raise Nonsense(msg) from None
    if refusal or finish == "content_filter":
        msg = "the model refused to judge"
        raise Nonsense(msg)
    if finish == "length":
        msg = "the answer was cut off at its most tokens"
        raise Nonsense(msg)
    if not isinstance(content, str) or not content.strip():
        msg = "the model answered nothing"
        raise Nonsense(msg)
    return content


def tokens_of(response: Any) -> int | None:
    """The tokens of question and answer as the server counted them; None if it did not."""
    used = response.get("usage") if isinstance(response, dict) else None
    total = used.get("total_tokens") if isinstance(used, dict) else None
    sound = isinstance(total, int) and not isinstance(total, bool) and 0 <= total < 2**31
    return total if sound else None


def read_answer(content: str, labels: Collection[str], part: Part) -> Answer:
    """Read and check the text of an answer.

    Args:
        content: The text.
        labels: The labels that it may give beside ``none``.
        part: What the model was asked about.

    Raises:
        Nonsense: If it does not fit the schema, contradicts itself, or quotes what is not there.
    """
    try:
        written = _Written.model_validate(_object(content))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(one) for one in first["loc"])[:60] or "answer"
        msg = f"the answer does not fit the schema: {where}: {first['type']}"
        raise Nonsense(msg) from None
    if written.label != NONE and written.label not in labels:
        msg = "the answer does not fit the schema: label: not one of the policy's"
        raise Nonsense(msg)
    flagged = written.probability >= _EXPLAIN_FROM
    if flagged and written.label == NONE:
        msg = f"the answer contradicts itself: {NONE}, with the probability {written.probability}"
        raise Nonsense(msg)
    quotes = tuple(dict.fromkeys(_located(quote, part) for quote in written.quotes))
    if flagged and not quotes:
        msg = "the answer quotes nothing for what it found"
        raise Nonsense(msg)
    return Answer(written.label, written.probability, written.rationale, quotes)


def _object(content: str) -> Any:
    """The JSON object of an answer, with or without a thought or a fence around it."""
    if content.lstrip().startswith("<think>"):
        content = content.partition("</think>")[2]
    # A fence or a sentence around the object is not part of it.
    start, end = content.find("{"), content.rfind("}")
    content = content[start : end + 1] if 0 <= start < end else content
    try:
        return json.loads(content, parse_constant=_no_constant, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        msg = "the answer is no JSON object"
        raise Nonsense(msg) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of which no member is named twice: the last one would hide the first."""
    made = dict(pairs)
    if len(made) < len(pairs):
        msg = "a member is named twice"
        raise ValueError(msg)
    return made


def _no_constant(name: str) -> Any:
    msg = f"{name} is no JSON"
    raise ValueError(msg)


def _located(quote: str, part: Part) -> Quote:
    """Where a quotation is: as it is written, else as it is seen, with any white space in it.

    Raises:
        Nonsense: If it is nowhere.
    """
    for field, text in part.fields.items():
        start = text.find(quote)
        if start >= 0:
            first = part.starts[field] + start
            return Quote(field, first, first + len(quote))
    words = _seen(quote)[0].split()
    if words and len(words) <= 200:
        pattern = re.compile(r"\s+".join(re.escape(word) for word in words), re.I)
        for field, text in part.fields.items():
            shown, places = _seen(text)
            found = pattern.search(shown)
            if found is not None:
                start, end = places[found.start()], places[found.end() - 1] + 1
                return Quote(field, part.starts[field] + start, part.starts[field] + end)
    msg = "the answer quotes what is not in the upload"
    raise Nonsense(msg)


def _seen(text: str) -> tuple[str, list[int]]:
    """What of a text can be seen, and where each character of that stands."""
    places = [place for place, one in enumerate(text) if one.isascii() or not is_ignorable(one)]
    return "".join(text[place] for place in places), places


def as_document(answer: Answer) -> dict[str, Any]:
    """An answer as JSON, for the cache."""
    return {
        "label": answer.label,
        "probability": answer.probability,
        "rationale": answer.rationale,
        "quotes": [[one.field, one.start, one.end] for one in answer.quotes],
    }


def of_document(document: Mapping[str, Any]) -> Answer:
    """The answer that a document was made of."""
    return Answer(
        document["label"],
        document["probability"],
        document["rationale"],
        tuple(Quote(*one) for one in document["quotes"]),
    )
