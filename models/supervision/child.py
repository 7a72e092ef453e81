"""The process that loads an ensemble and forks workers from it; ``zygote`` starts it."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import pickle
import resource
import signal
import socket
import sys
import tempfile
from multiprocessing.connection import Connection
from multiprocessing.spawn import prepare
from pathlib import Path

from quorum.core.errors import QuorumError
from quorum.core.logs import configure_logs
from quorum.core.process_end import waited
from quorum.core.with_parent import end_with_parent
from quorum.core.yielding import let_others_go_first
from quorum.models.configured import needs_of
from quorum.models.features.extract import MEDIA_FEATURES
from quorum.models.plan import Plan
from quorum.models.supervision.launcher import steps_of
from quorum.models.supervision.protocol import Batch, Channel
from quorum.models.supervision.spec import EnsembleSpec, describe, plan_of
from quorum.models.supervision.worker import Footprint, serve

__all__ = ["main"]

_log = logging.getLogger(__name__)

#: Most files that a worker may have open.
_OPEN_FILES = 512


class _Socket(Channel):
    """The worker's end."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, frame: bytes) -> None:
        self._connection.send_bytes(frame)

    def receive(self, seconds: float | None = None) -> bytes | None:
        try:
            return self._connection.recv_bytes() if self._connection.poll(seconds) else None
        except OSError as error:
            raise EOFError(str(error)) from None


def _receive_file(control: Connection) -> int:
    with socket.socket(fileno=os.dup(control.fileno())) as carrier:
        _, files, _, _ = socket.recv_fds(carrier, 1, 1)
    return files[0]


def main(control: Connection) -> None:
    """Load an ensemble, then fork and end workers as asked until the parent is gone."""
    spec: EnsembleSpec
    try:
        prepare(json.loads(control.recv_bytes()))
        spec, logs = pickle.loads(control.recv_bytes())  # noqa: S301  (from our parent alone)
        configure_logs(*logs)
        if needs_of(spec.detectors).intersection(MEDIA_FEATURES):
            from quorum.models.features import decoders

            decoders.template.start()  # it prepares itself while the models load
            decoders.tell_protection()
        ensemble = spec.load()
        ensemble.warm_up()
        plan = plan_of(ensemble, spec.settled)
        ready = {
            "detectors": [one.model_dump(mode="json") for one in describe(ensemble.detectors)],
            "plan": steps_of(plan),
        }
    except QuorumError as error:
        control.send_bytes(
            json.dumps({"error": type(error).__name__, "message": str(error)}).encode()
        )
        return
    except Exception as error:  # a plug-in may raise anything
        message = f"the detectors cannot be loaded: {type(error).__name__}: {error}"
        control.send_bytes(json.dumps({"error": "ConfigurationError", "message": message}).encode())
        return
    gc.collect()
    gc.freeze()  # the collector of a worker must not touch, and so copy, what is shared
    control.send_bytes(json.dumps(ready).encode())
    children: set[int] = set()
    try:
        while True:
            try:
                question = json.loads(control.recv_bytes())
            except (EOFError, OSError):
                return
            if "fork" in question:
                file = _receive_file(control)
                parent, pid = os.getpid(), os.fork()
                if pid == 0:
                    control.close()
                    connection, yields = Connection(file), question["yields"]
                    _work(plan, spec, connection, question["fork"], parent, yields=yields)
                os.close(file)
                children.add(pid)
                control.send_bytes(json.dumps({"pid": pid}).encode())
            else:
                pid = question["end"]
                how = _end(pid, question["grace"]) if pid in children else "was killed"
                children.discard(pid)
                control.send_bytes(json.dumps({"how": how}).encode())
    finally:
        for pid in children:
            _end(pid, 0.0)


def _work(
    plan: Plan,
    spec: EnsembleSpec,
    connection: Connection,
    folder: str,
    parent: int,
    *,
    yields: bool,
) -> None:
    """Be a worker; never returns."""
    code = 1
    try:
        os.setsid()
        if yields:
            let_others_go_first()
        end_with_parent(parent)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        tempfile.tempdir = folder
        limits = spec.workers
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
        _limit(resource.RLIMIT_FSIZE, spec.media.max_bytes + 64 * 2**20)
        size = int(Path("/proc/self/statm").read_bytes().split()[0]) * resource.getpagesize()
        _limit(resource.RLIMIT_AS, size + limits.memory)
        if needs_of(spec.detectors).intersection(MEDIA_FEATURES):
            from quorum.models.features.decoders import decode_apart

            decode_apart(Path(folder), limits.memory)
        serve(
            plan,
            _Socket(connection),
            begin=_limit_cpu,
            excess=Footprint(limits.memory).excess,
        )
        code = 0
    except BaseException:  # nothing may run what the zygote has set up for its own end
        _log.exception("a worker ends")
    finally:
        os._exit(code)


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _limit_cpu(batch: Batch) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = used.ru_utime + used.ru_stime + batch.cpu_seconds + 1
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), hard))


def _end(pid: int, grace: float) -> str:
    """Kill a worker and its process group; how it ended, in words.

    Args:
        pid: The worker.
        grace: Seconds to wait for a worker that ends by itself.
    """
    status = waited(pid, grace)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    if status is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)  # it may not have a group of its own yet
        return "was killed" if waited(pid, 5.0) is not None else "could not be killed"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            return "used up its processor time"
        if number == signal.SIGKILL:
            return "was killed by the system, which may lack memory"
        return f"crashed ({signal.Signals(number).name})"
    return f"ended with exit code {os.waitstatus_to_exitcode(status)}"


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))
