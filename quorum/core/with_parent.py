"""Runs a program that ends with the process that started it: ``python FILE PID PROGRAM ARGUMENTS``.

A process that is killed ends nothing that it started. Linux kills a program with the thread that
started it where the program asks for that, and a program of others does not. Nothing of Quorum is
imported here, so that it starts at once.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["end_with_parent", "start_with_parent", "with_parent"]

_DEATH_SIGNAL = 1


def start_with_parent(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a program that runs until this process ends, whichever thread asks for it.

    Args:
        command: The program and its arguments.
        options: Those of ``subprocess.Popen``.
    """
    whole = with_parent(command)
    return _starter().submit(lambda: subprocess.Popen(whole, **options)).result()  # noqa: S603


@cache
def _starter() -> ThreadPoolExecutor:
    """Its thread lasts as long as this process: Linux ends a program with the thread."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(1, "starts programs")


def with_parent(command: Sequence[str]) -> list[str]:
    """The command that runs this one until this process ends; on Linux, elsewhere the same.

    It must be started by a thread that lasts as long as the program should.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def end_with_parent(parent: int) -> None:
    """Have this process killed when the one that started it ends, as it may have already.

    Linux does it, with the thread that started it; elsewhere only a parent that has gone counts.

    Args:
        parent: That process.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606
