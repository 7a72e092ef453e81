"""A TCP proxy before the broker, which goes away as a test says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class BrokerProxy:
    """Forwards connections to a broker.

    Args:
        host: The broker, as ``host:port``.
    """

    def __init__(self, host: str) -> None:
        name, port = host.rsplit(":", 1)
        self._target = (name, int(port))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._flowing = threading.Event()
        self._flowing.set()
        self._refusing = False
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def host(self) -> str:
        """Where it listens, as ``host:port``."""
        return f"127.0.0.1:{self._listening.getsockname()[1]}"

    def stall(self) -> None:
        """Keep connections and forward nothing: the broker does not answer."""
        self._flowing.clear()

    def refuse(self) -> None:
        """Close all connections and every new one: the broker is gone."""
        self._refusing = True
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def come_back(self) -> None:
        """Forward again."""
        self._refusing = False
        self._flowing.set()

    def close(self) -> None:
        """End it."""
        self._listening.close()
        self.refuse()
        self._flowing.set()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listening.accept()
            except OSError:
                return
            if self._refusing:
                accepted.close()
                continue
            behind = socket.create_connection(self._target)
            self._open += [accepted, behind]
            for source, sink in ((accepted, behind), (behind, accepted)):
                threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def broker_proxy(host: str) -> Iterator[BrokerProxy]:
    """A proxy before a broker."""
    made = BrokerProxy(host)
    try:
        yield made
    finally:
        made.close()
