"""The kinds of fields: times, identifiers, territories, probabilities, and their limits."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

#: Control and invisible characters, which an identifier must not hold.
CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_TERRITORY = re.compile(r"[A-Z]{2}")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)

#: Times before the first video platform or beyond this century are mistakes of a clock or a unit.
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)


def now() -> datetime:
    """The time in UTC."""
    return datetime.now(UTC)


def digest(*parts: str) -> str:
    """A stable 128-bit identifier of some strings, as 32 hexadecimal digits.

    Each part is prefixed by its length, so that ``("ab", "c")`` and ``("a", "bc")`` differ.
    """
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        sha.update(len(data).to_bytes(8, "big"))
        sha.update(data)
    return sha.hexdigest()[:32]


def _time_from_text(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        msg = "must be an RFC 3339 time as text"
        raise ValueError(msg)
    if not _RFC3339.fullmatch(value):
        msg = "must be an RFC 3339 time with its zone, such as 2026-01-31T12:00:00Z"
        raise ValueError(msg)
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError:
        msg = "is not a time that exists"
        raise ValueError(msg) from None


def _time_in_range(value: datetime) -> datetime:
    if value.tzinfo is None:
        msg = "has no time zone"
        raise ValueError(msg)
    if not _EARLIEST <= value < _LATEST:
        msg = "is not between the years 2000 and 2100"
        raise ValueError(msg)
    return value.astimezone(UTC)


def time_to_text(value: datetime) -> str:
    """A time as the wire has it: RFC 3339 in UTC, with ``Z``."""
    return value.isoformat().replace("+00:00", "Z")


def _identifier(value: str) -> str:
    if CONTROL.search(value):
        msg = "holds control or invisible characters"
        raise ValueError(msg)
    if value != value.strip():
        msg = "begins or ends with white space"
        raise ValueError(msg)
    return value


def _territory(value: str) -> str:
    if not _TERRITORY.fullmatch(value):
        msg = "must be an ISO 3166-1 alpha-2 code in capitals, such as DE"
        raise ValueError(msg)
    return value


#: A time with a zone, from 2000 to 2099, in UTC; RFC 3339 text in JSON.
Time = Annotated[
    datetime,
    BeforeValidator(_time_from_text),
    AfterValidator(_time_in_range),
    PlainSerializer(time_to_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
#: An ISO 3166-1 alpha-2 code, such as ``DE``.
Territory = Annotated[
    str,
    AfterValidator(_territory),
    WithJsonSchema({"type": "string", "pattern": "^[A-Z]{2}$"}),
]

#: 1 to 256 characters, trimmed, without control or invisible characters.
Identifier = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_identifier)]
#: A number from 0 to 1.
Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
#: A duration in seconds, 0 or more.
Seconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
