"""The fields of an upload and of its uploader that a condition may read, and their types.

Every upload has the fields of the message. A producer's own fields are declared in the policy,
with their types, so that a misspelt field is a mistake of the policy and not a case for review.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from quorum.aggregator.policy.expression_limits import Tokens, error_at
from quorum.core.messages import Upload

__all__ = [
    "FIELD_TYPES",
    "HISTORY_FIELDS",
    "HISTORY_NAME",
    "UPLOAD_FIELDS",
    "FieldRead",
    "FieldType",
    "as_read",
    "field_reads",
    "has_call",
    "has_type",
    "unknown_field",
]

#: The type of a producer's own field.
FieldType = Literal["number", "bool", "text", "time", "list", "map"]

#: The variable of the uploader's past verdicts, and its fields.
HISTORY_NAME: Final = "uploader"
HISTORY_FIELDS: Final = ("strikes", "removals", "verdicts")

#: The fields that every upload has.
UPLOAD_FIELDS: Final[tuple[str, ...]] = tuple(Upload.model_fields)

#: The Python types of a field's JSON value.
FIELD_TYPES: Final[Mapping[FieldType, tuple[type, ...]]] = {
    "number": (int, float),
    "bool": (bool,),
    "text": (str,),
    "time": (str,),
    "list": (list, tuple),
    "map": (dict,),
}


@dataclass(frozen=True, slots=True)
class FieldRead:
    """One place where a condition reads a field.

    Attributes:
        of: ``upload`` or ``uploader``.
        name: The field.
        at: The offset of the name in the condition.
    """

    of: str
    name: str
    at: int


def has_type(value: Any, kind: FieldType) -> bool:
    """Whether a value is null or has a declared type; true and false are no numbers."""
    if value is None:
        return True
    if kind == "number" and isinstance(value, bool):
        return False
    if kind == "time":
        return isinstance(value, str) and _time(value) is not None
    return isinstance(value, FIELD_TYPES[kind])


def as_read(value: Any, kind: FieldType | None) -> Any:
    """A field's value as conditions read it: a time for the text of one, else as it is."""
    return _time(value) if kind == "time" and isinstance(value, str) else value


def _time(text: str) -> datetime | None:
    """The time that a text gives as RFC 3339, with its zone; None where it gives none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if at.tzinfo is None else at


def field_reads(of: str, source: str, solid: Tokens) -> list[FieldRead]:
    """Where a condition reads fields of a variable, as ``upload.tags`` or ``upload["tags"]``.

    Raises:
        ExpressionError: If it uses ``upload`` in another way, so that its fields are not known.
    """
    found = []
    for index, (kind, text, at) in enumerate(solid):
        if kind != "word" or text != of or (index and solid[index - 1][1] == "."):
            continue
        rest = solid[index + 1 : index + 4]
        texts = [text for _, text, _ in rest]
        if texts[:1] == ["."] and len(rest) > 1 and rest[1][0] == "word" and texts[2:] != ["("]:
            found.append(FieldRead(of, texts[1], rest[1][2]))
            continue
        plain = len(rest) == 3 and rest[1][0] == "string" and texts[1][0] in "\"'"
        if plain and (texts[0], texts[2]) == ("[", "]") and "\\" not in texts[1]:
            found.append(FieldRead(of, texts[1].strip("\"'"), rest[1][2]))
            continue
        if of == "upload":
            msg = (
                "`upload` is followed by a dot and the name of a field, as upload.tags; "
                "ask whether there is one with has(upload.language)"
            )
            raise error_at(source, at, msg)
    return found


def has_call(source: str, solid: Tokens, index: int) -> tuple[str, int] | None:
    """The condition for ``has(upload.views)`` that begins at a token, and where the call ends.

    A field that an upload lacks is null, so ``has`` is true only of a field that is not null. For a
    field of a map, as in ``has(upload.origin.country)``, the map may be null too. None where the
    token begins no such call.
    """
    texts = [text for _, text, _ in solid[index : index + 5]]
    if len(texts) < 5 or texts[:4] != ["has", "(", "upload", "."]:
        return None
    close = index + 5
    while close < len(solid) and solid[close][1] != ")":
        close += 1
    if close == len(solid):
        return None
    end = solid[close][2] + 1
    known = f"upload.{texts[4]} != null"
    whole = source[solid[index][2] : end]
    return (f"({known})" if close == index + 5 else f"({known} && {whole})"), end


def unknown_field(read: FieldRead, suggestion: str, known: tuple[str, ...]) -> str:
    """The message for a field that is not known, with its mend.

    Args:
        read: The field.
        suggestion: ``; did you mean ...?``, or empty.
        known: The fields that there are.
    """
    if read.of == HISTORY_NAME:
        return f"`uploader.{read.name}` is unknown{suggestion or '; there are ' + ', '.join(known)}"
    declare = f"`fields: {{{read.name}: number}}` (or bool, text, time, list, map)"
    own = f"field of the producer's own is declared under {declare}"
    mend = f"{suggestion} A {own}" if suggestion else f"; a {own}"
    return f"no upload has the field `{read.name}`{mend}"
