"""The job under test: ``quorum stream`` in a session of its own, started again when it ends."""

from __future__ import annotations

import collections
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.soak.history import History, JobEnded, JobStarted, Survivors
from benchmarks.soak.processes import Process, descendants, of_session, resident_mebibytes

__all__ = ["Job"]

_PAUSE = 1.0
_TAIL = 12
#: How long processes of a killed job may take to notice.
_TO_NOTICE = 5.0


class Job:
    """Keeps one job running, as a service manager does.

    Args:
        arguments: After ``python -m quorum``.
        environment: Of the process.
        history: Takes starts and ends.
        log: The file of its log.

    Attributes:
        ends: How often the process has ended.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        history: History,
        log: Path,
    ) -> None:
        self._arguments = tuple(arguments)
        self._environment = dict(environment)
        self._history = history
        self._log = log.open("ab")
        self._lock = threading.Lock()
        self._stopping = False
        self._by = ""
        self.ends = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._tail: collections.deque[str] = collections.deque(maxlen=_TAIL)
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    @property
    def pid(self) -> int:
        """Of the main process; 0 while there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else 0

    @property
    def tail(self) -> str:
        """The end of its log."""
        return "\n".join(self._tail)

    def processes(self) -> list[Process]:
        """Its child processes, and theirs; without the main process."""
        return descendants(self.pid) if self.pid else []

    def signal(self, number: int, chosen: Callable[[Process], bool] | None = None) -> bool:
        """Send a signal to the main process, or to the chosen children; whether one was there."""
        if chosen is None:
            targets = [self.pid] if self.pid else []
        else:
            targets = [one.pid for one in self.processes() if chosen(one)]
        for pid in targets:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return bool(targets)

    def signal_all(self, number: int) -> None:
        """Send a signal to the main process and all children."""
        self.signal(number)
        self.signal(number, lambda _: True)

    def limited(self) -> Sequence[int]:
        """The ids of the main process and of all children."""
        return [self.pid, *(one.pid for one in self.processes())]

    def kill(self, kind: str, seconds: float) -> None:
        """Kill the worker (``kill``) or Prism, and wait so long for the next process."""
        before = self.pid
        self.expect_end(kind)
        if kind == "kill":
            self.signal(signal.SIGKILL)
        else:
            self.signal(signal.SIGKILL, lambda one: one.is_prism)
        deadline = time.monotonic() + seconds
        while self.pid in (0, before) and time.monotonic() < deadline:
            time.sleep(0.05)

    def loses_state(self, kind: str) -> bool:
        """Whether a fault ends the process: what it knows is in its memory."""
        return kind in ("kill", "prism")

    def engine_sample(self) -> Mapping[str, float]:
        """The memory of Prism."""
        engines = [one.pid for one in self.processes() if one.is_prism]
        return {"prism": sum(resident_mebibytes(pid) for pid in engines)}

    def expect_end(self, by: str) -> None:
        """The next end of the process is by our doing."""
        self._by = by

    def drain(self, seconds: float) -> int | None:
        """Ask it to stop; its exit code, or None if it did not end in time and was killed."""
        self._stopping = True
        self._by = "drain"
        process = self._process
        if process is None:
            return None
        self.signal(signal.SIGTERM)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.close()

    def close(self) -> None:
        """End it, whatever it does."""
        self._stopping = True
        if (process := self._process) is not None:
            self._end(process)
        self._keeper.join(10.0)
        self._log.close()

    def _keep(self) -> None:
        while not self._stopping:
            process = self._process = subprocess.Popen(
                [sys.executable, "-m", "quorum", *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
            self._history.add(JobStarted(at=time.time(), pid=process.pid))
            # A pipe, and not the file: what its log writes is not under the limits of its files.
            reader = threading.Thread(target=self._read, args=(process,), daemon=True)
            reader.start()
            code = process.wait()
            ended = time.time()
            if self._by != "drain":
                self._report_survivors(process)
            self._end(process)
            reader.join(5.0)
            by, self._by = self._by, ""
            self.ends += 1
            self._history.add(JobEnded(at=ended, code=code, by=by, tail="" if by else self.tail))
            if not self._stopping:
                time.sleep(_PAUSE)

    def _report_survivors(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _TO_NOTICE
        while (left := of_session(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.2)
        names = tuple(sorted("Prism" if one.is_prism else one.command[:200] for one in left))
        self._history.add(Survivors(at=time.time(), names=names))

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with suppress(ValueError):
                self._log.write(line)
                self._log.flush()
            self._tail.append(line.decode(errors="replace").rstrip())

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        for one in of_session(process.pid):
            with suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
        process.wait()
