"""Responses stored by ``idempotency-key``: a repeated request gets the same response.

They are stored in this process, for a limited time. That suffices, because verdicts are
idempotent: the same upload, policy and models give the same verdict id.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import Response

from quorum.apps.http.problems import Problem

__all__ = ["IdempotencyStore"]

MAX_KEY = 255


@dataclass(slots=True)
class _StoredResponse:
    digest: bytes
    until: float
    answer: asyncio.Future[tuple[int, bytes, str]]


class IdempotencyStore:
    """The responses to requests with a key.

    Args:
        seconds: How long a response is stored.
        limit: How many are stored; the oldest are dropped first.
    """

    def __init__(self, seconds: float, limit: int) -> None:
        self._seconds = seconds
        self._limit = limit
        self._stored: OrderedDict[tuple[str, str], _StoredResponse] = OrderedDict()

    async def once(
        self,
        client: str,
        key: str | None,
        body: bytes,
        make: Callable[[], Awaitable[Response]],
    ) -> Response:
        """Return the response to a request, produced once for each key of a client.

        Raises:
            Problem: If the key is too long, or was used with another body.
        """
        if key is None:
            return await make()
        if not key or len(key) > MAX_KEY:
            raise Problem(400, f"idempotency-key must have 1 to {MAX_KEY} characters")
        self._drop()
        place = (client, key)
        digest = hashlib.sha256(body).digest()
        stored = self._stored.get(place)
        if stored is not None:
            if stored.digest != digest:
                raise Problem(422, "this idempotency-key was used with another body")
            status, content, kind = await asyncio.shield(stored.answer)
            headers = {"idempotent-replayed": "true"}
            return Response(content, status, headers=headers, media_type=kind)
        answer = asyncio.get_running_loop().create_future()
        self._stored[place] = _StoredResponse(digest, time.monotonic() + self._seconds, answer)
        try:
            response = await make()
        except BaseException as error:
            # A failed request may be repeated with the same key.
            self._stored.pop(place, None)
            if isinstance(error, Problem):
                answer.set_exception(error)
            else:
                answer.set_exception(Problem(503, "the first request with this key did not end"))
            answer.exception()
            raise
        answer.set_result((response.status_code, bytes(response.body), str(response.media_type)))
        return response

    def _drop(self) -> None:
        at = time.monotonic()
        while self._stored:
            place, stored = next(iter(self._stored.items()))
            if stored.until > at and len(self._stored) < self._limit:
                return
            del self._stored[place]
