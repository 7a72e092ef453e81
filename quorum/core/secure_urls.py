"""Whether what is sent to a URL can be read in between."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

__all__ = ["LOOPBACK", "is_secure_url"]

#: This machine, by name.
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def is_secure_url(url: str) -> bool:
    """Whether a URL is https, or http on loopback, where nobody listens in between."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK))
