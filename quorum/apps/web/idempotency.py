"""Responses stored by ``idempotency-key``: a repeated request gets the same response.

They are stored in this process, for a limited time and in a limited memory. That suffices, because
verdicts are idempotent: the same upload, policy and models give the same verdict id.
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

#: What an entry takes beside the bytes of its key and its response: 633 measured, rounded up.
ENTRY_BYTES = 800


@dataclass(slots=True)
class _StoredResponse:
    digest: bytes
    until: float
    answer: asyncio.Future[tuple[int, bytes, str]]
    size: int


class IdempotencyStore:
    """The responses to requests with a key.

    Args:
        seconds: How long a response is stored.
        limit: How many are stored; the oldest are dropped first.
        limit_bytes: How much memory they may take together; the oldest are dropped first, and a
            response that is larger by itself is not stored.

    Attributes:
        size: Bytes that the stored responses take.
    """

    def __init__(self, seconds: float, limit: int, limit_bytes: int) -> None:
        self._seconds = seconds
        self._limit = limit
        self._limit_bytes = limit_bytes
        self.size = 0
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
        self._drop(time.monotonic())
        place = (client, key)
        digest = hashlib.sha256(body).digest()
        stored = self._stored.get(place)
        if stored is not None:
            if stored.digest != digest:
                raise Problem(422, "this idempotency-key was used with another body")
            status, content, kind = await asyncio.shield(stored.answer)
            headers = {"idempotent-replayed": "true"}
            return Response(content, status, headers=headers, media_type=kind)
        entry = self._open(place, digest)
        try:
            response = await make()
        except BaseException as error:
            # A failed request may be repeated with the same key.
            self._remove(place, entry)
            if isinstance(error, Problem):
                entry.answer.set_exception(error)
            else:
                entry.answer.set_exception(
                    Problem(503, "the first request with this key did not end")
                )
            entry.answer.exception()
            raise
        body = bytes(response.body)
        entry.answer.set_result((response.status_code, body, str(response.media_type)))
        self._grow(place, entry, len(body))
        return response

    def _open(self, place: tuple[str, str], digest: bytes) -> _StoredResponse:
        """Reserve a place for the response to a first request."""
        at = time.monotonic()
        size = ENTRY_BYTES + sum(len(part) for part in place)
        entry = _StoredResponse(
            digest, at + self._seconds, asyncio.get_running_loop().create_future(), size
        )
        self._stored[place] = entry
        self.size += size
        self._drop(at)
        return entry

    def _grow(self, place: tuple[str, str], entry: _StoredResponse, size: int) -> None:
        """Count the response of an entry, and make room for it."""
        if self._stored.get(place) is not entry:
            return  # it was dropped while the response was made
        entry.size += size
        self.size += size
        if entry.size > self._limit_bytes:
            self._remove(place, entry)
        self._drop(time.monotonic())

    def _remove(self, place: tuple[str, str], entry: _StoredResponse) -> None:
        if self._stored.get(place) is entry:
            del self._stored[place]
            self.size -= entry.size

    def _drop(self, at: float) -> None:
        """Drop the oldest responses until the rest is young and small enough."""
        while self._stored:
            place, stored = next(iter(self._stored.items()))
            fits = len(self._stored) <= self._limit and self.size <= self._limit_bytes
            if stored.until > at and fits:
                return
            self._remove(place, stored)
