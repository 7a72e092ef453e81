"""What a condition writes out, and CEL reads only when it evaluates.

A mistake in it, such as ``timestamp("2026-13-01T00:00:00Z")``, would send every upload to review,
so it is found when the policy is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from quorum.aggregator.policy.expression_limits import Tokens, error_at
from quorum.aggregator.policy.fields import FieldType
from quorum.aggregator.policy.program import Context, Program, evaluate

__all__ = ["PREDICTION_FIELDS", "check_conversions", "compared", "keys"]

#: The fields of a prediction that conditions read.
PREDICTION_FIELDS: Final = ("status", "version", "labels", "score")

#: The functions that convert a text, and a text that each can read.
_CONVERSIONS: Final = {
    "timestamp": '"2026-01-31T12:00:00Z"',
    "duration": '"72h" or "90m"',
    "int": '"5"',
    "uint": '"5"',
    "double": '"0.5"',
    "bool": '"true"',
}


def check_conversions(source: str, solid: Tokens) -> None:
    """Refuse a text written out that its conversion cannot read.

    Args:
        source: The condition.
        solid: Its tokens without white space.

    Raises:
        ExpressionError: If there is one.
    """
    for index, (kind, name, _) in enumerate(solid):
        rest = solid[index + 1 : index + 4]
        whole = [text for _, text, _ in rest[::2]] == ["(", ")"] and rest[1][0] == "string"
        if kind != "word" or name not in _CONVERSIONS or not whole:
            continue
        _, text, at = rest[1]
        if evaluate(Program(f"[{name}({text})].size() == 1"), Context({}))[0] == "error":
            msg = f"`{name}` cannot read {text}; write it as {_CONVERSIONS[name]}"
            raise error_at(source, at, msg)


def keys(solid: Tokens) -> Iterator[tuple[tuple[str, ...], int]]:
    """The keys of ``predictions`` and ``missing`` that are written out, and where.

    ``predictions.spam.score``, ``predictions["spam"].score`` and ``"spam" in missing`` have one;
    where another is computed, as in ``predictions[d].score``, it is empty.
    """
    texts = [text for _, text, _ in solid]
    for index, (kind, text, at) in enumerate(solid):
        if kind != "word" or text not in ("predictions", "missing"):
            continue
        before = solid[max(0, index - 2) : index]
        if before and before[-1][1] == ".":
            continue
        if len(before) == 2 and before[0][0] == "string" and before[1][1] == "in":
            yield (text, before[0][1].strip("\"'")), before[0][2]
        path, spot, end = [text], at, index + 1
        while end + 1 < len(solid):
            if texts[end] == "." and texts[end + 2 : end + 3] != ["("]:
                path.append(texts[end + 1])
                spot, end = solid[end + 1][2], end + 2
            elif texts[end] == "[" and texts[end + 2 : end + 3] == ["]"]:
                written = solid[end + 1][0] == "string"
                path.append(texts[end + 1].strip("\"'") if written else "")
                spot, end = solid[end + 1][2], end + 3
            else:
                break
        if len(path) > 1:
            yield tuple(path), spot


def compared(solid: Tokens) -> Iterator[tuple[str, FieldType]]:
    """The fields of the upload that are compared by ``==`` or ``!=`` with a value written out."""
    texts = [text for _, text, _ in solid]
    for index in range(len(solid) - 1):
        if texts[index + 1] != "=" or texts[index] not in ("=", "!"):
            continue
        left, right = texts[max(0, index - 3) : index], texts[index + 2 : index + 5]
        if left[:2] == ["upload", "."] and index + 2 < len(solid):
            kind = _kind(*solid[index + 2][:2])
            if kind is not None and right[1:2] not in (["."], ["["]):
                yield left[2], kind
        if right[:2] == ["upload", "."] and len(right) == 3 and index:
            after = texts[index + 5 : index + 6]
            kind = _kind(*solid[index - 1][:2])
            if kind is not None and after not in (["."], ["["]):
                yield right[2], kind


def _kind(kind: str, text: str) -> FieldType | None:
    """The type of a value that begins or ends with a token; None where it is not written out."""
    if kind == "string":
        return "text"
    if kind == "number":
        return "number"
    if text in ("true", "false"):
        return "bool"
    return "list" if text == "[" else None
