"""Metrics, health and readiness of a process over HTTP, on a port of their own.

``/metrics`` is for Prometheus, ``/ready`` says whether the process is fit for work, ``/health`` (or
``/live``) whether it can go on without a restart. On an address that others can reach, metrics need
a key, and only who has one, or is on this machine, is told why a check fails.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from quorum.core import health, metrics
from quorum.core.errors import ConfigurationError

__all__ = ["Listen", "serve", "start"]

_log = logging.getLogger(__name__)

#: Requests at once; a probe and a few scrapes need no more.
_CONNECTIONS = 32

#: Seconds in which a request must arrive.
_REQUEST_SECONDS = 5.0


@dataclass(frozen=True)
class Listen:
    """Where a process serves its metrics and health.

    Attributes:
        process: One of ``quorum.core.metrics.PROCESSES``.
        port: TCP port; 0 for a free one.
        host: Address to listen on.
        allowed: Whether the headers of a request, by lower-case names, hold a key that may read
            metrics; None to let everybody read them.
    """

    process: str
    port: int
    host: str = "127.0.0.1"
    allowed: Callable[[dict[str, str]], bool] | None = None


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, listen: Listen) -> None:
        self.address_family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        self._free = threading.BoundedSemaphore(_CONNECTIONS)
        super().__init__((listen.host, listen.port), _Handler)
        self.set_app(_Pages(listen))

    def server_bind(self) -> None:
        """Bind without asking the resolver for this machine's name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name = str(self.server_address[0])
        self.server_port = int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; close the connection if too many are open."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """See ThreadingMixIn."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: the other end went away, or was too slow."""


class _Handler(WSGIRequestHandler):
    timeout = _REQUEST_SECONDS

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing: probes and scrapes come every few seconds."""


class _Pages:
    """The WSGI application."""

    def __init__(self, listen: Listen) -> None:
        self._listen = listen

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        allowed = self._listen.allowed
        may = allowed is None or allowed(headers)
        status, kind, body, more = HTTPStatus.OK, "application/json", b"", []
        match environ["PATH_INFO"]:
            case "/metrics" if may:
                body, kind = metrics.page(self._listen.process, headers)
            case "/metrics":
                status, kind, body = HTTPStatus.UNAUTHORIZED, "text/plain", b"a key is needed\n"
                more = [("www-authenticate", "Bearer")]
            case "/ready":
                status, body = self._told(*health.ready_answer(), environ, may=may)
            case "/health" | "/live":
                status, body = self._told(*health.alive_answer(), environ, may=may)
            case _:
                status, kind = HTTPStatus.NOT_FOUND, "text/plain"
                body = b"there are /metrics, /health and /ready\n"
        start_response(f"{status.value} {status.phrase}", [("content-type", kind), *more])
        return [body]

    def _told(
        self, well: bool, answer: dict[str, Any], environ: dict[str, Any], *, may: bool
    ) -> tuple[HTTPStatus, bytes]:
        here = ipaddress.ip_address(environ["REMOTE_ADDR"].partition("%")[0]).is_loopback
        if not here and (self._listen.allowed is None or not may) and "problems" in answer:
            # A reason may name hosts.
            answer["problems"] = dict.fromkeys(answer["problems"], "see the log")
        status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
        return status, json.dumps(answer).encode() + b"\n"


def serve(listen: Listen) -> tuple[WSGIServer, threading.Thread]:
    """Serve metrics, health and readiness.

    Returns:
        The server (its port is ``server_port``) and its thread.

    Raises:
        OSError: If the port is in use, or the address is not of this machine.
    """
    metrics.READY.set_function(lambda: float(not health.problems()))
    server = _Server(listen)
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    return server, thread


def start(listen: Listen | None) -> None:
    """Serve for as long as this process lives; without an address, serve nothing.

    Raises:
        ConfigurationError: If the port is in use, or the address is not of this machine.
    """
    if listen is None:
        return
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    try:
        server, _ = serve(listen)
    except OSError as error:
        msg = f"cannot serve metrics on {host}:{listen.port}: {error.strerror}; give another"
        raise ConfigurationError(msg) from None
    _log.info("metrics on http://%s:%d/metrics", host, server.server_port)
