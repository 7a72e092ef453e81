"""The end of a process: with its own exit code, whatever threads are left in it.

At the interpreter's own exit a thread that is still in C code (a detector that hangs, a request of
gRPC) may abort the process with code 134, and one that is no daemon is waited for without end. A
command has said all that it has to say when it returns; threads that are left then are abandoned.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

__all__ = ["end_process", "end_within", "waited"]

_log = logging.getLogger(__name__)

#: Seconds that exit handlers have: they close servers and child processes.
HANDLER_SECONDS = 2.0

#: The code with which Python itself exits if what was written cannot be flushed.
_NOT_FLUSHED = 120

#: Only one thread ends the process.
_ending = threading.Lock()


def end_process(code: int) -> NoReturn:
    """End this process with an exit code.

    If no other thread is left, the interpreter ends as usual. Else the exit handlers run for at
    most two seconds, what is written is flushed, and the process ends without its threads. If the
    handlers did not end, child processes that are left are killed.

    Args:
        code: The exit code.
    """
    if threading.active_count() == 1:
        sys.exit(code)
    _ending.acquire()  # for ever: the first one to come ends the process
    code = _flushed(code)
    handlers = threading.Thread(target=_run_exit_handlers, name="exit handlers", daemon=True)
    handlers.start()
    handlers.join(HANDLER_SECONDS)
    if handlers.is_alive():
        _kill_children()
    os._exit(_flushed(code))


def end_within(seconds: float, after: threading.Event) -> Callable[[], None]:
    """End this process as a failure if it is still there so many seconds after an event.

    Args:
        seconds: The time that it has.
        after: From when on it counts; a handler of a signal may set it.

    Returns:
        A function that calls it off.
    """
    called_off = threading.Event()

    def watch() -> None:
        after.wait()
        if not called_off.wait(seconds):
            _log.error("something did not stop within %.0f s; the process ends without it", seconds)
            end_process(1)

    threading.Thread(target=watch, name="end of the process", daemon=True).start()
    return called_off.set


def _run_exit_handlers() -> None:
    # The only way to run them before an exit that skips them.
    with suppress(Exception):
        atexit._run_exitfuncs()


def _flushed(code: int) -> int:
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            code = code or _NOT_FLUSHED
    return code


def _kill_children() -> None:
    """Kill the direct child processes, where the system lists them (Linux)."""
    found: set[int] = set()
    for listed in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found |= {int(each) for each in listed.read_text().split()}
    for child in found:
        with suppress(OSError):
            os.kill(child, signal.SIGKILL)


def waited(pid: int, seconds: float) -> int | None:
    """The status of a child that has ended, or ends in so many seconds; None if it does not.

    Args:
        pid: A child of this process.
        seconds: How long to wait.
    """
    until = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() >= until:
            return None
        time.sleep(0.001)
