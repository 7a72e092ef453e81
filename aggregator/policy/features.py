"""Read the features over time of a policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from quorum.aggregator.policy.expression import did_you_mean
from quorum.aggregator.policy.fields import FieldType
from quorum.aggregator.policy.text import FeatureText
from quorum.aggregator.policy.values import Feature
from quorum.core.messages import digest

__all__ = ["KEYS", "feature_of", "wrong_feature"]

#: What every upload may be counted by.
KEYS: Final = ("uploader", "domain", "media", "text")
#: The types of fields that are keys.
_SIMPLE: Final = ("text", "number", "bool")


def feature_of(name: str, given: FeatureText) -> Feature:
    """A feature that has no mistakes."""
    of = given.of or ""
    version = digest("feature", given.kind, given.by, of, repr(given.over), repr(given.lateness))
    return Feature(
        name=name,
        key=f"{name}@{version[:8]}",
        kind=given.kind,
        by=given.by,
        of=of,
        over=given.over,
        lateness=given.lateness,
        keys=given.keys,
    )


def wrong_feature(given: FeatureText, fields: Mapping[str, FieldType]) -> Iterator[tuple[str, str]]:
    """The mistakes of a feature: what is wrong, and at which of its fields."""
    if (wrong := _wrong_key(given.by, fields)) is not None:
        yield wrong, "by"
    if given.kind == "distinct":
        if given.of is None:
            yield "`distinct` needs `of`: whose distinct values are counted", "kind"
        elif (wrong := _wrong_key(given.of, fields)) is not None:
            yield wrong, "of"
    elif given.kind == "sum":
        if given.of is None:
            yield "`sum` needs `of`: the field whose numbers are added", "kind"
        elif given.of != "duration" and fields.get(given.of) != "number":
            numbers = ["duration", *(name for name, kind in fields.items() if kind == "number")]
            help_text = did_you_mean(given.of, numbers) or (
                f"; declare it under `fields: {{{given.of}: number}}`"
            )
            yield f"`{given.of}` is no field with a number{help_text}", "of"
    elif given.of is not None:
        yield f"`{given.kind}` is of uploads; `of` is for `distinct` and `sum`", "of"


def _wrong_key(name: str, fields: Mapping[str, FieldType]) -> str | None:
    if name in KEYS or fields.get(name) in _SIMPLE:
        return None
    if name in fields:
        return f"the field `{name}` is a {fields[name]}; uploads are counted by text or numbers"
    known = [*KEYS, *fields]
    help_text = did_you_mean(name, known) or (
        f"; there are {', '.join(KEYS)}, and the fields under `fields`"
    )
    return f"uploads have no `{name}` in common{help_text}"
