"""The network that fails, and the sampling of what the job tells."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from benchmarks.soak.proxy import Proxy
from benchmarks.soak.sampling import gauges


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve(client: socket.socket) -> None:
            with client, suppress(OSError):
                while data := client.recv(1000):
                    client.sendall(data)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    threading.Thread(target=serve, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield int(server.getsockname()[1])


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    made = Proxy(echo)
    yield made
    made.close()


def connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5.0)


def test_it_passes_bytes_both_ways(proxy: Proxy) -> None:
    with connected(proxy) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"


def test_slow_comes_late(proxy: Proxy) -> None:
    proxy.slow(0.2)
    with connected(proxy) as client:
        began = time.monotonic()
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
        assert time.monotonic() - began >= 0.4


def test_a_stall_passes_nothing_until_it_is_healed(proxy: Proxy) -> None:
    with connected(proxy) as client:
        client.sendall(b"one")
        assert client.recv(100) == b"one"
        proxy.stall()
        time.sleep(0.1)
        client.sendall(b"two")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(100)
        proxy.heal()
        client.settimeout(5.0)
        assert client.recv(100) == b"two"


def is_cut(client: socket.socket) -> bool:
    with suppress(ConnectionError):
        return client.recv(100) == b""
    return True


def test_refusing_cuts_old_and_new_connections_until_it_is_healed(proxy: Proxy) -> None:
    with connected(proxy) as old:
        old.sendall(b"hello")
        assert old.recv(100) == b"hello"
        proxy.refuse()
        assert is_cut(old)
    with connected(proxy) as new:
        assert is_cut(new)
    proxy.heal()
    with connected(proxy) as client:
        client.sendall(b"again")
        assert client.recv(100) == b"again"


def test_gauges_are_read_by_label() -> None:
    text = (
        "# HELP quorum_held_messages Messages.\n"
        "quorum_held_messages 3.0\n"
        'quorum_state{detector="odd",other="x"} 2.0\n'
        'quorum_state{detector="words"} 0.0\n'
    )
    assert gauges(text, "quorum_held_messages", "") == {"": 3.0}
    assert gauges(text, "quorum_state", "detector") == {"odd": 2.0, "words": 0.0}
    assert gauges(text, "absent", "detector") == {}
