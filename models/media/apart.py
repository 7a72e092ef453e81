"""Run the decoding of one file in a process of its own, which is confined and may die."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import io
import logging
import os
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, NoReturn, Self, TypeVar

from quorum.core.errors import MediaRefused
from quorum.core.process_end import waited
from quorum.core.with_parent import end_with_parent
from quorum.core.yielding import let_others_go_first
from quorum.models.media.sandbox import confine, protection

__all__ = [
    "Bounds",
    "apart",
    "awaited",
    "be_apart",
    "grow_memory",
    "how_it_died",
    "pipe",
    "received",
]

_log = logging.getLogger(__name__)

_Told = TypeVar("_Told")

_PIPE_BYTES: Final = 1024 * 1024
#: Shares of the memory: what any file may use, and each second of it that was read. The samples of
#: eight tracks of sound take 1.5 MiB a second; all else that is kept does not grow without end.
_AT_ONCE: Final = 0.75
_EACH_SECOND: Final = 1 / 1024
#: Bytes by which the limit grows at once.
_STEP: Final = 4 * 1024 * 1024
#: The exit code of a process that ran out of memory.
_OUT_OF_MEMORY: Final = 86
#: Seconds in which a process ends that has written all, and those if it waits for a processor, as
#: on a machine with ten times the work that it can do.
_END_SECONDS: Final = 2.0
_MOST_END_SECONDS: Final = 120.0
#: Seconds between two looks at a process that does not end.
_LOOK_SECONDS: Final = 0.2
#: Processor seconds between the signal that tells of its limit and the one that kills.
_TOLD_SECONDS: Final = 2
#: Limits of this process that hold for those that work apart.
_INHERITED: Final = (
    resource.RLIMIT_CORE,
    resource.RLIMIT_CPU,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NOFILE,
)

#: Of a process that works apart: bytes at its start, and those that it may use beyond.
_memory: tuple[int, int] | None = None
#: Its limit now.
_limit = 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What holds a process that works apart.

    Attributes:
        folder: Where it may write.
        memory: Bytes that it may use beyond those of its start; three quarters of them at first,
            the others as ``grow_memory`` is told of the seconds that were read.
        seconds: Seconds after which it is killed; 0 for never.
        limits: Limits of the system (``resource.RLIMIT_CPU`` and others) with their values.
        nice: Its niceness, at least (``nice(2)``).
    """

    folder: Path
    memory: int
    seconds: int = 0
    limits: Mapping[int, int] = field(default_factory=dict)
    nice: int = -20

    @classmethod
    def inherited(cls, folder: Path, memory: int) -> Self:
        """As this process is bounded; of its processor time what is left."""
        limits = {}
        for kind in _INHERITED:
            value, _ = resource.getrlimit(kind)
            if value != resource.RLIM_INFINITY:
                limits[kind] = value
        if resource.RLIMIT_CPU in limits:  # the clock of a new process begins at 0
            used = resource.getrusage(resource.RUSAGE_SELF)
            left = limits[resource.RLIMIT_CPU] - used.ru_utime - used.ru_stime
            limits[resource.RLIMIT_CPU] = max(1, int(left))
        return cls(folder, memory, 0, limits, os.nice(0))


@contextmanager
def apart(work: Callable[[BinaryIO], None], bounds: Bounds) -> Iterator[BinaryIO]:
    """Fork a process that does some work, and read what it writes.

    The process has the memory of this one, but no open file of it except the standard streams. It
    has no network, and writes into its folder alone; see ``sandbox``. It ends with the thread that
    forked it.

    Args:
        work: Writes its result to the file that it is given.
        bounds: What holds it.

    Yields:
        What the process writes. A hostile file may have taken it over: whoever reads it must
        check it.

    Raises:
        MediaRefused: If the process died.
    """
    protection()  # loads the libraries
    source, sink = pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        be_apart(work, bounds, sink, parent)
    os.close(sink)
    with received(source, partial(_end, pid)) as file:
        yield file


def pipe() -> tuple[int, int]:
    """A pipe that holds much: the end to read, and the end to write."""
    source, sink = os.pipe()
    with contextlib.suppress(OSError):  # beyond the limit of an unprivileged user
        fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return source, sink


@contextmanager
def received(source: int, end: Callable[[float], str]) -> Iterator[BinaryIO]:
    """What a process writes to a pipe; then its end is waited for.

    Args:
        source: The pipe; it is closed.
        end: Waits for the process so many seconds, kills it if it has not ended, and tells how it
            died, if it did.

    Raises:
        MediaRefused: If it died.
    """
    died = ""
    try:
        with io.FileIO(source, "rb") as raw:
            yield io.BufferedReader(raw, _PIPE_BYTES)
        died = end(_END_SECONDS)
    except Exception as error:  # that it died tells more than that it wrote half
        died = end(_END_SECONDS)
        if not died:
            raise
        raise MediaRefused(died) from error
    except BaseException:
        end(0.0)
        raise
    if died:
        raise MediaRefused(died)


def grow_memory(reached: float) -> None:
    """Allow a process that works apart the memory of a film whose first seconds were read."""
    global _limit
    if _memory is None:
        return
    size, most = _memory
    limit = size + _allowed(most, reached)
    if limit >= _limit + _STEP:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        _limit = limit


def _allowed(most: int, reached: float) -> int:
    """Bytes that a process may use beyond those of its start, once it has read some seconds."""
    return min(most, int(most * (_AT_ONCE + _EACH_SECOND * reached)))


def be_apart(work: Callable[[BinaryIO], None], bounds: Bounds, sink: int, parent: int) -> NoReturn:
    """Be a process that works apart, just forked; never returns.

    Args:
        work: Writes its result to the file that it is given.
        bounds: What holds this process from now on.
        sink: The pipe for the result.
        parent: The process that forked this one, with which it ends.
    """
    global _memory
    code = 1
    try:
        gc.freeze()  # its collector need not touch, and so copy, what its parent has
        end_with_parent(parent)
        for kind, value in bounds.limits.items():
            _limit_to(kind, value)
        if bounds.nice > os.nice(0):
            let_others_go_first()
        if bounds.seconds:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(bounds.seconds)
        size = int(Path("/proc/self/statm").read_bytes().split()[0]) * resource.getpagesize()
        _memory = (size, bounds.memory)
        _limit_to(resource.RLIMIT_AS, size + bounds.memory)
        grow_memory(0.0)
        _close_others({0, 1, 2, sink})
        tempfile.tempdir = str(bounds.folder)
        confine(bounds.folder)
        with io.BufferedWriter(io.FileIO(sink, "wb"), _PIPE_BYTES) as out:
            work(out)
        code = 0
    except MemoryError:
        code = _OUT_OF_MEMORY
    except BaseException:  # nothing may run what the parent has set up for its own end
        _log.exception("a decoder ends")
    finally:
        os._exit(code)


def _limit_to(kind: int, value: int) -> None:
    """Set a limit of the system for ever; that of processor time tells before it kills."""
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    most = value + (_TOLD_SECONDS if kind == resource.RLIMIT_CPU else 0)
    resource.setrlimit(kind, (value, most if hard == resource.RLIM_INFINITY else min(most, hard)))


def _close_others(kept: set[int]) -> None:
    """Put nothing in the place of each open file: a number that is used again could be closed."""
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        number = int(name)
        if number not in kept and number != nothing:
            with contextlib.suppress(OSError):  # the listing's own
                os.fstat(number)
                os.dup2(nothing, number, inheritable=False)


def _end(pid: int, seconds: float) -> str:
    """Wait for a process, and kill it if it does not end; how it died, if it did."""
    status = awaited(partial(waited, pid), pid, seconds)
    if status is None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return how_it_died(status)


def awaited(wait: Callable[[float], _Told | None], pid: int, seconds: float) -> _Told | None:
    """What is told of the end of a process that has no more to do; None if it lingers.

    One that is ready to run, or has ended and is not yet told of, gets more time.

    Args:
        wait: Waits so many seconds for what is told.
        pid: The process.
        seconds: The time that it has; 0 to look once.
    """
    begun = time.monotonic()
    asleep = 0
    while True:
        told = wait(min(seconds, _LOOK_SECONDS))
        passed = time.monotonic() - begun
        if told is not None or not seconds or passed >= _MOST_END_SECONDS:
            return told
        if passed >= seconds:
            asleep = asleep + 1 if _sleeps(pid) else 0
            if asleep > 2:
                return None


def _sleeps(pid: int) -> bool:
    """Whether a process waits for something else than a processor or a disk."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state in "STt"


def how_it_died(status: int | None) -> str:
    """How a process died that worked apart, in words; empty if it did not.

    Args:
        status: What the system tells of its end; None if it did not end.
    """
    if status is None:
        return "media cannot be read: its decoder did not end"
    if status == 0:
        return ""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            return "media cannot be read: its decoder used up its processor time"
        if number == signal.SIGALRM:
            return "media cannot be read: its decoder used up its time"
        if number == signal.SIGKILL:
            return "media cannot be read: its decoder was killed by the system"
        return f"media cannot be read: its decoder crashed ({signal.Signals(number).name})"
    code = os.waitstatus_to_exitcode(status)
    why = "ran out of its memory" if code == _OUT_OF_MEMORY else f"ended with exit code {code}"
    return f"media cannot be read: its decoder {why}"
