"""How the values of a table become the fields of an upload: each SQL type has one way, or none.

A value without a way is kept with the row as a dead letter. ``CONVERSIONS`` is the whole table;
``docs/tables.md`` shows it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from quorum.core.errors import MalformedMessage
from quorum.core.messages.carriage import REPLACEMENT, decoded

__all__ = ["CONVERSIONS", "FIELDS", "Field", "Sql", "Unconvertible", "convert", "epoch", "moment"]

#: 2000-01-01 and 2100-01-01 in Unix seconds: an upload is published between them.
EPOCH_FROM: Final = 946_684_800
EPOCH_TO: Final = 4_102_444_800
#: What a Unix second has of each unit that databases keep: the ranges do not overlap.
EPOCH_UNITS: Final = (1, 1_000, 1_000_000, 1_000_000_000)

#: Seconds of a century.
_LONGEST: Final = 3_155_760_000

#: Floating-point numbers from here on do not hold each whole number.
_EXACT: Final = 2**53
#: More digits than an identifier may have.
_MOST_DIGITS: Final = 256

_CLOCK: Final = re.compile(r"(?:(\d{1,4}):)?(\d{1,2}):(\d{2}(?:\.\d+)?)")
_ISO_DURATION: Final = re.compile(
    r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.ASCII
)


class Unconvertible(ValueError):
    """A value that has no conversion; its text says why, and quotes nothing of it."""


class Sql(StrEnum):
    """Kinds of SQL types, whatever a database calls them."""

    TEXT = "text, varchar, char, citext, enum"
    WHOLE = "smallint, integer, bigint"
    FRACTION = "numeric, real, double precision"
    BOOLEAN = "boolean"
    BYTES = "bytea, blob"
    INSTANT = "timestamp with time zone"
    STAMP = "timestamp without time zone"
    DATE = "date"
    SPAN = "interval, time"
    ARRAY = "array"
    JSON = "json, jsonb"
    OTHER = "any other, such as uuid"


class Field(StrEnum):
    """Kinds of an upload's fields."""

    NAME = "id, uploader"
    WORDS = "title, description, language, media"
    LIST = "tags, territories, comments"
    SECONDS = "duration"
    TIME = "published_at"


#: The kind of each field of an upload.
FIELDS: Final[Mapping[str, Field]] = {
    name: kind for kind in Field for name in kind.value.split(", ")
}

Zone = ZoneInfo | None
_Convert = Callable[[Any, Zone], Any]


@dataclass(frozen=True, slots=True)
class Conversion:
    """One way from a value to a field.

    Attributes:
        words: What it does, for the documentation.
        apply: Does it; raises Unconvertible.
    """

    words: str
    apply: _Convert


def convert(name: str, kind: Sql, value: Any, zone: Zone = None) -> Any:
    """Convert a value of a table.

    Args:
        name: The upload's field.
        kind: The value's type.
        value: The value, not null: text as ``str``, numbers as ``int``, ``float`` or ``Decimal``,
            bytes as ``bytes``, times as ISO 8601 text, spans in seconds, arrays as lists.
        zone: Of times without one; None to refuse them.

    Raises:
        Unconvertible: If there is no way.
    """
    way = CONVERSIONS[FIELDS[name]].get(kind)
    if way is None:
        msg = f"{name}: a value of the type {kind} is not taken for it"
        raise Unconvertible(msg)
    try:
        return way.apply(value, zone)
    except Unconvertible as error:
        msg = f"{name}: {error}"
        raise Unconvertible(msg) from None


def epoch(value: float | Decimal) -> datetime | None:
    """The time of a number of seconds, milli-, micro- or nanoseconds since 1970; None if neither.

    Which of them it counts is told by its size: all times of uploads lie between 2000 and 2100.
    """
    for unit in EPOCH_UNITS:
        if EPOCH_FROM * unit <= value < EPOCH_TO * unit:
            return datetime.fromtimestamp(float(Decimal(str(value)) / unit), UTC)
    return None


def moment(text: str, zone: Zone) -> datetime | None:
    """The time of ISO 8601 text, or of the digits of an epoch; None if it is neither.

    Times without a zone are in ``zone``, or stay without one.
    """
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) in (10, 13, 16, 19):
        return epoch(int(text))
    try:
        at = datetime.fromisoformat(text.upper())
        if at.tzinfo is None:
            return at if zone is None else at.replace(tzinfo=zone).astimezone(UTC)
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _clean(text: str) -> str:
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        msg = "its text is not UTF-8"
        raise Unconvertible(msg)
    return text.removeprefix("\ufeff")


def _text(value: Any, _zone: Zone) -> str:
    if not isinstance(value, str):
        msg = "its value is no text"
        raise Unconvertible(msg)
    return _clean(value)


def _text_of_bytes(value: bytes, _zone: Zone) -> str:
    try:
        return _clean(decoded(value))
    except MalformedMessage:
        msg = "its bytes are not UTF-8"
        raise Unconvertible(msg) from None


def _digits(value: Any, _zone: Zone) -> str:
    if isinstance(value, int):
        return str(value)
    finite = value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)
    if not finite:
        msg = "its number is not finite"
        raise Unconvertible(msg)
    return str(value)


def _name(value: Any, zone: Zone) -> str:
    text = _text(value, zone)
    if REPLACEMENT in text:
        msg = "holds half a character, so that it names nothing"
        raise Unconvertible(msg)
    return text


def _name_of_number(value: Any, zone: Zone) -> str:
    if isinstance(value, int):
        return str(value)
    _digits(value, zone)
    large = abs(value) >= _EXACT if isinstance(value, float) else value.adjusted() > _MOST_DIGITS
    if large or value != int(value):
        msg = "its number is not a whole one, or too large to be exact"
        raise Unconvertible(msg)
    return str(int(value))


def _hex(value: bytes, _zone: Zone) -> str:
    return value.hex()


def _list(value: Any, zone: Zone) -> list[str]:
    return [_item(one, zone) for one in value if one is not None]


def _item(value: Any, zone: Zone) -> str:
    if isinstance(value, str):
        return _text(value, zone)
    if isinstance(value, bytes):
        return _text_of_bytes(value, zone)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        msg = "its list holds what is neither text nor a number"
        raise Unconvertible(msg)
    return _digits(value, zone)


def _list_of_text(value: Any, zone: Zone) -> list[str]:
    text = _text(value, zone).strip()
    if text.startswith("["):
        try:
            read = json.loads(text)
        except (ValueError, RecursionError):
            read = None
        if isinstance(read, list):
            return _list(read, zone)
    return [word.strip() for word in text.split(",") if word.strip()]


def _seconds(value: Any, zone: Zone) -> float | int:
    _digits(value, zone)
    if value < 0:
        msg = "it is less than 0"
        raise Unconvertible(msg)
    made = value if isinstance(value, int) else float(value)
    if made > _LONGEST:
        msg = "it is longer than a century"
        raise Unconvertible(msg)
    return made


def _seconds_of_text(value: Any, zone: Zone) -> float | int:
    text = _text(value, zone).strip()
    try:
        return _seconds(float(text), zone)
    except ValueError as error:
        if isinstance(error, Unconvertible):
            raise
    if found := _CLOCK.fullmatch(text):
        hours, minutes, seconds = (float(part or 0) for part in found.groups())
        return hours * 3600 + minutes * 60 + seconds
    found = _ISO_DURATION.fullmatch(text)
    if found and any(found.groups()):
        days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
        return days * 86_400 + hours * 3600 + minutes * 60 + seconds
    msg = "its text is no length: write seconds, 1:02:03 or PT1H2M3S"
    raise Unconvertible(msg)


def _time(at: datetime | None) -> str:
    if at is None:
        msg = "is no time: write one with its zone, such as 2026-01-31T12:00:00Z"
        raise Unconvertible(msg)
    if at.tzinfo is None:
        msg = "has no time zone: name it with --timezone"
        raise Unconvertible(msg)
    return at.isoformat()


def _time_of_number(value: Any, zone: Zone) -> str:
    _digits(value, zone)
    at = epoch(value)
    if at is None:
        msg = "its number is no Unix time between the years 2000 and 2100"
        raise Unconvertible(msg)
    return _time(at)


def _time_of_text(value: Any, zone: Zone) -> str:
    text = _text(value, zone)
    if text.strip().lower() in ("infinity", "-infinity"):
        msg = "is infinity, which is no time"
        raise Unconvertible(msg)
    return _time(moment(text, zone))


def _json(name: Field) -> _Convert:
    """The way of a JSON value: that of the SQL type that it corresponds to."""

    def apply(value: Any, zone: Zone) -> Any:
        ways = CONVERSIONS[name]
        if isinstance(value, str):
            return ways[Sql.TEXT].apply(value, zone)
        if isinstance(value, list) and Sql.ARRAY in ways:
            return ways[Sql.ARRAY].apply(value, zone)
        number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        if number and Sql.WHOLE in ways:
            return ways[Sql.WHOLE if isinstance(value, int) else Sql.FRACTION].apply(value, zone)
        msg = "its JSON is neither text nor a number"
        raise Unconvertible(msg)

    return apply


_NAMED = Conversion("as it is", _name)
_AS_IT_IS = Conversion("as it is", _text)
_NUMBERED = Conversion("its digits, if it is whole", _name_of_number)
_LISTED = Conversion("a JSON array, else words with commas between them", _list_of_text)
_ISO = "ISO 8601, or an epoch in digits; without a zone: of `--timezone`"
_UNIX = Conversion("Unix time in s, ms, µs or ns, told by its size", _time_of_number)
_ZONED = Conversion("of `--timezone`", _time_of_text)

#: Every conversion, by the field's kind and the value's; what is not here is a dead letter.
CONVERSIONS: Final[Mapping[Field, Mapping[Sql, Conversion]]] = {
    Field.NAME: {
        Sql.TEXT: _NAMED,
        Sql.WHOLE: Conversion("its digits", _name_of_number),
        Sql.FRACTION: _NUMBERED,
        Sql.BYTES: Conversion("hexadecimal digits", _hex),
        Sql.JSON: Conversion("its text or number", _json(Field.NAME)),
        Sql.OTHER: Conversion("as the database writes it", _name),
    },
    Field.WORDS: {
        Sql.TEXT: _AS_IT_IS,
        Sql.WHOLE: Conversion("its digits", _digits),
        Sql.FRACTION: Conversion("its digits", _digits),
        Sql.BYTES: Conversion("UTF-8", _text_of_bytes),
        Sql.INSTANT: Conversion("ISO 8601", _text),
        Sql.STAMP: Conversion("ISO 8601", _text),
        Sql.DATE: Conversion("ISO 8601", _text),
        Sql.JSON: Conversion("its text or number", _json(Field.WORDS)),
        Sql.OTHER: Conversion("as the database writes it", _text),
    },
    Field.LIST: {
        Sql.TEXT: _LISTED,
        Sql.BYTES: Conversion(
            "UTF-8, then as text",
            lambda value, zone: _list_of_text(_text_of_bytes(value, zone), zone),
        ),
        Sql.ARRAY: Conversion("its elements without NULL; numbers as digits", _list),
        Sql.JSON: Conversion("as an array or text", _json(Field.LIST)),
        Sql.OTHER: Conversion("as text", _list_of_text),
    },
    Field.SECONDS: {
        Sql.TEXT: Conversion("seconds, `1:02:03` or `PT1H2M3S`", _seconds_of_text),
        Sql.WHOLE: Conversion("seconds", _seconds),
        Sql.FRACTION: Conversion("seconds", _seconds),
        Sql.SPAN: Conversion("seconds (a month has 30 days)", _seconds),
        Sql.JSON: Conversion("its text or number", _json(Field.SECONDS)),
        Sql.OTHER: Conversion("as text", _seconds_of_text),
    },
    Field.TIME: {
        Sql.TEXT: Conversion(_ISO, _time_of_text),
        Sql.WHOLE: _UNIX,
        Sql.FRACTION: _UNIX,
        Sql.INSTANT: Conversion("as it is; infinity is refused", _time_of_text),
        Sql.STAMP: _ZONED,
        Sql.DATE: Conversion("the beginning of the day, of `--timezone`", _time_of_text),
        Sql.JSON: Conversion("its text or number", _json(Field.TIME)),
        Sql.OTHER: Conversion("as text", _time_of_text),
    },
}
