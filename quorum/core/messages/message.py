"""What all messages share: frozen, unknown fields kept, strict JSON, CloudEvents attributes."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from quorum.core.errors import MalformedMessage
from quorum.core.messages.fields import time_to_text

#: An upload's event is text and links. A larger message is a mistake or an attack, and is kept
#: whole as a dead letter; Pub/Sub itself takes 10 MB.
MAX_MESSAGE_BYTES = 2 * 1024 * 1024

#: The names of our own fields: what an error may quote of a path in a message.
_OUR_FIELDS: set[str] = set()


def _is_json(value: object) -> bool:
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


class Value(BaseModel):
    """A frozen part of a message that keeps the fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        _OUR_FIELDS.update(cls.model_fields)

    @model_validator(mode="after")
    def _unknown_fields_are_json(self) -> Self:
        if self.model_extra and not _is_json(self.model_extra):
            msg = "holds NaN or Infinity, which JSON does not have"
            raise ValueError(msg)
        return self

    @model_serializer(mode="wrap")
    def _keep_unknown_nulls(
        self, serialise: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        """Leave out absent fields of ours only: what a producer added comes back as it was."""
        made: dict[str, Any] = serialise(self)
        if info.exclude_none and self.model_extra:
            made.update((name, None) for name, value in self.model_extra.items() if value is None)
        return made


class Message(Value):
    """What all messages share: frozen, unknown fields kept, CloudEvents 1.0 attributes."""

    #: The last part of the CloudEvents type, and the name of the schema's file.
    kind: ClassVar[str] = "message"

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a message from its JSON.

        Raises:
            MalformedMessage: If the bytes are not valid UTF-8, not JSON, of the wrong shape, or
                more than ``MAX_MESSAGE_BYTES``. The text names the field and what was expected,
                and quotes nothing of the content. Values are taken as the schema says: a number
                written as text is of the wrong shape.
        """
        if len(data) > MAX_MESSAGE_BYTES and cls.kind != "dead-letter":
            msg = f"message of {len(data):,} bytes; the limit is {MAX_MESSAGE_BYTES:,}"
            raise MalformedMessage(msg)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            msg = f"not valid UTF-8 at byte {error.start}"
            raise MalformedMessage(msg) from None
        try:
            return cls.model_validate_json(text, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)
            told = "; ".join(
                f"{_where(item['loc']) or cls.kind}: {item['msg']}" for item in first[:5]
            )
            more = f" (and {len(first) - 5} more)" if len(first) > 5 else ""
            msg = f"not a valid {cls.kind}: {told}{more}"
            raise MalformedMessage(msg) from None
        except RecursionError:
            msg = f"not a valid {cls.kind}: nested too deeply"
            raise MalformedMessage(msg) from None

    def to_bytes(self) -> bytes:
        """The message as UTF-8 JSON on one line; absent optional fields are left out."""
        return self.model_dump_json(exclude_none=True).encode()

    def event_id(self) -> str:
        """The CloudEvents ``id``: the same message has the same one, however often it is sent."""
        raise NotImplementedError

    def event_time(self) -> datetime:
        """The CloudEvents ``time``: when what the message tells happened."""
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
            "ce-time": time_to_text(self.event_time()),
            "ce-dataschema": f"quorum/schemas/{self.kind}.schema.json",
            "content-type": "application/json",
        }


def _where(path: tuple[int | str, ...]) -> str:
    """Where in a message a mistake is; the names that a producer chose are not quoted."""
    return ".".join(
        str(part) if isinstance(part, int) or part in _OUR_FIELDS else "*" for part in path
    )


def schema(message: type[Message]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a message as it is on the wire."""
    made = message.model_json_schema(mode="validation")
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["$id"] = f"quorum/schemas/{message.kind}.schema.json"
    return made
