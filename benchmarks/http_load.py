"""A load generator that costs little: requests that are ready bytes, on connections that are kept.

A client for users (``httpx``) takes more processor time for a request than the service does, which
on the same machine would be measured as the service's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

__all__ = ["Answer", "Clients"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered.

    Attributes:
        status: HTTP's number.
        headers: By their names in lower case.
    """

    status: int
    headers: Mapping[str, str]


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Clients:
    """Any number of clients of one server, each on a connection of its own while it waits.

    Args:
        port: Of the server, on loopback.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Stream] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for _, writer in self._idle:
            writer.close()

    async def post(self, path: str, body: bytes) -> Answer:
        """Send JSON and wait for the answer.

        Raises:
            OSError: If there is none.
        """
        head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return await self._ask(head.encode() + body)

    async def get(self, path: str) -> Answer:
        """Ask, and wait for the answer."""
        return await self._ask(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode())

    async def _ask(self, request: bytes) -> Answer:
        reader, writer = await self._stream()
        try:
            writer.write(request)
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
            await reader.readexactly(int(headers["content-length"]))
        except asyncio.IncompleteReadError as error:
            writer.close()
            msg = "the server closed the connection without an answer"
            raise ConnectionError(msg) from error
        except BaseException:
            writer.close()
            raise
        if headers.get("connection") == "close":
            writer.close()
        else:
            self._idle.append((reader, writer))
        return Answer(int(lines[0].split(" ")[1]), headers)

    async def _stream(self) -> Stream:
        while self._idle:
            reader, writer = self._idle.pop()
            if not (reader.at_eof() or writer.is_closing()):
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self._port)
