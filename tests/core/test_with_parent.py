"""A program that ends with the process that started it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from quorum.core.with_parent import start_with_parent, with_parent

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux ends a child alone")

PARENT = """
import subprocess, sys, time
from quorum.core.with_parent import with_parent
child = subprocess.Popen(with_parent(sys.argv[1:]), start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def is_running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_a_program_ends_with_a_parent_that_is_killed() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, "sleep", "600"], stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        assert is_running(child)
        parent.kill()
        parent.wait()
        end = time.monotonic() + 30
        while is_running(child):
            assert time.monotonic() < end, "it outlives its parent"
            time.sleep(0.01)
    finally:
        parent.kill()
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def test_a_program_does_not_end_with_the_thread_that_asked_for_it() -> None:
    started: list[subprocess.Popen[bytes]] = []
    command = ["sh", "-c", "echo ready; read line; exit 3"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    thread = threading.Thread(target=lambda: started.append(start_with_parent(command, **pipes)))
    thread.start()
    thread.join()
    (program,) = started
    with program:
        assert program.stdout is not None
        assert program.stdin is not None
        assert program.stdout.readline() == b"ready\n"
        program.stdin.write(b"\n")
        program.stdin.flush()
        assert program.wait(60) == 3


def test_a_program_whose_parent_has_gone_before_it_asked_does_not_run() -> None:
    command = with_parent(["echo", "ran"])
    command[4] = "1"
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("", 1)


def test_its_output_and_status_are_those_of_the_program() -> None:
    command = with_parent(["sh", "-c", "echo $0; exit 3", "word"])
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("word\n", 3)
