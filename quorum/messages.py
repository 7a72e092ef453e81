"""The messages that travel on the streams: frozen values, JSON on the wire.

Every message keeps the fields that it does not know, so that a newer producer and an older
consumer can share a stream. Times are RFC 3339 in UTC. ``docs/schemas/`` holds the JSON
Schema of each message, generated from this module by ``quorum schemas``.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from quorum.errors import MalformedMessage

__all__ = [
    "ACTIONS",
    "MAX_MESSAGE_BYTES",
    "MESSAGES",
    "Action",
    "DeadLetter",
    "Evidence",
    "Message",
    "Missing",
    "Prediction",
    "Review",
    "Status",
    "Upload",
    "UsedPrediction",
    "Verdict",
    "digest",
    "now",
    "prediction_id",
]

#: An upload's event is text and links. A larger message is a mistake or an attack, and is kept
#: whole as a dead letter; Pub/Sub itself takes 10 MB.
MAX_MESSAGE_BYTES = 2 * 1024 * 1024

#: How many bytes of an original one dead letter carries. Base64 adds a third, and Pub/Sub
#: refuses messages over 10 MB: a larger original is kept in several parts.
DEAD_LETTER_PART_BYTES = 6 * 1024 * 1024

#: How much of an error's text a dead letter carries: an exception may quote a whole message, and
#: the letter must stay under what Pub/Sub takes.
DEAD_LETTER_ERROR_CHARACTERS = 4000

_CONTROL = re.compile(
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


def prediction_id(upload_id: str, detector: str, version: str) -> str:
    """The identifier of what one version of a detector says of one upload."""
    return digest("prediction", upload_id, detector, version)


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


def _time_to_text(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def _identifier(value: str) -> str:
    if _CONTROL.search(value):
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


Time = Annotated[
    datetime,
    BeforeValidator(_time_from_text),
    AfterValidator(_time_in_range),
    PlainSerializer(_time_to_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Territory = Annotated[
    str,
    AfterValidator(_territory),
    WithJsonSchema({"type": "string", "pattern": "^[A-Z]{2}$"}),
]


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


Identifier = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_identifier)]
Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class Action(StrEnum):
    """What happens to an upload, from mild to severe."""

    ALLOW = "allow"
    RESTRICT = "restrict"
    REVIEW = "review"
    REMOVE = "remove"

    @property
    def severity(self) -> int:
        """0 for ``allow`` to 3 for ``remove``."""
        return ACTIONS.index(self)


#: The actions from mild to severe.
ACTIONS: tuple[Action, ...] = (Action.ALLOW, Action.RESTRICT, Action.REVIEW, Action.REMOVE)


class Status(StrEnum):
    """Whether a detector could say anything of an upload."""

    SCORED = "scored"
    ABSTAINED = "abstained"
    FAILED = "failed"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

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


class Message(_Value):
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
            "ce-time": _time_to_text(self.event_time()),
            "ce-dataschema": f"quorum/schemas/{self.kind}.schema.json",
            "content-type": "application/json",
        }


class Upload(Message):
    """The event of the producer: something was uploaded and waits for a verdict."""

    kind: ClassVar[str] = "upload"

    id: Identifier
    uploader: Identifier
    title: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    language: Annotated[str, Field(max_length=35)] | None = None
    media: Annotated[str, Field(max_length=4096)] | None = None
    """Where the media lies: ``https:``, ``gs:`` or ``file:``, as the settings allow."""
    duration: Seconds | None = None
    """Length of the media in seconds, as the producer knows it."""
    territories: tuple[Territory, ...] = ()
    """ISO 3166-1 alpha-2 codes of where it is to be shown; empty for everywhere."""
    published_at: Time
    comments: tuple[str, ...] = ()

    def event_id(self) -> str:
        """See Message."""
        return self.id

    def event_time(self) -> datetime:
        """See Message."""
        return self.published_at


class Evidence(_Value):
    """What in an upload led a detector to its score.

    ``kind`` says what ``start`` and ``end`` count: characters of ``field`` for ``text``, seconds
    of the media for ``video`` and ``audio``, seconds of the upload for ``match`` (of a reference
    work, where ``work``, ``work_start`` and ``work_end`` tell the other side).
    """

    kind: Literal["text", "video", "audio", "match"]
    what: str
    field: str | None = None
    """``title``, ``description``, ``tags[2]``, ``comments[0]``, or ``frames`` for text in them."""
    start: Seconds | None = None
    end: Seconds | None = None
    weight: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """How much it counts, from 0 to 1 where the detector can say."""
    work: str | None = None
    work_start: Seconds | None = None
    work_end: Seconds | None = None


class Prediction(Message):
    """What one version of a detector says of one upload."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"status": {"const": "scored"}}},
            "then": {"required": ["score"], "properties": {"score": {"type": "number"}}},
            "else": {
                "required": ["reason"],
                "properties": {
                    "score": {"type": "null"},
                    "reason": {"type": "string", "minLength": 1},
                },
            },
        }
    )
    kind: ClassVar[str] = "prediction"

    id: Identifier
    upload_id: Identifier
    detector: Identifier
    version: Identifier
    status: Status
    score: Probability | None = None
    """Calibrated probability that the upload has the detector's harm; only when scored."""
    labels: dict[str, Probability] = Field(default_factory=dict)
    """Paths in the tree of labels, such as ``violence/fight``, each with its probability."""
    evidence: tuple[Evidence, ...] = ()
    reason: str | None = None
    """Why the detector abstained or failed."""
    elapsed: Seconds = 0.0
    """Seconds of work for this upload (its share of a batch)."""
    at: Time
    shadow: bool = False

    @model_validator(mode="after")
    def _score_goes_with_status(self) -> Self:
        if (self.score is not None) != (self.status is Status.SCORED):
            msg = "score must be given when status is scored, and only then"
            raise ValueError(msg)
        if self.status is not Status.SCORED and not self.reason:
            msg = f"reason must say why the detector {self.status.value}"
            raise ValueError(msg)
        return self

    def event_id(self) -> str:
        """See Message."""
        return self.id

    def event_time(self) -> datetime:
        """See Message."""
        return self.at


class UsedPrediction(_Value):
    """A prediction as a verdict lists it: enough to decide again."""

    id: Identifier
    detector: Identifier
    version: Identifier
    status: Status
    score: Probability | None = None
    labels: dict[str, Probability] = Field(default_factory=dict)
    reason: str | None = None
    shadow: bool = False


class Missing(_Value):
    """A detector that had said nothing when a verdict was made, and why."""

    detector: Identifier
    why: str


class Verdict(Message):
    """The decision on an upload, sent to the producer; a later revision supersedes it."""

    kind: ClassVar[str] = "verdict"

    id: Identifier
    upload_id: Identifier
    action: Action
    revision: Annotated[int, Field(ge=1)]
    supersedes: Identifier | None = None
    """Identifier of the verdict that this one replaces."""
    policy_version: Identifier
    rule: str
    """The rule that decided."""
    category: str | None = None
    reasons: tuple[str, ...]
    """Sentences that a person can read."""
    predictions: tuple[UsedPrediction, ...] = ()
    missing: tuple[Missing, ...] = ()
    decided_by: Literal["policy", "deadline", "reviewer", "cap"]
    at: Time
    latency: Seconds
    """Seconds from the arrival of the upload to this verdict."""
    statement: str | None = None

    def event_id(self) -> str:
        """See Message."""
        return self.id

    def event_time(self) -> datetime:
        """See Message."""
        return self.at


class Review(Message):
    """A human's decision on a case."""

    kind: ClassVar[str] = "review"

    upload_id: Identifier
    verdict_id: Identifier
    action: Action
    reviewer: Identifier
    labels: tuple[str, ...] = ()
    note: str = ""
    at: Time

    def event_id(self) -> str:
        """See Message."""
        return digest(
            "review", self.upload_id, self.verdict_id, self.reviewer, self.action, str(self.at)
        )

    def event_time(self) -> datetime:
        """See Message."""
        return self.at


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
    error: str
    at: Time
    part: Annotated[int, Field(ge=1)] = 1
    """Where an original is too large for one message: this part, from 1, of how many."""
    parts: Annotated[int, Field(ge=1)] = 1
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


#: The messages that have a topic and a schema.
MESSAGES: tuple[type[Message], ...] = (Upload, Prediction, Verdict, Review, DeadLetter)

_MODELS: tuple[type[BaseModel], ...] = (*MESSAGES, Evidence, UsedPrediction, Missing)
_OUR_FIELDS = frozenset(name for model in _MODELS for name in model.model_fields)


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
