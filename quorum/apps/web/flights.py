"""Requests in progress by upload: two contents of one upload are decided one after another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from quorum.apps.http.problems import Problem

__all__ = ["Flights"]


@dataclass(slots=True)
class _Flight:
    client: str
    digest: str
    count: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Flights:
    """The uploads of requests in progress; for use from one event loop."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight] = {}

    @contextlib.asynccontextmanager
    async def join(self, upload_id: str, client: str, digest: str) -> AsyncIterator[None]:
        """Wait for requests with another content of the upload, then be one in progress.

        Raises:
            Problem: If a request of another client with this id is in progress.
        """
        while True:
            flight = self._flights.get(upload_id)
            if flight is None:
                flight = self._flights[upload_id] = _Flight(client, digest)
            if flight.client != client:
                detail = (
                    "another client sends an upload with this id now: give yours an id of its own"
                )
                raise Problem(409, detail)
            if flight.digest == digest:
                break
            await flight.done.wait()
        flight.count += 1
        try:
            yield
        finally:
            flight.count -= 1
            if not flight.count:
                del self._flights[upload_id]
                flight.done.set()
