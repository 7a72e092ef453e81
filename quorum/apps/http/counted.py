"""Counts the responses of a web application, by route and HTTP status."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from quorum.core.metrics import REQUESTS

__all__ = ["CountResponses"]


class CountResponses:
    """ASGI middleware that counts responses by route and status."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count its response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Not the path itself: clients could create any number of label values.
                route = getattr(scope.get("route"), "path", "other")
                REQUESTS.labels(route, str(message["status"])).inc()
            await send(message)

        await self._app(scope, receive, counted)
