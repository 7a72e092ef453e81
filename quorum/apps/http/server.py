"""The HTTP server: on SIGTERM it finishes the requests in progress, then exits with 0."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType

import uvicorn
from fastapi import FastAPI

from quorum.apps.http.connection import ConnectionConfig
from quorum.core.errors import EngineUnavailable
from quorum.core.process_end import HANDLER_SECONDS

__all__ = ["Server", "bind", "closing_of", "requests_of"]

#: Seconds for requests in progress at SIGTERM: about as long as orchestrators wait before they
#: kill.
DRAIN_SECONDS = 25

#: Seconds in which the headers of a request must arrive: a browser on a slow line needs one or two.
HEADER_SECONDS = 10.0

#: Connections at once; beyond that, the server answers 503 immediately.
CONNECTIONS = 2000


def bind(host: str, port: int) -> socket.socket:
    """Bind a port before models are loaded, to fail fast if it is in use.

    Raises:
        EngineUnavailable: If it cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP: only then does asyncio set TCP_NODELAY, without which small parts wait 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        msg = f"cannot listen on {host} port {port}: {error.strerror}; choose another with --port"
        raise EngineUnavailable(msg) from None
    return bound


def closing_of(drain: float) -> float:
    """Of the seconds of a drain, those to close what is left once no request is."""
    return max(0.5, min(5.0, drain / 4))


def requests_of(drain: float) -> int:
    """Of the seconds of a drain, those for requests in progress."""
    return max(0, int(drain - closing_of(drain) - HANDLER_SECONDS))


class Server(uvicorn.Server):
    """Uvicorn that finishes requests in progress after SIGTERM and exits with 0.

    Args:
        app: The application.
        drain: Seconds for requests in progress at SIGTERM.
        header_seconds: Seconds in which the headers of a request must arrive.
    """

    def __init__(
        self,
        app: FastAPI,
        *,
        drain: int = DRAIN_SECONDS,
        header_seconds: float = HEADER_SECONDS,
    ) -> None:
        #: Set at the first signal that asks to stop.
        self.stopping = threading.Event()
        super().__init__(
            ConnectionConfig(
                app,
                header_seconds=header_seconds,
                access_log=False,
                log_config=None,
                server_header=False,
                limit_concurrency=CONNECTIONS,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=drain,
                lifespan="on",
            )
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at a signal."""
        self.stopping.set()
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals; Uvicorn's own method raises them again, which exits with an error."""
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
