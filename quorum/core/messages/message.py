"""Base of all messages: immutable values, strict JSON, CloudEvents attributes."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from types import NoneType
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
)
from pydantic_core import CoreSchema

from quorum.core.errors import MalformedMessage
from quorum.core.messages.carriage import REPLACEMENT, plain_json
from quorum.core.messages.fields import IDENTIFIES, now

#: A larger message, which holds text and links only, is a mistake or an attack; it becomes a dead
#: letter. Pub/Sub accepts 10 MB.
MAX_MESSAGE_BYTES = 2 * 1024 * 1024

#: Of a dead letter, which holds a part of a message in base64: what Pub/Sub accepts.
_MAX_DEAD_LETTER_BYTES = 10 * 1024 * 1024

#: How far ahead of ours a sender's clock may be. A message with a later time is refused: the newest
#: prediction and the newest review count, so that a time in the future would count for ever.
MAX_SKEW = timedelta(minutes=1)

#: In a message's ``__dict__``: it was carried in another form than plain JSON.
_UNPACKED = "_unpacked"

#: The field names that an error may quote; a producer's own names are content.
_OUR_FIELDS: set[str] = set()


def _is_finite(value: object) -> bool:
    """Whether all numbers in a tree of parsed JSON are finite (walked without recursion)."""
    todo: list[object] = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, float) and not math.isfinite(item):
            return False
        if isinstance(item, dict):
            todo.extend(item.values())
        elif isinstance(item, list | tuple):
            todo.extend(item)
    return True


def _finite(value: Any) -> Any:
    if not _is_finite(value):
        msg = "holds NaN or Infinity, which JSON does not have"
        raise ValueError(msg)
    return value


#: ``value is None`` as a function that is not written in Python.
_is_none: Callable[[object], bool] = NoneType.__instancecheck__


class Value(BaseModel):
    """An immutable part of a message that keeps unknown fields."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

    __pydantic_extra__: dict[str, Annotated[Any, AfterValidator(_finite)]] = Field(init=False)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Omit absent optional fields when serialising; unknown fields that are null are kept."""
        for name, field in cls.__pydantic_fields__.items():
            _OUR_FIELDS.add(name)
            if field.default is None:
                field.exclude_if = _is_none
        return handler(source)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        made = handler(core)
        handler.resolve_ref_schema(made)["additionalProperties"] = True
        return made


class Message(Value):
    """Base of all messages: immutable, keeps unknown fields, has CloudEvents 1.0 attributes."""

    #: The last part of the CloudEvents type, and the name of the schema's file.
    kind: ClassVar[str] = "message"

    #: The stream that carries it; empty where that is the kind in the plural.
    stream: ClassVar[str] = ""

    @classmethod
    def stream_name(cls) -> str:
        """The name of the stream that carries it: ``uploads``, ``policies``."""
        return cls.stream or f"{cls.kind}s"

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a message from its JSON.

        Raises:
            MalformedMessage: If the bytes are not valid UTF-8, not JSON, of the wrong shape, or
                more than ``MAX_MESSAGE_BYTES``. The text names the field and what was expected,
                and quotes nothing of the content. Types are strict: a number written as
                text is of the wrong shape.
        """
        if len(data) > MAX_MESSAGE_BYTES and cls.kind != "dead-letter":
            msg = f"message of {len(data):,} bytes; the limit is {MAX_MESSAGE_BYTES:,}"
            raise MalformedMessage(msg)
        try:
            message: Self = cls.__pydantic_validator__.validate_json(data, strict=True)
        except ValidationError as error:
            try:
                data.decode("utf-8")
            except UnicodeDecodeError as wrong:
                msg = f"not valid UTF-8 at byte {wrong.start}"
                raise MalformedMessage(msg) from None
            errors = error.errors(include_url=False, include_input=False)
            first = "; ".join(
                f"{_where(item['loc']) or cls.kind}: {item['msg']}" for item in errors[:5]
            )
            more = f" (and {len(errors) - 5} more)" if len(errors) > 5 else ""
            msg = f"not a valid {cls.kind}: {first}{more}"
            raise MalformedMessage(msg) from None
        except RecursionError:
            msg = f"not a valid {cls.kind}: nested too deeply"
            raise MalformedMessage(msg) from None
        return message

    @classmethod
    def accept(cls, data: bytes, at: datetime | None = None) -> Self:
        """Read a message where it enters: as ``read``, and not dated in the future.

        Args:
            data: Its JSON.
            at: The time; by default now.

        Raises:
            MalformedMessage: See ``read``; or if its time is more than ``MAX_SKEW`` ahead, or it
                names a territory that does not exist.
        """
        message = cls.read(data)
        ahead = message.event_time() - (at or now())
        if ahead > MAX_SKEW:
            msg = (
                f"dated {ahead.total_seconds():,.0f} s in the future; the limit is "
                f"{MAX_SKEW.total_seconds():.0f} s: check the sender's clock and time zone"
            )
            raise MalformedMessage(msg)
        if wrong := message.not_accepted():
            raise MalformedMessage(wrong)
        return message

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Read a message as ``from_bytes`` does, however its JSON is carried.

        gzip, a byte-order mark, UTF-16, half a character, a Pub/Sub push envelope and a CloudEvent
        in structured mode are read as the plain message would be (``carriage.py``).

        Raises:
            MalformedMessage: See ``from_bytes``.
        """
        try:
            return cls.from_bytes(data)
        except MalformedMessage as error:
            limit = MAX_MESSAGE_BYTES if cls.kind != "dead-letter" else _MAX_DEAD_LETTER_BYTES
            if len(data) > limit:
                raise
            plain, layers = plain_json(data, cls.kind, limit)
            if plain == data:
                raise
            told = error
        try:
            message = cls.from_bytes(plain)
        except MalformedMessage as error:
            msg = f"{layers}: {error}" if layers else str(error)
            raise MalformedMessage(msg) from told
        if damaged := message.damaged_names():
            msg = f"{damaged}: holds half a character, so that it names nothing"
            raise MalformedMessage(msg)
        message.__dict__[_UNPACKED] = True
        return message

    @property
    def was_plain(self) -> bool:
        """Whether the bytes that it was read from are what ``from_bytes`` reads."""
        return _UNPACKED not in self.__dict__

    def damaged_names(self) -> str:
        """The first field that identifies something and holds half a character; or nothing."""
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if IDENTIFIES in field.metadata and isinstance(value, str) and REPLACEMENT in value:
                return name
        return ""

    def not_accepted(self) -> str:
        """Why a message that can be read is not accepted from a sender; nothing if it is."""
        return ""

    def to_bytes(self) -> bytes:
        """The message as UTF-8 JSON on one line; absent optional fields are left out."""
        return self.__pydantic_serializer__.to_json(self)

    def event_id(self) -> str:
        """The CloudEvents ``id``: the same message has the same one, however often it is sent."""
        raise NotImplementedError

    def event_time(self) -> datetime:
        """The CloudEvents ``time``: when the event of the message happened."""
        raise NotImplementedError

    def attributes(self, source: str) -> dict[str, str]:
        """The CloudEvents 1.0 attributes, as Pub/Sub carries them.

        Args:
            source: Who sends: a URI reference such as ``/quorum/stream``.
        """
        return {
            "ce-specversion": "1.0",
            "ce-id": self.event_id(),
            "ce-source": source,
            "ce-type": f"quorum.{self.kind}.v1",
            "ce-time": self.event_time().isoformat().replace("+00:00", "Z"),
            "ce-dataschema": f"quorum/schemas/{self.kind}.schema.json",
            "content-type": "application/json",
        }


def _where(path: tuple[int | str, ...]) -> str:
    """A path in a message; names that are not ours become ``*``."""
    return ".".join(
        str(part) if isinstance(part, int) or part in _OUR_FIELDS else "*" for part in path
    )


def schema(message: type[Message]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a message as it is on the wire."""
    made = message.model_json_schema(mode="validation")
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["$id"] = f"quorum/schemas/{message.kind}.schema.json"
    return made
