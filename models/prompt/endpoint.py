"""Calls of an OpenAI-compatible server, each within limits of time and size.

One event loop on one thread makes the calls of a process, so that any of them can be abandoned at
any moment: while a name is looked up, while headers drip, in the middle of an answer. Redirects,
proxies of the environment and compressed answers are refused: nothing leaves for another address.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx

__all__ = ["CallFailed", "Endpoint", "Response", "run"]

_Made = TypeVar("_Made")

#: The most bytes of an answer.
MAX_ANSWER = 1024 * 1024

#: Waits before the second and the third try where the server names none, in seconds.
_WAITS = (0.2, 1.0)

#: After so many questions in a row without an answer, none is asked for some seconds.
_FAILURES = 3
_REST_SECONDS = 10.0
#: A server that asks for time with ``retry-after`` is left alone for no longer.
_LONGEST_REST = 300.0

#: Answers after which the same question may be asked again.
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})

#: How a server may be asked for JSON; the next one is tried where it refuses one.
FORMATS = ("json_schema", "json_object", "text")

#: Answers by which a server refuses a format.
_REFUSES = frozenset({400, 404, 415, 422, 501})


class CallFailed(Exception):
    """There is no answer; the text says why, and quotes nothing of the question or the key.

    Attributes:
        calls: The requests that were made.
        silent: Whether the server gave no answer, or only that it is out of order.
    """

    def __init__(self, why: str, calls: int = 1, *, silent: bool = False) -> None:
        super().__init__(why)
        self.calls = calls
        self.silent = silent


@dataclass(frozen=True, slots=True)
class Response:
    """An answer.

    Attributes:
        body: Its JSON.
        calls: The requests that it took.
    """

    body: Any
    calls: int


class Endpoint:
    """One server, one model.

    Args:
        url: Its address, up to ``/v1``.
        key: The API key; empty for none.
        formats: How to ask for JSON, the best first.
    """

    def __init__(self, url: str, key: str, formats: tuple[str, ...]) -> None:
        self._url = f"{url}/chat/completions"
        self._headers = {"accept": "application/json", "accept-encoding": "identity"}
        if key:
            self._headers["authorization"] = f"Bearer {key}"
        # Reading certificates takes long: once, before processes are forked.
        self._verify = httpx.create_ssl_context() if url.startswith("https:") else False
        self._formats = formats
        #: The first format that the server is known to answer.
        self._format = 0
        self._failures = 0
        self._rests_until, self._why_rest = 0.0, ""
        self._client: tuple[int, httpx.AsyncClient] | None = None

    async def ask(self, question: dict[str, Any], schema: dict[str, Any], until: float) -> Response:
        """Ask, and ask again where that may help.

        Args:
            question: The request, without ``response_format``.
            schema: The JSON Schema of the answer.
            until: When to give up, in monotonic seconds.

        Raises:
            CallFailed: If there is no answer by then, or a wrong one.
        """
        rest = self._rests_until - time.monotonic()
        if rest > 0:
            msg = f"{self._why_rest}; next try in {rest:.0f} s"
            raise CallFailed(msg, 0)
        try:
            made = await self._ask(question, schema, until)
        except CallFailed as error:
            self._failures += error.silent
            if self._failures >= _FAILURES:
                self._rest(_REST_SECONDS, f"the server did not answer {self._failures} times")
            raise
        self._failures = 0
        return made

    def _rest(self, seconds: float, why: str) -> None:
        """Ask nothing for some seconds."""
        self._rests_until = max(self._rests_until, time.monotonic() + seconds)
        self._why_rest = why

    async def _ask(
        self, question: dict[str, Any], schema: dict[str, Any], until: float
    ) -> Response:
        calls = tries = 0
        chosen = self._format
        while True:
            sent = {**question, **_response_format(self._formats[chosen], schema)}
            calls += 1
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    status, wait, body = await self._post(sent)
            except TimeoutError:
                msg = "no answer in time"
                raise CallFailed(msg, calls, silent=True) from None
            except httpx.HTTPError as error:
                status, wait, body = 0, None, _told(error).encode()
            if status == 200:
                # Only now: what was refused may have been this question, not its format.
                self._format = max(self._format, chosen)
                return Response(_json(body), calls)
            if status in _REFUSES and chosen + 1 < len(self._formats):
                chosen += 1
                continue
            why = f"HTTP {status}" if status else f"no connection: {body.decode()}"
            if 300 <= status < 400:
                msg = f"{why}: redirects are not followed"
                raise CallFailed(msg, calls)
            if status and status not in _AGAIN:
                raise CallFailed(why, calls)
            if tries == len(_WAITS):
                msg = f"{why}, {calls} times"
                raise CallFailed(msg, calls, silent=True)
            pause = _WAITS[tries] if wait is None else wait
            tries += 1
            if time.monotonic() + pause >= until:
                if wait:
                    self._rest(min(wait, _LONGEST_REST), f"{why}, and the server asks for time")
                msg = f"{why}; the next try in {pause:g} s would be too late"
                raise CallFailed(msg, calls, silent=status != 429)
            await asyncio.sleep(pause)

    async def _post(self, sent: dict[str, Any]) -> tuple[int, float | None, bytes]:
        """The status, the seconds of ``retry-after``, and the body of a request."""
        client = self._opened()
        async with client.stream("POST", self._url, json=sent, headers=self._headers) as response:
            wait = _seconds(response.headers.get("retry-after"))
            if response.status_code != 200:
                return response.status_code, wait, b""
            if response.headers.get("content-encoding", "identity") != "identity":
                msg = "the answer is compressed, which nobody asked for"
                raise CallFailed(msg)
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_ANSWER:
                    msg = f"the answer is larger than {MAX_ANSWER:,} bytes"
                    raise CallFailed(msg)
        return 200, wait, bytes(body)

    def _opened(self) -> httpx.AsyncClient:
        """The client of this process: connections are not shared with the one it was forked of."""
        if self._client is None or self._client[0] != os.getpid():
            made = httpx.AsyncClient(
                verify=self._verify,
                timeout=None,  # noqa: S113  (asyncio.timeout)
                follow_redirects=False,
                trust_env=False,
            )
            self._client = (os.getpid(), made)
        return self._client[1]

    def close(self) -> None:
        """Close the connections of this process."""
        held, self._client = self._client, None
        if held is not None and held[0] == os.getpid():
            run(held[1].aclose()).result(5.0)


def _response_format(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    if name == "json_schema":
        described = {"name": "judgement", "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": described}}
    return {} if name == "text" else {"response_format": {"type": name}}


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        msg = "the answer is not whole, or no JSON"
        raise CallFailed(msg) from None


def _seconds(retry_after: str | None) -> float | None:
    """The seconds of ``retry-after``, which may name a date; None where it has none."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        try:
            at = parsedate_to_datetime(retry_after or "")
        except ValueError:
            return None
        seconds = max(
            0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
        )
    return seconds if 0 <= seconds <= 86_400 else None


def _told(error: BaseException) -> str:
    """What went wrong with a connection, and with its certificate, where that is it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate is refused: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS: {(cause.reason or type(cause).__name__).replace('_', ' ').lower()}"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


_lock = threading.Lock()
_loop: tuple[int, asyncio.AbstractEventLoop] | None = None


def run(work: Coroutine[Any, Any, _Made]) -> Future[_Made]:
    """Run a coroutine on this process's loop for calls."""
    global _loop
    with _lock:
        if _loop is None or _loop[0] != os.getpid():
            made = asyncio.new_event_loop()
            threading.Thread(target=made.run_forever, name="endpoints", daemon=True).start()
            _loop = (os.getpid(), made)
        return asyncio.run_coroutine_threadsafe(work, _loop[1])
