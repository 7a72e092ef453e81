"""How the jobs of this machine were started: what an upgrade goes back to, and a restart repeats.

One file a job name and cluster, for its owner alone: a command may name a database with its
password.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

__all__ = ["JOBS", "StartedJob", "jobs_folder", "keep", "recorded", "recorded_jobs"]

_log = logging.getLogger(__name__)

#: Names the folder of these files.
JOBS = "QUORUM_JOBS"

_PRIVATE = 0o600
_PRIVATE_FOLDER = 0o700


@dataclass(frozen=True, slots=True)
class StartedJob:
    """How a job was started.

    Attributes:
        place: Where: the URL of the cluster, or project and region.
        name: The job's name.
        job: Its id.
        command: What starts it anew: interpreter, arguments; without its state.
        version: Of Quorum.
        before: What started the version before it; empty if it is the first.
    """

    place: str
    name: str
    job: str
    command: tuple[str, ...]
    version: str
    before: tuple[str, ...] = ()


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
            _words(told["command"]),
            str(told["version"]),
            _words(told["before"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _words(told: Sequence[object]) -> tuple[str, ...]:
    return tuple(str(one) for one in told)
