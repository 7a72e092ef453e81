"""A message that cannot be processed, kept whole with the reason."""

from __future__ import annotations

import base64
import hashlib
import math
from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from quorum.core.messages.fields import Identifier, Time, digest
from quorum.core.messages.message import Message

#: How many bytes of an original one dead letter carries. Base64 adds a third, and Pub/Sub
#: refuses messages over 10 MB: a larger original is kept in several parts.
DEAD_LETTER_PART_BYTES = 6 * 1024 * 1024

#: How much of an error's text a dead letter carries: an exception may quote a whole message, and
#: the letter must stay under what Pub/Sub takes.
DEAD_LETTER_ERROR_CHARACTERS = 4000


def _from_base64(value: object) -> object:
    if isinstance(value, str):
        return base64.b64decode(value, validate=True)
    return value


class DeadLetter(Message):
    """A message that cannot be processed, kept whole with the reason."""

    kind: ClassVar[str] = "dead-letter"

    data: Annotated[
        bytes,
        BeforeValidator(_from_base64),
        PlainSerializer(
            lambda value: base64.b64encode(value).decode(), return_type=str, when_used="json"
        ),
        WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
    ]
    """The original bytes (base64 on the wire), or one part of them."""
    original: dict[str, str] = Field(default_factory=dict)
    """The original attributes."""
    stage: str
    """Where it failed, such as ``stream.uploads`` or ``decide.predictions``."""
    error: str
    """Why, in a sentence."""
    at: Time
    """When it failed."""
    part: Annotated[int, Field(ge=1)] = 1
    """Which part of the original this is, from 1."""
    parts: Annotated[int, Field(ge=1)] = 1
    """How many parts the original has; more than 1 where it is too large for one message."""
    original_id: Identifier
    """Digest of the whole original, shared by its parts."""

    @classmethod
    def of(
        cls, data: bytes, attributes: dict[str, str], stage: str, error: str, at: datetime
    ) -> tuple[DeadLetter, ...]:
        """The dead letters that keep one message whole: one, or several for a large one."""
        size = DEAD_LETTER_PART_BYTES
        count = max(1, math.ceil(len(data) / size))
        original_id = hashlib.sha256(data).hexdigest()[:32]
        return tuple(
            cls(
                data=data[index * size : (index + 1) * size],
                original=attributes,
                stage=stage,
                error=error[:DEAD_LETTER_ERROR_CHARACTERS],
                at=at,
                part=index + 1,
                parts=count,
                original_id=original_id,
            )
            for index in range(count)
        )

    def event_id(self) -> str:
        """See Message."""
        return digest("dead-letter", self.original_id, self.stage, str(self.part))

    def event_time(self) -> datetime:
        """See Message."""
        return self.at
