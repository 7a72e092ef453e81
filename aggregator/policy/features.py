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
#: What a wave is by default: uploads, uploaders, and the least words of a text.
UPLOADS: Final = 5
UPLOADERS: Final = 3
WORDS: Final = 6
#: The types of fields that are keys.
_SIMPLE: Final = ("text", "number", "bool")


def feature_of(name: str, given: FeatureText) -> Feature:
    """A feature that has no mistakes."""
    of = given.of or ""
    wave = given.kind == "wave"
    uploads = (given.uploads or UPLOADS) if wave else 0
    uploaders = (given.uploaders or UPLOADERS) if wave else 0
    words = (given.words or WORDS) if wave and given.by == "text" else 0
    least = (str(uploads), str(uploaders), str(words)) if wave else ()
    version = digest(
        "feature", given.kind, given.by, of, repr(given.over), repr(given.lateness), *least
    )
    return Feature(
        name=name,
        key=f"{name}@{version[:8]}",
        kind=given.kind,
        by=given.by,
        of=of,
        over=given.over,
        lateness=given.lateness,
        keys=given.keys,
        uploads=uploads,
        uploaders=uploaders,
        words=words,
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
    yield from _wrong_wave(given)


def _wrong_wave(given: FeatureText) -> Iterator[tuple[str, str]]:
    if given.kind == "wave" and given.by == "uploader":
        yield (
            "a wave has many uploaders: count it by text, media, domain or a field under `fields`",
            "by",
        )
    for name in ("uploads", "uploaders", "words"):
        if getattr(given, name) is None:
            continue
        if given.kind != "wave":
            yield f"`{name}` is for `kind: wave`", name
        elif name == "words" and given.by != "text":
            yield "`words` is for a wave by text", name


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
