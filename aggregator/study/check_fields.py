"""Find conditions that cannot be evaluated: each such upload would go to review.

Each condition that reads the upload, its uploader, lists or predictions is evaluated for sample
uploads: with a value of its type in each field, with whole and with broken numbers, with empty
lists, and without each field or prediction that may be absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from quorum.aggregator.policy.expression import Expression
from quorum.aggregator.policy.fields import UPLOAD_FIELDS, FieldType
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.policy.program import Context, Program, evaluate

__all__ = ["unequal", "unevaluable"]

#: The fields of an upload that may be null.
OPTIONAL: Final = ("language", "media", "duration")

_WORD: Final = "word"
_UPLOAD: Final[Mapping[str, Any]] = {
    "id": _WORD,
    "uploader": _WORD,
    "title": _WORD,
    "description": _WORD,
    "tags": [_WORD],
    "language": "en",
    "media": "https://media.example.com/1.mp4",
    "duration": 60.5,
    "territories": ["DE"],
    "published_at": datetime(2026, 1, 5, 12, tzinfo=UTC),
    "comments": [_WORD],
}
_TYPES: Final[Mapping[type, FieldType]] = {
    str: "text",
    list: "list",
    float: "number",
    datetime: "time",
}
_TYPED: Final[Mapping[FieldType, Any]] = {
    "number": 1.5,
    "bool": True,
    "text": _WORD,
    "time": datetime(2026, 1, 1, tzinfo=UTC),
    "list": [_WORD],
    "map": {},
}


def unevaluable(policy: Policy, condition: Expression) -> Iterator[tuple[str, str]]:
    """Where a condition cannot be evaluated.

    Yields:
        Which uploads (``every``, or in words such as ``one without `upload.duration```), and what
        goes wrong.
    """
    if not condition.variables:
        return
    full = _full(policy, condition)
    wrong = _errors(policy, condition, full)
    if wrong:
        whole = _errors(policy, condition, _whole(policy, full))
        if whole:
            yield "every", wrong
        else:
            yield "one with a broken number, such as 1.5", wrong
        return
    wrong = _errors(policy, condition, _whole(policy, full))
    if wrong:
        yield "one with a whole number, such as 1", wrong
    for name, value in full.items():
        if isinstance(value, list):
            wrong = _errors(policy, condition, {**full, name: []})
            if wrong:
                yield f"one with an empty `upload.{name}`", wrong
        if name in OPTIONAL or name in policy.fields:
            wrong = _errors(policy, condition, {**full, name: None})
            if wrong:
                yield f"one without `upload.{name}`", wrong
    told: set[tuple[str, ...]] = set()
    for path in sorted({one[:end] for one in condition.keys for end in range(2, len(one) + 1)}):
        always = path[0] == "predictions" and path[2:] in (("status",), ("version",), ("labels",))
        if always or not all(path) or any(path[: len(one)] == one for one in told):
            continue
        wrong = _errors(policy, condition, full, absent=path)
        if wrong:
            told.add(path)
            yield f"one without `{'.'.join(path)}`", wrong


def unequal(policy: Policy, condition: Expression) -> Iterator[str]:
    """The comparisons of a field with a value of another type, such as ``upload.tags == "a"``."""
    for name, kind in sorted(condition.compared):
        own = policy.fields[name] if name in policy.fields else _TYPES[type(_UPLOAD[name])]
        if kind != own:
            yield f"compares `upload.{name}` ({own}) with a {kind}, which is never equal"


def _full(policy: Policy, condition: Expression) -> dict[str, Any]:
    """An upload with a value in each field that the condition reads."""
    return {
        name: _UPLOAD[name] if name in UPLOAD_FIELDS else _TYPED[policy.fields[name]]
        for name in sorted(condition.fields)
    }


def _whole(policy: Policy, full: Mapping[str, Any]) -> dict[str, Any]:
    """The same with whole numbers in the producer's own fields."""
    return {name: 1 if policy.fields.get(name) == "number" else one for name, one in full.items()}


def _errors(
    policy: Policy,
    condition: Expression,
    upload: Mapping[str, Any],
    absent: tuple[str, ...] = (),
) -> str:
    """What goes wrong for an upload with some scores; nothing if nothing does.

    The predictions and missing detectors that the condition names are there, but for the ``absent``
    one.

    A key that is absent is no mistake where the condition reads maps: their keys are not known. Nor
    is a text that is no number or time: that of the sample is a word.
    """
    program = Program(condition.compiled)
    maps = {name for name, kind in policy.fields.items() if kind == "map"}
    computed = any(not all(path) for path in condition.keys)
    unknown_keys = computed or not maps.isdisjoint(condition.fields)
    named = {path for path in condition.keys if not absent or path[: len(absent)] != absent}
    for score, status in ((0.0, "missing"), (0.5, "scored"), (1.0, "scored")):
        reads = {one.variable: status if one.what == "status" else score for one in condition.reads}
        facts = {
            "upload": upload,
            "uploader": {"strikes": 1.5, "removals": 1, "verdicts": 2},
            "lists": {name: list(items) for name, items in policy.lists.items()},
            "predictions": {
                name: _prediction(name, score, named, absent)
                for name in {*policy.detectors, *(path[1] for path in named)}
                if ("predictions", name) != absent
            },
            "missing": {path[1]: _WORD for path in named if path[0] == "missing"},
        }
        used = {name: facts[name] for name in condition.variables}
        outcome, detail = evaluate(program, Context({**reads, **used}))
        if outcome != "error" or detail.startswith("Function '"):
            continue
        if not (unknown_keys and detail.startswith("key not found")):
            return detail
    return ""


def _prediction(
    name: str, score: float, named: Iterable[tuple[str, ...]], absent: tuple[str, ...]
) -> dict[str, Any]:
    """A detector's prediction as conditions read it."""
    labels = [path[3] for path in named if path[1:3] == (name, "labels") and len(path) > 3]
    found = {
        "status": "scored",
        "version": _WORD,
        "labels": dict.fromkeys(labels, score),
        "score": score,
    }
    return {key: one for key, one in found.items() if ("predictions", name, key) != absent}
