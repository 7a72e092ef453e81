"""The console has the time limits and the strict framing of the web service."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("argon2", reason="needs quorum-moderation[console]")

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.console.app import create_console
from quorum.apps.console.desk.publishing import LedgerReviewPublisher
from quorum.apps.console.settings import ConsoleSettings
from quorum.apps.http.server import Server, bind
from quorum.store.ledger import Ledger
from tests.apps.http.slow_clients import trickle


@pytest.fixture
def port(ledger: Ledger) -> Iterator[int]:
    policy = load_policy("balanced")
    reviews = LedgerReviewPublisher(ledger, policy)
    app = create_console(ledger, policy, reviews, ConsoleSettings(body_seconds=1.0))
    taken = bind("127.0.0.1", 0)
    server = Server(app, drain=5, header_seconds=1.0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield taken.getsockname()[1]
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def answered(port: int, start: bytes, drip: bytes) -> bytes:
    """Send a start, then a byte each tenth of a second; until the server closes."""
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(start)
        return trickle(link, drip)[1]


def test_slow_headers(port: int) -> None:
    got = answered(port, b"GET /login HTTP/1.1\r\nhost: localhost\r\nx: ", b"a" * 100)
    assert got.startswith(b"HTTP/1.1 408 ")


def test_a_slow_form(port: int) -> None:
    start = (
        b"POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4000\r\n"
        b"content-type: application/x-www-form-urlencoded\r\n\r\nname="
    )
    got = answered(port, start, b"a" * 100)
    assert got.startswith(b"HTTP/1.1 408 ")


def test_a_form_of_two_lengths(port: int) -> None:
    start = (
        b"POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-length: 6\r\n"
        b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    )
    got = answered(port, start, b"a" * 30)
    assert got.startswith(b"HTTP/1.1 400 ")


def test_a_form_without_a_length_is_bounded(port: int) -> None:
    start = (
        b"POST /login HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n"
        b"content-type: application/x-www-form-urlencoded\r\n\r\n"
    )
    chunk = b"100000\r\n" + b"a" * 0x100000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
        link.sendall(start)
        with contextlib.suppress(ConnectionError):
            for _ in range(9):
                link.sendall(chunk)
        link.sendall(b"0\r\n\r\n")
        assert link.recv(4096).startswith(b"HTTP/1.1 413 ")
