"""How the jobs of this machine were started: what an upgrade goes back to, and a restart repeats.

One file a job name and cluster, for its owner alone: a command may name a database with its
password.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from quorum.core.errors import QuorumError

__all__ = [
    "JOBS",
    "Command",
    "StartedJob",
    "changing",
    "jobs_folder",
    "keep",
    "keep_state",
    "recorded",
    "recorded_jobs",
]

_log = logging.getLogger(__name__)

#: Names the folder of these files.
JOBS = "QUORUM_JOBS"

_PRIVATE = 0o600
_PRIVATE_FOLDER = 0o700


@dataclass(frozen=True, slots=True)
class Command:
    """What starts a job.

    Attributes:
        words: Interpreter and arguments; without the job's state.
        folder: Where it is run, since arguments may name files; empty for the present one.
    """

    words: tuple[str, ...] = ()
    folder: str = ""

    @classmethod
    def here(cls, words: Sequence[str]) -> Command:
        """A command of the present folder."""
        with suppress(FileNotFoundError):  # somebody removed it
            return cls(tuple(words), str(Path.cwd()))
        return cls(tuple(words))

    def __bool__(self) -> bool:
        return bool(self.words)


@dataclass(frozen=True, slots=True)
class StartedJob:
    """How a job was started.

    Attributes:
        place: Where: the URL of the cluster, or project and region.
        name: The job's name.
        job: Its id.
        command: What starts it anew.
        version: Of Quorum.
        before: What started the version before it; empty if it is the first.
        state: Where its state is since it was stopped; empty while it runs.
    """

    place: str
    name: str
    job: str
    command: Command
    version: str
    before: Command = field(default_factory=Command)
    state: str = ""


def jobs_folder() -> Path:
    """The folder of the records: ``QUORUM_JOBS``, else in the user's folder for state.

    Raises:
        FileNotFoundError: If the user has no home, as in some containers.
    """
    if named := os.environ.get(JOBS):
        return Path(named)
    try:
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError:
        msg = f"this user has no home; set {JOBS}"
        raise FileNotFoundError(msg) from None
    return Path(state) / "quorum" / "jobs"


def keep(started: StartedJob) -> None:
    """Keep how a job was started, with the command before it if that was another.

    A folder that cannot be written to is logged: the job runs all the same.
    """
    known = recorded(started.place, started.name)
    if known is not None and not started.before:
        same = known.command == started.command
        started = replace(started, before=known.before if same else known.command)
    _write(started)


def keep_state(place: str, name: str, state: str) -> None:
    """Keep where the state of a job is that was stopped, for the next start."""
    known = recorded(place, name)
    if known is not None:
        _write(replace(known, state=state))


@contextmanager
def changing(place: str, name: str) -> Iterator[None]:
    """Let nobody else who shares the folder change the job of this name meanwhile.

    Raises:
        QuorumError: If somebody is changing it.
    """
    try:
        path = _path(place, name).with_suffix(".lock")
        path.parent.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE)
    except OSError:  # nothing is kept there, either
        yield
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        msg = f"another `quorum jobs` is changing {name} now; wait until it has ended"
        raise QuorumError(msg) from None
    try:
        yield
    finally:
        os.close(file)


def _write(started: StartedJob) -> None:
    try:
        path = _path(started.place, started.name)
        path.parent.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump(asdict(started), out)
        draft.replace(path)
    except OSError as error:
        _log.warning(
            "cannot keep how %s was started (%s): an upgrade has no way back",
            started.name,
            error,
        )


def recorded(place: str, name: str) -> StartedJob | None:
    """How the job of this name was started last; None if it was not from this machine."""
    try:
        return _read(_path(place, name))
    except FileNotFoundError:
        return None


def recorded_jobs(place: str) -> list[StartedJob]:
    """All jobs that were started from this machine, of this place."""
    try:
        made = [_read(path) for path in sorted(jobs_folder().glob("*.json"))]
    except FileNotFoundError:
        return []
    return [one for one in made if one is not None and one.place == place]


def _path(place: str, name: str) -> Path:
    digest = hashlib.sha256(json.dumps([place, name]).encode()).hexdigest()[:24]
    return jobs_folder() / f"{digest}.json"


def _read(path: Path) -> StartedJob | None:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return StartedJob(
            str(told["place"]),
            str(told["name"]),
            str(told["job"]),
            _command(told["command"]),
            str(told["version"]),
            _command(told["before"]),
            str(told["state"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _command(told: Mapping[str, Any]) -> Command:
    return Command(tuple(str(one) for one in told["words"]), str(told["folder"]))
