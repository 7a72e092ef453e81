"""A bound on the downloads of Beam, which has none: of its engines and job servers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["bounded_download"]

#: How long a download may stand still.
_SECONDS = 20.0


@contextmanager
def bounded_download() -> Iterator[None]:
    """Let connections that are made in the block stand still for at most 20 s."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
