"""Connect only to public IP addresses, without resolving a name twice, and within limits."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from queue import Empty, Queue
from typing import Any, NoReturn

import httpcore

from quorum.core.errors import MediaRefused
from quorum.core.settings import MediaAccess

__all__ = ["CheckedNetwork", "FetchLimits", "MediaGone", "is_public", "within"]

#: Well-known prefixes of IPv6 addresses that embed an IPv4 address: NAT64 and 6to4.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_6TO4 = ipaddress.ip_network("2002::/16")
#: All that IPv6 has of global unicast addresses (RFC 4291): whatever lies outside is local, special
#: or not assigned.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
#: Ranges within the global ones that IANA's registries of special purposes set apart, and that
#: the standard library of some Python that we run on takes for global.
_SPECIAL = tuple(
    ipaddress.ip_network(each)
    for each in (
        "192.0.0.0/24",  # protocol assignments, RFC 6890
        "192.88.99.0/24",  # relays of 6to4, deprecated by RFC 7526
        "2001::/23",  # protocol assignments, RFC 2928
        "3fff::/20",  # documentation, RFC 9637
    )
)

_Options = Iterable[httpcore.SOCKET_OPTION]


class MediaGone(MediaRefused):
    """Media from an allowed source that is missing or does not arrive."""


def is_public(address: str) -> bool:
    """Whether an IP address is publicly routable.

    Private, loopback, link-local (including cloud metadata services), site-local, shared, reserved,
    documentation and multicast addresses are not, nor are IPv6 addresses outside global unicast and
    those that embed one of these.
    """
    made = ipaddress.ip_address(address.split("%")[0])
    if isinstance(made, ipaddress.IPv6Address):
        inner = made.ipv4_mapped
        if inner is None and made in _NAT64:
            inner = ipaddress.IPv4Address(int(made) & 0xFFFFFFFF)
        if inner is None and made in _6TO4:
            inner = ipaddress.IPv4Address((int(made) >> 80) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if made not in _GLOBAL_UNICAST:
            return False
    if any(made in each for each in _SPECIAL if each.version == made.version):
        return False
    return made.is_global and not made.is_multicast and not made.is_reserved


def _resolved(host: str, port: int, seconds: float) -> list[str]:
    """Resolve a host to its addresses.

    The system resolver has no timeout parameter, so it runs on its own thread, which is abandoned
    if it does not answer.
    """
    answer: Queue[list[str] | Exception] = Queue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
        except Exception as error:  # re-raised on the caller's thread
            answer.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        made = answer.get(timeout=seconds)
    except Empty:
        msg = f"media is gone: resolving the host {host} took too long"
        raise MediaGone(msg) from None
    if isinstance(made, OSError | UnicodeError):
        msg = f"media is gone: the host {host} has no address"
        raise MediaGone(msg) from made
    if isinstance(made, Exception):
        raise made
    return made


class CheckedNetwork(httpcore.SyncBackend):
    """Connects only to addresses that pass a check, and to exactly the checked address.

    Args:
        admits: Whether a connection to an IP address is allowed.
        limits: Limits of the fetch; name resolution and connecting count against its time.
    """

    def __init__(self, admits: Callable[[str], bool], limits: FetchLimits) -> None:
        self._admits = admits
        self._limits = limits

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _Options | None = None,
    ) -> httpcore.NetworkStream:
        """See httpcore.NetworkBackend."""
        addresses = _resolved(host, port, self._limits.left())
        for address in addresses:
            if not self._admits(address):
                msg = f"media refused: the host {host} has an address that is not public"
                raise MediaRefused(msg)
        last: Exception | None = None
        for address in addresses:
            try:
                left = self._limits.left()
                stream = super().connect_tcp(address, port, left, local_address, socket_options)
                return _TimedStream(stream, self._limits)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        msg = f"media is gone: the host {host} does not answer"
        raise MediaGone(msg) from last

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: _Options | None = None
    ) -> httpcore.NetworkStream:
        """Reject: an untrusted URL must not reach local sockets."""
        msg = "media refused: not over a socket of this machine"
        raise MediaRefused(msg)


class _TimedStream(httpcore.NetworkStream):
    """A connection of which every operation ends by the deadline of the fetch.

    A timeout of httpcore begins anew with each operation, so that a server that sends one byte a
    second holds it for ever: in the handshake, the header, or the frame of a chunk.

    Args:
        stream: The connection.
        limits: Limits of the fetch.
    """

    def __init__(self, stream: httpcore.NetworkStream, limits: FetchLimits) -> None:
        self._stream = stream
        self._limits = limits

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See httpcore.NetworkStream."""
        return self._stream.read(max_bytes, self._limits.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """See httpcore.NetworkStream."""
        sock: socket.socket = self._stream.get_extra_info("socket")
        left = memoryview(buffer)
        try:
            while left:
                sock.settimeout(self._limits.left())
                left = left[sock.send(left) :]
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """See httpcore.NetworkStream."""
        made = self._stream.start_tls(ssl_context, server_hostname, self._limits.left())
        return _TimedStream(made, self._limits)

    def close(self) -> None:
        """See httpcore.NetworkStream."""
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        """See httpcore.NetworkStream."""
        return self._stream.get_extra_info(info)


def within(limits: FetchLimits, work: Callable[[], None]) -> None:
    """Do something that has no deadline of its own on a thread that is abandoned at the deadline.

    Raises:
        MediaGone: If it takes longer.
    """
    done: Queue[BaseException | None] = Queue()

    def run() -> None:
        try:
            work()
        except BaseException as error:  # re-raised on the caller's thread
            done.put(error)
        else:
            done.put(None)

    threading.Thread(target=run, name="fetch", daemon=True).start()
    error: BaseException | None = None
    with contextlib.suppress(Empty):
        error = done.get(timeout=limits.left())
        if error is None:
            return
    if error is not None:
        raise error
    limits.expire()


class FetchLimits:
    """Byte and time budget of one fetch, from the look-up of the name to the last byte."""

    def __init__(self, access: MediaAccess) -> None:
        self._max_bytes = access.max_bytes
        self._timeout = access.timeout
        self._end = time.monotonic() + access.timeout
        self._bytes = 0

    def left(self) -> float:
        """Remaining seconds; raises MediaGone if there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            self.expire()
        return left

    def expire(self) -> NoReturn:
        """Raise MediaGone: the time is over."""
        msg = f"media is gone: it did not arrive within {self._timeout:g} s"
        raise MediaGone(msg)

    def announce(self, size: int) -> None:
        """Reject early if the announced size is too large."""
        if size > self._max_bytes:
            msg = f"media refused: {size:,} bytes; the limit is {self._max_bytes:,}"
            raise MediaRefused(msg)

    def add(self, size: int) -> None:
        """Count received bytes."""
        self._bytes += size
        if self._bytes > self._max_bytes:
            msg = f"media refused: more than {self._max_bytes:,} bytes"
            raise MediaRefused(msg)
        self.left()
