"""The process that ``template`` starts: it forks one that is confined for each file."""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO, Final

from quorum.core.logs import configure_logs
from quorum.models.media.apart import Bounds, be_apart
from quorum.models.media.sandbox import protection

__all__ = ["main"]

#: The most bytes of a request.
_REQUEST: Final = 1024 * 1024


class _Forked:
    """A process that was forked, until it has ended.

    Attributes:
        life: The connection of who waits for it; it is killed when that is closed.
        ended: A file of the system that is ready when it has ended.
    """

    def __init__(self, pid: int, life: socket.socket, begun: float) -> None:
        self._pid = pid
        self._begun = begun
        self.life = life
        self.ended = os.pidfd_open(pid)
        self._say({"pid": pid})

    def kill(self) -> None:
        """End it; ``ended`` becomes ready."""
        os.kill(self._pid, signal.SIGKILL)

    def tell(self) -> None:
        """Tell who waits how it has ended, with the processor time that it and its fork took."""
        _, status, used = os.wait4(self._pid, 0)
        spent = used.ru_utime + used.ru_stime + time.process_time() - self._begun
        with self.life:
            self._say({"status": status, "spent": spent})
        os.close(self.ended)

    def _say(self, facts: dict[str, float]) -> None:
        with contextlib.suppress(OSError):  # nobody waits any more
            self.life.send(json.dumps(facts).encode())


def main(control: socket.socket, office: Any) -> None:
    """Fork processes as asked, until nobody is left who may ask."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one
    office.prepare()
    protection()
    gc.collect()
    gc.freeze()
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                forked: _Forked | None = key.data
                if forked is None:
                    begun = time.process_time()
                    made = _asked(control, office, begun)
                    if made is None:
                        return  # those that are left end with this process
                    selector.register(made.life, selectors.EVENT_READ, made)
                    selector.register(made.ended, selectors.EVENT_READ, made)
                elif key.fileobj is forked.life:
                    selector.unregister(forked.life)
                    forked.kill()
                else:
                    selector.unregister(forked.ended)
                    if forked.life in selector.get_map():
                        selector.unregister(forked.life)
                    forked.tell()


def _asked(control: socket.socket, office: Any, begun: float) -> _Forked | None:
    """Fork a process as the next message asks; None if nobody is left who may ask."""
    message, files, _, _ = socket.recv_fds(control, _REQUEST, 2)
    if not message:
        return None
    life, sink = files
    asked = json.loads(message)
    limits = {int(kind): int(value) for kind, value in asked["limits"]}
    bounds = Bounds(Path(asked["folder"]), asked["memory"], asked["seconds"], limits, asked["nice"])
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:

        def work(out: BinaryIO) -> None:
            office.perform(asked["task"], out)

        be_apart(work, bounds, sink, parent)
    os.close(sink)
    return _Forked(pid, socket.socket(fileno=life), begun)


def _limit_own_files() -> None:
    """Allow as many open files as the system does: each process that is forked takes two."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    configure_logs(*sys.argv[3:5])  # type: ignore[arg-type]
    _limit_own_files()
    main(socket.socket(fileno=int(sys.argv[1])), importlib.import_module(sys.argv[2]))
