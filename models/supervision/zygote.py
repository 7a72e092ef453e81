"""Launches workers by forks of a process that has loaded the ensemble.

The memory of the models is shared with the workers (copy on write), and a killed worker is replaced
in milliseconds. The idea is that of Android's zygote and of uWSGI's and Gunicorn's preloading.
The zygote runs no detector after its warm-up, so that nothing an upload holds can harm it.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from multiprocessing.connection import Connection
from multiprocessing.spawn import get_preparation_data
from typing import Any

from quorum.core import errors
from quorum.core.errors import ConfigurationError, EngineUnavailable, QuorumError
from quorum.core.logs import current_logs
from quorum.models.supervision.launcher import Launcher, Worker
from quorum.models.supervision.protocol import MAX_FRAME
from quorum.models.supervision.spec import DetectorInfo, EnsembleSpec

__all__ = ["Zygote"]

#: Seconds that models may take to load and warm up.
_LOAD_SECONDS = 600.0

#: Seconds between the end of a worker's connection and that of its process.
_GRACE = 0.5

#: Seconds that a zygote may take to answer; a fork takes 20 ms.
_ANSWER_SECONDS = 15.0

#: Libraries that size a pool of threads by these at their import. A fork keeps one thread only.
_ONE_THREAD = dict.fromkeys(
    (
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
    ),
    "1",
) | {"TOKENIZERS_PARALLELISM": "false"}


class Zygote(Launcher):
    """Starts the process, and asks it for workers.

    Args:
        spec: The ensemble.

    Raises:
        QuorumError: As the loading of the ensemble does.
    """

    def __init__(self, spec: EnsembleSpec) -> None:
        self._spec = spec
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: Connection | None = None
        self._generation = 0
        self._folder = tempfile.mkdtemp(prefix="quorum-workers-")
        self._start()

    @property
    def pid(self) -> int:
        """The process's id."""
        with self._lock:
            assert self._process is not None
            return self._process.pid

    def launch(self, *, yields: bool = False) -> Worker:
        """See Launcher."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._stop()
                self._start()
            ours, theirs = socket.socketpair()
            try:
                folder = tempfile.mkdtemp(dir=self._folder)
                answer = self._ask({"fork": folder, "yields": yields}, theirs)
            except BaseException:
                ours.close()
                raise
            finally:
                theirs.close()
            return _Process(self, answer["pid"], Connection(ours.detach()), folder)

    def close(self) -> None:
        """See Launcher."""
        with self._lock:
            self._stop()
            shutil.rmtree(self._folder, ignore_errors=True)

    def reap(self, pid: int, generation: int, grace: float) -> str:
        """Kill a worker and all that it started; how it ended, in words.

        Args:
            pid: The worker.
            generation: The generation of its zygote.
            grace: Seconds to wait for a worker that ends by itself.
        """
        with self._lock:
            if generation != self._generation or self._process is None:
                return "was killed with its parent"
            try:
                return str(self._ask({"end": pid, "grace": grace})["how"])
            except QuorumError as error:
                return str(error)

    @property
    def generation(self) -> int:
        """How many processes were started before this one."""
        return self._generation

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            environment = {**os.environ, **_ONE_THREAD}
            environment["PYTHONPATH"] = os.pathsep.join(one or os.curdir for one in sys.path)
            self._process = subprocess.Popen(  # noqa: S603  (our own module)
                [sys.executable, "-m", "quorum.models.supervision.child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,  # what a plug-in prints must not mix with a command's output
                env=environment,
                start_new_session=True,  # Ctrl-C is for the parent, which ends it
            )
        self._generation += 1
        self._control = Connection(ours.detach())
        try:
            start = pickle.dumps((self._spec, current_logs()))
        except Exception as error:  # of a detector's own objects
            self._stop()
            msg = f"the detectors cannot be sent to a child process: {error}"
            raise ConfigurationError(msg) from error
        try:
            self._control.send_bytes(json.dumps(_main_module(start)).encode())
            self._control.send_bytes(start)
            ready = self._receive(_LOAD_SECONDS)
        except QuorumError:
            self._stop()
            raise
        except OSError as error:
            self._stop()
            msg = f"the process of the detectors does not start: {error}"
            raise EngineUnavailable(msg) from None
        self.detectors = tuple(DetectorInfo.model_validate(one) for one in ready["detectors"])
        self.plan = ready["plan"]

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(2.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _ask(self, question: dict[str, Any], file: socket.socket | None = None) -> dict[str, Any]:
        assert self._control is not None
        try:
            self._control.send_bytes(json.dumps(question).encode())
            if file is not None:
                _send_file(self._control, file)
            return self._receive(_ANSWER_SECONDS)
        except OSError as error:
            return self._lost(str(error))

    def _receive(self, seconds: float) -> dict[str, Any]:
        assert self._control is not None
        if not self._control.poll(seconds):
            return self._lost(f"no answer in {seconds:g} s")
        try:
            answer: dict[str, Any] = json.loads(self._control.recv_bytes(MAX_FRAME))
        except EOFError:
            return self._lost("it ended")
        if "error" in answer:
            kind = getattr(errors, str(answer["error"]), EngineUnavailable)
            if not (isinstance(kind, type) and issubclass(kind, QuorumError)):
                kind = EngineUnavailable
            raise kind(answer["message"])
        return answer

    def _lost(self, why: str) -> dict[str, Any]:
        if self._process is not None:
            self._process.kill()  # its workers end with it
        msg = f"the process of the detectors is lost: {why}"
        raise EngineUnavailable(msg)


class _Process(Worker):
    """A forked worker."""

    def __init__(self, zygote: Zygote, pid: int, connection: Connection, folder: str) -> None:
        self.pid = pid
        self._zygote = zygote
        self._generation = zygote.generation
        self._connection = connection
        self._folder = folder
        self._ended = False
        self._lock = threading.Lock()
        self._how: str | None = None

    def send(self, frame: bytes) -> None:
        self._connection.send_bytes(frame)

    def receive(self, seconds: float | None = None) -> bytes | None:
        try:
            return (
                self._connection.recv_bytes(MAX_FRAME) if self._connection.poll(seconds) else None
            )
        except (EOFError, OSError) as error:  # it ended, or its frame is too long
            self._ended = True
            raise EOFError(str(error)) from None

    def end(self) -> str:
        with self._lock:  # a thread that reads from it and one that closes all may both end it
            if self._how is None:
                grace = _GRACE if self._ended else 0.0
                self._how = self._zygote.reap(self.pid, self._generation, grace)
                self._connection.close()
                shutil.rmtree(self._folder, ignore_errors=True)
            return self._how


def _main_module(start: bytes) -> dict[str, str]:
    """How a child imports the main module of this process; empty if it needs nothing of it."""
    if b"__main__" not in start:
        return {}
    found = get_preparation_data("worker")
    names = ("init_main_from_name", "init_main_from_path")
    return {name: str(found[name]) for name in names if name in found}


def _send_file(control: Connection, file: socket.socket) -> None:
    with socket.socket(fileno=os.dup(control.fileno())) as carrier:
        socket.send_fds(carrier, [b"f"], [file.fileno()])
