"""Start a job by the command that a user would give, in a process of its own that ends at once."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence

from quorum.core.errors import ConfigurationError, EngineUnavailable, QuorumError
from quorum.pipeline.control.records import Command

__all__ = ["plain", "start_from", "start_update", "with_options"]

#: Options that say how a job is started, and nothing of the job.
_OF_THE_START = ("--savepoint_path=", "--savepointPath=", "--update")
_FLAGS = ("--detach", "--finish-open")

_POLL_SECONDS = 1.0

#: Seconds for slots to become free, after the job that held them has ended, and for a JobManager
#: that is started anew.
_READY_SECONDS = 60.0

#: What a start says of a cluster that is not ready.
_NOT_READY = ("no free slot", "no TaskManager", "no Flink cluster answers", "the Flink cluster at")


def plain(command: Sequence[str]) -> tuple[str, ...]:
    """A command without how it was started: from which state, and whether it was waited for."""
    kept: list[str] = []
    skip = False
    for one in command:
        if skip:
            skip = False
        elif one in ("--savepoint_path", "--savepointPath"):
            skip = True
        elif one not in _FLAGS and not one.startswith(_OF_THE_START):
            kept.append(one)
    return tuple(kept[:-1] if kept and kept[-1] == "--" else kept)


def with_options(
    command: Sequence[str], own: Sequence[str] = (), beam: Sequence[str] = ()
) -> list[str]:
    """A command with more options.

    Args:
        command: What starts a job.
        own: More options of Quorum.
        beam: More options of Beam, which stand after ``--``.
    """
    words = list(command)
    at = words.index("--") if "--" in words else len(words)
    words[at:at] = own
    if beam:
        words += beam if "--" in words else ["--", *beam]
    return words


def start_from(command: Command, state: str, *, seconds: float = 300.0) -> str:
    """Start a job from a savepoint or checkpoint.

    Args:
        command: What starts it.
        state: Where its state is; empty to start without.
        seconds: How long that may take.

    Returns:
        Its id.

    Raises:
        ConfigurationError: If nothing was started, since something must be mended first.
        QuorumError: If it does not start, with its reason.
    """
    beam = [f"--savepoint_path={state}"] if state else []
    return _started(command, ["--detach"], beam, seconds)


def start_update(command: Command, name: str, *, seconds: float = 300.0) -> str:
    """Start a job on Dataflow in the place of the one of this name.

    Args:
        command: What starts it.
        name: The job's name.
        seconds: How long that may take.

    Returns:
        Its id.

    Raises:
        QuorumError: If it does not start, with its reason; the old job runs on.
    """
    named = any(one.startswith("--job_name") for one in command.words)
    beam = ["--update", *([] if named else [f"--job_name={name}"])]
    return _started(command, ["--detach"], beam, seconds)


def _started(command: Command, own: Sequence[str], beam: Sequence[str], seconds: float) -> str:
    whole = with_options(plain(command.words), own, beam)
    end = time.monotonic() + min(seconds, _READY_SECONDS)
    while True:
        try:
            done = subprocess.run(  # noqa: S603
                whole,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
                stdin=subprocess.DEVNULL,
                cwd=command.folder or None,
            )
        except subprocess.TimeoutExpired:
            msg = f"the job was not handed over after {seconds:.0f} s"
            raise QuorumError(msg) from None
        except OSError as error:
            where = f" in {command.folder}" if command.folder else ""
            msg = f"{whole[0]} cannot be run{where}: {error.strerror or error}"
            raise QuorumError(msg) from None
        told = [line for line in done.stderr.splitlines() if line.startswith("quorum: ")]
        reason = told[-1].removeprefix("quorum: ") if told else f"exit code {done.returncode}"
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.split()[-1]
        if done.returncode == ConfigurationError.exit_code:
            raise ConfigurationError(reason)
        unavailable = done.returncode == EngineUnavailable.exit_code
        waits = unavailable and any(one in reason for one in _NOT_READY)
        if not waits or time.monotonic() > end:
            raise QuorumError(reason)
        time.sleep(_POLL_SECONDS)
