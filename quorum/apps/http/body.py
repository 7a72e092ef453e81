"""Limits on the size of a request's body and on the time it takes to arrive."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from quorum.apps.http.problems import Problem, Render, problem_response

__all__ = ["BodyLimits"]


#: How much of a refused body is read and discarded, and for how long: a client that is still
#: sending when the connection closes would not see the response.
_LINGER_BYTES = 256 * 1024 * 1024
_LINGER_SECONDS = 5.0


class BodyLimits:
    """ASGI middleware that refuses bodies that are too large or too slow.

    A refused body is never held in memory.

    Args:
        app: The application.
        body_bytes: Largest body.
        media_bytes: Largest body of a multipart form.
        seconds: Time for a client to send its body.
        render: Makes the refusals; by default RFC 9457 problems.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        body_bytes: int,
        media_bytes: int,
        seconds: float,
        render: Render | None = None,
    ) -> None:
        self._app = app
        self._render = render or (lambda _path, problem: problem_response(problem))
        self._body_bytes = body_bytes
        self._media_bytes = media_bytes
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        multipart = headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
        limit = self._media_bytes if multipart else self._body_bytes
        too_large = Problem(
            413, f"the body is larger than {limit:,} bytes", {"connection": "close"}
        )
        declared = headers.get(b"content-length", b"")
        if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
            await _discard(receive)
            await self._render(scope["path"], too_large)(scope, receive, send)
            return
        end = time.monotonic() + self._seconds
        state: dict[str, Any] = {"read": 0, "whole": False, "started": False, "refusal": None}

        def refused(problem: Problem) -> Problem:
            state["refusal"] = problem
            return problem

        async def limited_receive() -> Message:
            if state["whole"]:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, end - time.monotonic()))
            except TimeoutError:
                detail = f"the body did not arrive within {self._seconds:g} s"
                raise refused(Problem(408, detail, {"connection": "close"})) from None
            if message["type"] == "http.request":
                state["read"] += len(message.get("body", b""))
                state["whole"] = not message.get("more_body", False)
                if state["read"] > limit:
                    await _discard(receive)
                    raise refused(too_large)
            return message

        async def noted_send(message: Message) -> None:
            if state["refusal"] is not None and not state["started"]:
                return  # the application took the refusal for another error
            state["started"] = True
            await send(message)

        try:
            await self._app(scope, limited_receive, noted_send)
        except Problem as problem:
            if state["started"]:
                raise
            refused(problem)
        if state["refusal"] is not None and not state["started"]:
            await self._render(scope["path"], state["refusal"])(scope, receive, send)


async def _discard(receive: Receive) -> None:
    read = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while read < _LINGER_BYTES:
                message = await receive()
                read += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
