"""Processes end with their own code, whatever threads, exit handlers and children are left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

STUCK = """
import atexit, ctypes, os, subprocess, sys, threading, time
from quorum.core.process_end import end_process, end_within

began = threading.Event()

def forever():
    ctypes.CDLL(None).sleep(900)
"""


def ended(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", STUCK + code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("daemon", [True, False])
def test_a_thread_that_hangs_is_left_behind(daemon: bool) -> None:
    done = ended(
        f"threading.Thread(target=forever, daemon={daemon}).start()\n"
        "atexit.register(lambda: print('handled'))\n"
        "print('said', end=' ')\n"
        "end_process(65)"
    )
    assert (done.returncode, done.stdout, done.stderr) == (65, "said handled\n", "")


def test_a_thread_in_cpp_that_takes_the_lock_again_does_not_abort() -> None:
    # The interpreter's own exit unwinds such a thread through frames that may not be unwound.
    done = ended(
        "import torch\n"
        "def busy():\n"
        "    made = torch.ones(64, 64)\n"
        "    while True:\n"
        "        made = (made @ made).clamp(0, 1)\n"
        "threading.Thread(target=busy, daemon=True).start()\n"
        "time.sleep(0.5)\n"
        "end_process(3)"
    )
    assert (done.returncode, done.stderr) == (3, "")


def test_without_other_threads_the_interpreter_ends_as_usual() -> None:
    done = ended("atexit.register(lambda: print('handled'))\nend_process(78)")
    assert (done.returncode, done.stdout) == (78, "handled\n")


def test_an_exit_handler_that_hangs_is_left_and_children_are_killed(tmp_path: Path) -> None:
    began = time.monotonic()
    done = ended(
        "child = subprocess.Popen(['sleep', '900'], stdout=subprocess.DEVNULL)\n"
        f"open({str(tmp_path / 'child')!r}, 'w').write(str(child.pid))\n"
        "threading.Thread(target=forever, daemon=True).start()\n"
        "atexit.register(forever)\n"
        "end_process(0)"
    )
    assert done.returncode == 0
    assert time.monotonic() - began < 30
    child = int((tmp_path / "child").read_text())
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.kill(child, 0)
            time.sleep(0.1)


def test_output_that_nobody_reads_is_a_failure_as_in_python_itself() -> None:
    done = ended(
        "sys.stdout = open('/dev/full', 'w')\n"
        "threading.Thread(target=forever, daemon=True).start()\n"
        "print('x')\n"
        "end_process(0)"
    )
    assert done.returncode == 120


def test_what_does_not_stop_in_time_is_ended_as_a_failure() -> None:
    done = ended("began.set()\nend_within(0.5, began)\nforever()\nend_process(0)")
    assert done.returncode == 1
    assert "did not stop within" in done.stderr


def test_an_end_that_was_called_off_does_not_come() -> None:
    done = ended(
        "call_off = end_within(0.3, began)\n"
        "time.sleep(0.5)\n"  # nothing asked to end yet
        "began.set()\n"
        "call_off()\n"
        "time.sleep(1)\n"
        "end_process(0)"
    )
    assert (done.returncode, done.stderr) == (0, "")
