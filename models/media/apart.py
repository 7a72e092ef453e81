"""Run the decoding of one file in a process of its own, which is confined and may die."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import io
import logging
import os
import resource
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NoReturn

from quorum.core.errors import MediaRefused
from quorum.core.process_end import waited
from quorum.models.media.sandbox import confine, protection

__all__ = ["apart", "grow_memory"]

_log = logging.getLogger(__name__)

_PIPE_BYTES: Final = 1024 * 1024
_PR_SET_PDEATHSIG: Final = 1
#: Shares of the memory: what any file may use, and each second of it that was read. The samples of
#: eight tracks of sound take 1.5 MiB a second; all else that is kept does not grow without end.
_AT_ONCE: Final = 0.75
_EACH_SECOND: Final = 1 / 1024
#: Bytes by which the limit grows at once.
_STEP: Final = 4 * 1024 * 1024
#: The exit code of a process that ran out of memory.
_OUT_OF_MEMORY: Final = 86

#: Of a process that works apart: bytes at its start, and those that it may use beyond.
_memory: tuple[int, int] | None = None
#: Its limit now.
_limit = 0


@contextmanager
def apart(work: Callable[[BinaryIO], None], folder: Path, memory: int) -> Iterator[BinaryIO]:
    """Fork a process that does some work, and read what it writes.

    The process has the memory of this one, but no open file of it except the standard streams. It
    has no network, and writes into the folder alone; see ``sandbox``. It ends with the thread that
    forked it.

    Args:
        work: Writes its result to the file that it is given.
        folder: Where the process may write.
        memory: Bytes that it may use beyond what this process has; three quarters of them at
            first, the others as ``grow_memory`` is told of the seconds that were read.

    Yields:
        What the process writes. A hostile file may have taken it over: whoever reads it must
        check it.

    Raises:
        MediaRefused: If the process died.
    """
    protection()  # loads the libraries
    source, sink = os.pipe()
    with contextlib.suppress(OSError):  # beyond the limit of an unprivileged user
        fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _work(work, folder, memory, sink, parent)
    os.close(sink)
    died = ""
    try:
        with io.FileIO(source, "rb") as raw:
            yield io.BufferedReader(raw, _PIPE_BYTES)
        died = _end(pid, 2.0)
    except Exception as error:  # that it died tells more than that it wrote half
        died = _end(pid, 2.0)
        if not died:
            raise
        raise MediaRefused(died) from error
    except BaseException:
        _end(pid, 0.0)
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


def _work(
    work: Callable[[BinaryIO], None], folder: Path, memory: int, sink: int, parent: int
) -> NoReturn:
    """Be the process."""
    global _memory
    code = 1
    try:
        gc.freeze()  # its collector need not touch, and so copy, what its parent has
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(code)
        used, hard = resource.getrlimit(resource.RLIMIT_CPU)
        if used != resource.RLIM_INFINITY:  # what its parent has left: its own clock begins at 0
            left = max(1, int(used - _processor_seconds_of(parent)))
            resource.setrlimit(resource.RLIMIT_CPU, (left, hard))
        size = int(Path("/proc/self/statm").read_bytes().split()[0]) * resource.getpagesize()
        _memory = (size, memory)
        grow_memory(0.0)
        _close_others({0, 1, 2, sink})
        tempfile.tempdir = str(folder)
        confine(folder)
        with io.BufferedWriter(io.FileIO(sink, "wb"), _PIPE_BYTES) as out:
            work(out)
        code = 0
    except MemoryError:
        code = _OUT_OF_MEMORY
    except BaseException:  # nothing may run what the parent has set up for its own end
        _log.exception("a decoder ends")
    finally:
        os._exit(code)


def _processor_seconds_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
    status = waited(pid, seconds)
    if status is None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return "media cannot be read: its decoder did not end"
    if status == 0:
        return ""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            return "media cannot be read: its decoder used up its processor time"
        if number == signal.SIGKILL:
            return "media cannot be read: its decoder was killed by the system"
        return f"media cannot be read: its decoder crashed ({signal.Signals(number).name})"
    code = os.waitstatus_to_exitcode(status)
    why = "ran out of its memory" if code == _OUT_OF_MEMORY else f"ended with exit code {code}"
    return f"media cannot be read: its decoder {why}"
