"""The HTTP server: takes requests until it is told to end, and then finishes what it holds."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from quorum.core.errors import EngineUnavailable

__all__ = ["Server", "bind"]

#: Seconds for requests that are in the works when the server is told to end: as long as
#: orchestrators wait before they kill.
DRAIN_SECONDS = 25

#: Connections at once; over that the server answers 503 at once.
CONNECTIONS = 2000


def bind(host: str, port: int) -> socket.socket:
    """Take a port, before models are loaded, so that a taken one is told at once.

    Raises:
        EngineUnavailable: If it cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP: only then does asyncio send small parts at once, where TCP would wait 40 ms.
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
    except OSError as error:
        taken.close()
        msg = f"cannot listen on {host} port {port}: {error.strerror}; choose another with --port"
        raise EngineUnavailable(msg) from None
    return taken


class Server(uvicorn.Server):
    """Uvicorn, which after SIGTERM finishes what it holds and lets the process exit with 0."""

    def __init__(self, app: FastAPI, *, drain: int = DRAIN_SECONDS) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                access_log=False,
                log_config=None,
                server_header=False,
                limit_concurrency=CONNECTIONS,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=drain,
                lifespan="on",
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Uvicorn's own raises the signal again at the end, which would exit with an error."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        chosen = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in chosen}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
