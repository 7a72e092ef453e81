"""One HTTP connection: Uvicorn's protocol with a time limit for headers and strict framing.

Uvicorn limits how long a connection may be idle between requests, but not how long a request may
take to arrive: each byte ends its timer. Here a timer runs from the connection to the end of the
first request's headers, and from the first byte of each further request to the end of its headers.
The body has a limit of its own while the application reads it (``BodyLimits``).
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

__all__ = ["Connection", "ConnectionConfig"]


class ConnectionConfig(uvicorn.Config):
    """Uvicorn's configuration, for connections of the class ``Connection``.

    Args:
        app: The ASGI application.
        header_seconds: Seconds in which the headers of a request must arrive.
        options: Further options of Uvicorn.
    """

    def __init__(self, app: Any, *, header_seconds: float, **options: Any) -> None:
        # Named, since Uvicorn would take another parser where one is installed. Without its headers
        # of proxies, by which whoever can reach loopback may give a request any address.
        super().__init__(app, http=Connection, proxy_headers=False, **options)
        self.header_seconds = header_seconds


class _StrictParser(h11.Connection):
    """A parser that refuses requests whose body two readers may delimit differently.

    RFC 9112, section 6.1: with both fields, a proxy that trusts the one and a server that trusts
    the other disagree on where the next request begins, which lets a client smuggle one past the
    proxy. HTTP/1.0 does not have transfer codings at all.
    """

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            names = {name for name, _ in event.headers}
            if b"transfer-encoding" in names and (
                b"content-length" in names or event.http_version < b"1.1"
            ):
                msg = (
                    "a request must not have transfer-encoding together with content-length, "
                    "nor in HTTP/1.0"
                )
                raise h11.RemoteProtocolError(msg)
        return event


class Connection(H11Protocol):
    """Uvicorn's HTTP/1.1 protocol; closes connections whose requests arrive too slowly."""

    config: ConnectionConfig

    def __init__(
        self,
        config: ConnectionConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        size = config.h11_max_incomplete_event_size
        self.conn = _StrictParser(h11.SERVER) if size is None else _StrictParser(h11.SERVER, size)
        self._slow: asyncio.TimerHandle | None = None
        self._received = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._limit_wait()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._received = True
        super().data_received(data)
        self._limit_wait()

    def on_response_complete(self) -> None:
        """See H11Protocol: the keep-alive timer runs until the next byte, then this one."""
        super().on_response_complete()
        if self._slow is not None and not self._waits():
            self._stop_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._stop_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, and close."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _waits(self) -> bool:
        """Whether the client has to send before the application can go on.

        So it is before the headers are complete, and while a client sends the rest of a body that
        the application answered without reading.
        """
        return not self.transport.is_closing() and (
            self.cycle is None or self.cycle.response_complete
        )

    def _limit_wait(self) -> None:
        if not self._waits():
            self._stop_timer()
        elif self._slow is None:
            self._slow = self.loop.call_later(self.config.header_seconds, self._too_slow)

    def _stop_timer(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def _too_slow(self) -> None:
        self._slow = None
        if not self._waits():
            return
        if self._received and self.conn.our_state is h11.IDLE:
            seconds = self.config.header_seconds
            self._refuse(
                HTTPStatus.REQUEST_TIMEOUT, f"the headers did not arrive within {seconds:g} s"
            )
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer with a problem of RFC 9457 without the application, and close."""
        problem = {
            "type": "about:blank",
            "title": status.phrase,
            "status": status.value,
            "detail": detail,
        }
        body = json.dumps(problem).encode()
        answer = h11.Response(
            status_code=status.value,
            reason=status.phrase.encode(),
            headers=[
                (b"content-type", b"application/problem+json"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
            ],
        )
        for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
