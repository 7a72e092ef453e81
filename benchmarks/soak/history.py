"""The history of a soak: what was done and what was seen, one JSON line an event.

The checker reads nothing else, so that a history can be judged again later. All times are seconds
since 1970 by the clock of one machine.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

__all__ = [
    "Acked",
    "DeadLetterSeen",
    "Delivered",
    "Event",
    "History",
    "JobEnded",
    "JobStarted",
    "Left",
    "Outage",
    "Published",
    "Sample",
    "Started",
    "Stored",
    "Survivors",
    "VerdictSeen",
    "key_of",
    "read_history",
]


def key_of(data: bytes) -> str:
    """What messages with the same bytes share."""
    return hashlib.sha256(data).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened at ``at``."""

    kinds: ClassVar[dict[str, type[Event]]] = {}

    at: float

    def line(self) -> bytes:
        """As a JSON line; bytes in base64."""
        values: dict[str, Any] = {"event": type(self).__name__}
        for one in fields(self):
            value = getattr(self, one.name)
            values[one.name] = (
                {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
            )
        return json.dumps(values, separators=(",", ":")).encode() + b"\n"

    @staticmethod
    def of_line(line: bytes) -> Event:
        """The event of a line."""
        values = json.loads(line)
        kind = Event.kinds[values.pop("event")]
        for name, value in values.items():
            if isinstance(value, dict) and set(value) == {"base64"}:
                values[name] = base64.b64decode(value["base64"])
            elif isinstance(value, list):
                values[name] = tuple(value)
        return kind(**values)


def _kept(kind: type[Event]) -> type[Event]:
    Event.kinds[kind.__name__] = kind
    return kind


@_kept
@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """The soak begins.

    Attributes:
        command: Repeats it.
        policy: The text of the policy.
        deadline: Of the policy, in seconds.
        slack: Seconds beyond it that are allowed.
        engine: ``prism`` or ``flink``.
    """

    command: str
    policy: str
    deadline: float
    slack: float
    engine: str = "prism"


@_kept
@dataclass(frozen=True, slots=True, kw_only=True)
class Published(Event):
    """The broker took a message of the platform, a partner, a reviewer or a stranger.

    Attributes:
        stream: The last part of its topic.
        kind: What it is in the workload, such as ``text`` or ``stranger``.
        upload_id: The upload that it is or is about; empty where it is malformed.
        data: The message.
    """

    stream: str
    kind: str
    upload_id: str
    data: bytes

    @property
    def key(self) -> str:
        """See ``key_of``."""
        return key_of(self.data)


@_kept
@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered(Event):
    """The broker handed a message to the job."""

    stream: str
    key: str
    attempt: int = 0


@_kept
@dataclass(frozen=True, slots=True, kw_only=True)
class Acked(Event):
    """The job acknowledged a message, before the broker knew it."""

    stream: str
    key: str


@_kept
@dataclass(frozen=True, slots=True, kw_only=True)
class Stored(Event):
    """The broker confirmed verdicts or dead letters to the job.

    Attributes:
        stream: ``verdicts`` or ``dead-letters``.
        keys: Identifiers of the verdicts' uploads; keys of the dead letters' originals.
    """

    stream: str
    keys: tuple[str, ...]


@_kept
@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictSeen(Event):
    """The platform received a verdict."""

    data: bytes


@_kept
@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterSeen(Event):
    """A dead letter was received.

    Attributes:
        original: The bytes of the message that it keeps.
        stage: Where it failed; ``broker`` for one that the broker set aside.
        error: Why.
    """

    original: bytes
    stage: str
    error: str


@_kept
@dataclass(frozen=True, slots=True, kw_only=True)
class Outage(Event):
    """The job could not work from ``at`` to ``until``, by our doing.

    Attributes:
        kind: The fault, such as ``kill``.
        loses_state: Whether the worker's memory was lost.
    """

    kind: str
    until: float
    loses_state: bool = False


@_kept
@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted(Event):
    """A process of the job was started."""

    pid: int


@_kept
@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnded(Event):
    """A process of the job ended.

    Attributes:
        code: Its exit code.
        by: What we did to it: a fault's name, ``drain``, or empty for nothing.
        tail: The end of its log.
    """

    code: int
    by: str
    tail: str = ""


@_kept
@dataclass(frozen=True, slots=True, kw_only=True)
class Survivors(Event):
    """Processes that lived on after the job's main process was killed."""

    names: tuple[str, ...]


@_kept
@dataclass(frozen=True, slots=True, kw_only=True)
class Left(Event):
    """What a subscription of the job still held after the job had drained."""

    stream: str
    keys: tuple[str, ...]


@_kept
@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Event):
    """A look at the job.

    Attributes:
        pid: Of its main process.
        uploads: Published until now.
        verdicts: Received until now.
        worker: Resident memory of the main process, in MiB.
        children: Of its child processes but Prism, together.
        prism: Of Prism.
        breakers: State of each detector's circuit breaker, from 0 (closed) to 2 (open).
        held: Messages pulled and not acknowledged.
        taskmanager: Resident memory of Flink's TaskManager, in MiB.
        jobmanager: Of its JobManager.
        checkpoint: Bytes of the last checkpoint.
        state: Bytes of the cases in it.
        lag: Messages that must end as a verdict or a dead letter, and have not yet.
    """

    pid: int
    uploads: int
    verdicts: int
    worker: float
    children: float
    prism: float
    breakers: Mapping[str, float] = field(default_factory=dict)
    held: float = 0.0
    taskmanager: float = 0.0
    jobmanager: float = 0.0
    checkpoint: float = 0.0
    state: float = 0.0
    lag: int = 0


class History:
    """Appends events to a file. Threads may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab")
        self._lock = threading.Lock()
        self._listeners: list[Callable[[Event], None]] = []

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call ``listener`` with each event that is added."""
        self._listeners.append(listener)

    def add(self, event: Event) -> None:
        """Append an event."""
        line = event.line()
        with self._lock:
            if not self._file.closed:
                self._file.write(line)
            for listener in self._listeners:
                listener(event)

    def close(self) -> None:
        """Write all to the disk."""
        with self._lock:
            self._file.close()


def read_history(path: Path) -> Iterator[Event]:
    """The events of a file, in the order of their addition."""
    with path.open("rb") as lines:
        for line in lines:
            yield Event.of_line(line)
