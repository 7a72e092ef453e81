"""Types of the messages' fields: times, identifiers, territories, probabilities, seconds."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    Field,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from quorum.core.territories import TERRITORIES

#: Control and invisible characters: the inside of a character class, for Python and for Rust.
_CONTROL = (
    r"\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\U000e0000-\U000e007f"
)
#: Control and invisible characters, which an identifier must not hold.
CONTROL = re.compile(f"[{_CONTROL}]")

#: Times before the first video platform or beyond this century are mistakes of a clock or a unit.
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)


def now() -> datetime:
    """The time in UTC."""
    return datetime.now(UTC)


def digest(*parts: str) -> str:
    """A 128-bit digest of strings, as 32 hexadecimal digits; the same in every version.

    Each part is prefixed by its length, so that ``("ab", "c")`` and ``("a", "bc")`` differ.
    """
    prefixed: list[bytes] = []
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        prefixed += (len(data).to_bytes(8, "big"), data)
    return hashlib.sha256(b"".join(prefixed)).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class _Pattern:
    """Text that matches a regular expression, checked in pydantic-core without calling Python."""

    pattern: str
    message: str

    def schema(self) -> CoreSchema:
        return core_schema.custom_error_schema(
            core_schema.str_schema(pattern=f"^(?:{self.pattern})$", strict=True),
            custom_error_type="pattern",
            custom_error_message=self.message,
        )

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.chain_schema([handler(source), self.schema()])


_RFC3339 = _Pattern(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})",
    "must be an RFC 3339 time with its zone, such as 2026-01-31T12:00:00Z",
)


def _time_from_text(text: str) -> datetime:
    try:
        value = datetime.fromisoformat(text.upper())
    except ValueError:
        msg = "is not a time that exists"
        raise ValueError(msg) from None
    return _time_in_range(value)


def _time_in_range(value: datetime) -> datetime:
    if value.tzinfo is None:
        msg = "has no time zone"
        raise ValueError(msg)
    if not _EARLIEST <= value < _LATEST:
        msg = "is not between the years 2000 and 2100"
        raise ValueError(msg)
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def _time(value: object, from_text: ValidatorFunctionWrapHandler) -> datetime:
    made: datetime = _time_in_range(value) if isinstance(value, datetime) else from_text(value)
    return made


def _time_schema(_source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
    text = core_schema.no_info_after_validator_function(_time_from_text, _RFC3339.schema())
    return core_schema.json_or_python_schema(
        text,
        core_schema.no_info_wrap_validator_function(_time, text),
        serialization=core_schema.simple_ser_schema("datetime"),
    )


#: A time with a zone, from 2000 to 2099, in UTC; RFC 3339 text in JSON.
Time = Annotated[
    datetime,
    GetPydanticSchema(_time_schema),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
#: An ISO 3166-1 alpha-2 code, such as ``DE``. Stored messages may hold others of its form, which
#: earlier versions took; ``Message.accept`` refuses them.
Territory = Annotated[
    str,
    _Pattern("[A-Z]{2}", "must be an ISO 3166-1 alpha-2 code in capitals, such as DE"),
    WithJsonSchema({"type": "string", "enum": sorted(TERRITORIES)}),
]
#: Among the metadata of a field: its value identifies something.
IDENTIFIES = _Pattern(
    rf"[^\s{_CONTROL}](?:[^{_CONTROL}]*[^\s{_CONTROL}])?",
    "must not hold control or invisible characters, nor begin or end with white space",
)
#: 1 to 256 characters, trimmed, without control or invisible characters.
Identifier = Annotated[
    str,
    Field(min_length=1, max_length=256),
    IDENTIFIES,
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 256}),
]
#: A number from 0 to 1.
Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
#: A duration in seconds, 0 or more.
Seconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
