"""Raw connections to the server that web service and console share."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("fastapi", reason="needs quorum-moderation[web]")

from fastapi import FastAPI, Request, Response

from quorum.apps.http.body import BodyLimits
from quorum.apps.http.server import Server, bind
from tests.apps.http.slow_clients import trickle

#: Long enough that a request on a busy machine arrives, short enough to wait for.
HEADER_SECONDS = 1.0
WHOLE = b"GET /fast HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    app = FastAPI()

    @app.get("/fast")
    async def fast() -> str:
        return "fast"

    @app.get("/slow")
    def slow() -> str:
        time.sleep(2 * HEADER_SECONDS)
        return "slow"

    @app.post("/unread")
    async def unread() -> Response:
        return Response(status_code=401)

    @app.post("/read")
    async def read(request: Request) -> int:
        return len(await request.body())

    app.add_middleware(BodyLimits, body_bytes=10_000, media_bytes=10_000, seconds=HEADER_SECONDS)
    taken = bind("127.0.0.1", 0)
    server = Server(app, drain=5, header_seconds=HEADER_SECONDS)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield taken.getsockname()[1]
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10 * HEADER_SECONDS) as made:
        yield made


def answer_of(link: socket.socket) -> bytes:
    """One response with a content-length."""
    got = b""
    while b"\r\n\r\n" not in got:
        part = link.recv(4096)
        assert part, got
        got += part
    head, _, body = got.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    size = next(int(one.split(b":")[1]) for one in lines if one.startswith(b"content-length:"))
    while len(body) < size:
        body += link.recv(4096)
    return head + b"\r\n\r\n" + body


def all_of(link: socket.socket) -> bytes:
    """All until the server closes."""
    got = b""
    while part := link.recv(4096):
        got += part
    return got


def in_time(seconds: float) -> bool:
    return 0.5 * HEADER_SECONDS < seconds < 4 * HEADER_SECONDS


ENDLESS = b"GET /fast HTTP/1.1\r\nhost: x\r\nx-padding: " + b"a" * 200


def test_slow_headers_are_refused(port: int) -> None:
    with connected(port) as link:
        seconds, got = trickle(link, ENDLESS)
    assert in_time(seconds)
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in head and b"connection: close" in head.lower()
    assert json.loads(body)["detail"] == "the headers did not arrive within 1 s"


def test_a_connection_without_a_request_is_closed(port: int) -> None:
    with connected(port) as link:
        begun = time.monotonic()
        assert all_of(link) == b""
        assert in_time(time.monotonic() - begun)


def test_slow_headers_after_a_first_request_are_refused(port: int) -> None:
    with connected(port) as link:
        link.sendall(WHOLE)
        assert answer_of(link).endswith(b'"fast"')
        time.sleep(1.5 * HEADER_SECONDS)  # idle, which is no fault
        link.sendall(WHOLE)
        assert answer_of(link).endswith(b'"fast"')
        seconds, got = trickle(link, ENDLESS)
    assert in_time(seconds)
    assert got.startswith(b"HTTP/1.1 408 ")


def test_slow_headers_behind_a_pipelined_request_are_refused(port: int) -> None:
    with connected(port) as link:
        link.sendall(WHOLE + ENDLESS[:20])
        assert answer_of(link).endswith(b'"fast"')
        seconds, got = trickle(link, ENDLESS[20:])
    assert in_time(seconds)
    assert got.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_nobody_reads_must_end_in_time_too(port: int) -> None:
    with connected(port) as link:
        link.sendall(b"POST /unread HTTP/1.1\r\nhost: x\r\ncontent-length: 5000\r\n\r\n")
        assert answer_of(link).startswith(b"HTTP/1.1 401 ")
        seconds, got = trickle(link, b"x" * 200)
    assert in_time(seconds)
    assert got == b""


def test_a_slow_body_is_refused(port: int) -> None:
    with connected(port) as link:
        link.sendall(b"POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 5000\r\n\r\n")
        seconds, got = trickle(link, b"x" * 200)
    assert in_time(seconds)
    assert got.startswith(b"HTTP/1.1 408 ")


def test_a_slow_answer_is_waited_for(port: int) -> None:
    with connected(port) as link:
        link.sendall(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        assert answer_of(link).endswith(b'"slow"')
        link.sendall(WHOLE)
        assert answer_of(link).endswith(b'"fast"')


SMUGGLED = b"POST /read HTTP/1.1\r\nhost: x\r\n%b\r\n0\r\n\r\n" + WHOLE


@pytest.mark.parametrize(
    "sent",
    [
        SMUGGLED % b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
        SMUGGLED % b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        (SMUGGLED % b"transfer-encoding: chunked\r\n").replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    ],
    ids=["length-first", "coding-first", "http-1.0"],
)
def test_a_body_of_two_lengths_is_refused_and_the_connection_closed(port: int, sent: bytes) -> None:
    with connected(port) as link:
        link.sendall(sent)
        got = all_of(link)
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in head.lower()
    assert json.loads(body)["status"] == 400  # and nothing after it: one answer only


def test_a_chunked_body_is_read(port: int) -> None:
    with connected(port) as link:
        link.sendall(
            b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n0\r\n\r\n"
        )
        assert answer_of(link).endswith(b"\r\n\r\n3")


def test_what_is_not_http_is_refused(port: int) -> None:
    with connected(port) as link:
        link.sendall(b"\x16\x03\x01 not http\r\n\r\n")
        assert all_of(link).startswith(b"HTTP/1.1 400 ")
