"""Clients that send a byte at a time."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest


def trickle(link: socket.socket, data: bytes, pause: float = 0.1) -> tuple[float, bytes]:
    """Send byte by byte until the server closes: after how many seconds, and what it answered."""
    begun = time.monotonic()
    link.settimeout(pause)
    got = b""
    for byte in data:
        with contextlib.suppress(OSError):
            link.send(bytes([byte]))
        try:
            part = link.recv(4096)
        except TimeoutError:
            continue
        except ConnectionError:
            return time.monotonic() - begun, got
        if not part:
            return time.monotonic() - begun, got
        got += part
    pytest.fail("the server still waits")
