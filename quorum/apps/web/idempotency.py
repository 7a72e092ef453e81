"""Answers kept for their ``idempotency-key``: a request that is sent again is answered again.

They are kept in this process, for a time. That is enough, because an upload's id says as much:
the same upload, policy and models give the same verdict id.
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
class _Kept:
    digest: bytes
    until: float
    answer: asyncio.Future[tuple[int, bytes, str]]


class IdempotencyStore:
    """The answers to requests with a key.

    Args:
        seconds: How long one is kept.
        limit: How many are kept; the oldest go first.
    """

    def __init__(self, seconds: float, limit: int) -> None:
        self._seconds = seconds
        self._limit = limit
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()

    async def once(
        self,
        client: str,
        key: str | None,
        body: bytes,
        make: Callable[[], Awaitable[Response]],
    ) -> Response:
        """The answer to a request, made once for each key of a client.

        Raises:
            Problem: If the key is too long, or came before with another body.
        """
        if key is None:
            return await make()
        if not key or len(key) > MAX_KEY:
            raise Problem(400, f"idempotency-key must have 1 to {MAX_KEY} characters")
        self._drop()
        place = (client, key)
        digest = hashlib.sha256(body).digest()
        kept = self._kept.get(place)
        if kept is not None:
            if kept.digest != digest:
                raise Problem(422, "this idempotency-key came before with another body")
            status, content, kind = await asyncio.shield(kept.answer)
            headers = {"idempotent-replayed": "true"}
            return Response(content, status, headers=headers, media_type=kind)
        answer = asyncio.get_running_loop().create_future()
        self._kept[place] = _Kept(digest, time.monotonic() + self._seconds, answer)
        try:
            response = await make()
        except BaseException as error:
            # What failed may be tried again with the same key.
            self._kept.pop(place, None)
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
        while self._kept:
            place, kept = next(iter(self._kept.items()))
            if kept.until > at and len(self._kept) < self._limit:
                return
            del self._kept[place]
