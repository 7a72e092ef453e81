"""A slim process that forks the processes in which media are decoded.

A fork costs what the forking process holds: a worker with its models takes 35 ms, this one a few,
because it has nothing but what decodes. What is needed at the first file (tables of codecs, maps of
hashes) it has made ahead, and all that it forks have it. The idea is that of Python's fork server.
"""

from __future__ import annotations

import json
import logging
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, BinaryIO, Final

from quorum.core.logs import current_logs
from quorum.models.media.apart import Bounds, awaited, how_it_died, pipe, received

__all__ = ["Template", "TemplateLost"]

_log = logging.getLogger(__name__)

#: The most bytes of an answer.
_ANSWER: Final = 4096


class TemplateLost(Exception):
    """The process that forks is not there, or ended before the file was read."""


class Template:
    """The process that forks, as those see it that have media decoded.

    It starts at the first use, and again if it ended; a process that is forked from one that has
    it uses the same. It ends when none is left that has it.

    Args:
        office: The module whose ``prepare()`` it calls first, and whose ``perform(task, out)`` does
            the work in each process that it forks.

    Attributes:
        spent: Processor seconds of all files so far, of this process alone.
    """

    def __init__(self, office: str) -> None:
        self._office = office
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self.spent = 0.0

    @staticmethod
    def possible() -> bool:
        """Whether this system has what it takes."""
        return sys.platform == "linux" and hasattr(os, "pidfd_open")

    def start(self) -> None:
        """Start it, if it was not started; it prepares itself meanwhile."""
        with self._lock:
            if self._control is None:
                self._start()

    def close(self) -> None:
        """End it, if no other process has it, with the processes that it forked."""
        with self._lock:
            self._close()

    @contextmanager
    def apart(self, task: Mapping[str, Any], bounds: Bounds) -> Iterator[BinaryIO]:
        """Let a process that is confined do some work, and read what it writes.

        Args:
            task: What to do: plain values, as JSON has them.
            bounds: What holds the process.

        Yields:
            What the process writes. A hostile file may have taken it over: whoever reads it must
            check it.

        Raises:
            MediaRefused: If the process died.
            TemplateLost: If there is no template; the next call starts one.
        """
        asked = {
            "task": dict(task),
            "folder": str(bounds.folder),
            "memory": bounds.memory,
            "seconds": bounds.seconds,
            "limits": list(bounds.limits.items()),
            "nice": bounds.nice,
        }
        life, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with life:
            source, sink = pipe()
            try:
                with theirs:
                    self._send(json.dumps(asked).encode(), [theirs.fileno(), sink])
            except BaseException:
                os.close(source)
                raise
            finally:
                os.close(sink)
            with received(source, partial(self._end, life)) as file:
                yield file

    def _send(self, message: bytes, files: list[int]) -> None:
        with self._lock:
            if self._control is None:
                self._start()
            assert self._control is not None
            try:
                socket.send_fds(self._control, [message], files)
            except OSError as error:
                self._close()
                raise TemplateLost(str(error)) from None

    def _end(self, life: socket.socket, seconds: float) -> str:
        """See ``received``; that this end of its life is closed kills it."""
        if not seconds:
            return how_it_died(None)
        begun = self._told(life, None)
        assert begun is not None
        told = awaited(partial(self._told, life), begun["pid"], seconds)
        if told is None:
            return how_it_died(None)
        with self._lock:
            self.spent += told["spent"]
        return how_it_died(told["status"])

    def _told(self, life: socket.socket, seconds: float | None) -> dict[str, Any] | None:
        """What the template tells next of a process; None if it tells nothing for so long."""
        ready, _, _ = select.select([life], [], [], seconds)
        if not ready:
            return None
        try:
            answer = life.recv(_ANSWER)
        except OSError:
            answer = b""
        if not answer:
            with self._lock:
                self._close()
            msg = "it ended"
            raise TemplateLost(msg)
        return dict(json.loads(answer))

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        environment["PYTHONPATH"] = os.pathsep.join(one or os.curdir for one in sys.path)
        command = [sys.executable, "-m", "quorum.models.media.template_child"]
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603  (our own module)
                    [*command, str(theirs.fileno()), self._office, *current_logs()],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=2,  # nothing of it may mix with a command's output
                    env=environment,
                )
        except OSError as error:
            ours.close()
            raise TemplateLost(str(error)) from None
        self._control = ours

    def _close(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        process, self._process = self._process, None
        if process is not None:
            try:
                process.wait(2.0)
            except subprocess.TimeoutExpired:  # other processes have it, too
                _log.debug("the process that forks decoders goes on for others")
