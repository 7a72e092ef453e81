"""Keeps the ports of Prism and of Beam's job server on loopback, or says who can reach them.

Prism runs the command of a job for whoever reaches its port, and listens on every interface. Where
Linux lets us, its sockets are bound to loopback (``loopback_only``). Elsewhere the machine's
interfaces decide: none but loopback, as in a network namespace of its own, is well; an address
within a private network is warned of; a public one is refused unless it is accepted.
"""

from __future__ import annotations

import fcntl
import ipaddress
import logging
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from apache_beam.runners.portability.job_server import StopOnExitJobServer
from apache_beam.runners.portability.prism_runner import PrismJobServer, PrismRunner

from quorum.core.errors import ConfigurationError
from quorum.core.with_parent import with_parent

__all__ = ["can_confine", "guarded_runner", "on_loopback", "reachable_addresses"]

_log = logging.getLogger(__name__)

_LAUNCHER: Final = (sys.executable, "-m", "quorum.pipeline.loopback_only")
_CHECK_SECONDS: Final = 30.0
#: The request for the address of an interface (Linux).
_GET_ADDRESS: Final = 0x8915

_RISK: Final = (
    "Prism listens on every interface and runs commands for whoever reaches its port, and this "
    "machine cannot confine it to loopback"
)
_MEND: Final = (
    "put a firewall or a network namespace before it (docs/operations.md), or use --runner flink"
)


class _Server(PrismJobServer):
    """Beam's Prism, which ends with this process, started by ``loopback_only`` if it is confined.

    No file is written for it: the temporary folders of containers often run no programs.
    """

    def __init__(self, options: Any, *, confined: bool) -> None:
        super().__init__(options)  # type: ignore[no-untyped-call]
        self.confined = confined

    def subprocess_cmd_and_endpoint(self) -> tuple[list[Any], str]:
        """See SubprocessJobServer."""
        (program, *options), endpoint = super().subprocess_cmd_and_endpoint()
        launcher = _LAUNCHER if self.confined else ()
        command = [*launcher, str(Path(program).absolute()), *map(str, options)]
        return with_parent(command), endpoint


class _Runner(PrismRunner):
    """Beam's Prism runner with our server."""

    def __init__(self, *, confined: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.confined = confined

    def default_job_server(self, options: Any) -> Any:
        """See PrismRunner."""
        server = _Server(options, confined=self.confined)
        return StopOnExitJobServer(server)


def guarded_runner(*, accept_open: bool = False) -> PrismRunner:
    """Return the runner that starts Prism, on loopback alone if that can be had.

    Args:
        accept_open: Whether Prism may be open to the network, which is neither refused nor warned
            of then.

    Raises:
        ConfigurationError: If it cannot be confined, and the machine has a public address.
    """
    confined = can_confine()
    if not confined and not accept_open:
        _judge(reachable_addresses())
    return _Runner(confined=confined)


def _judge(addresses: tuple[str, ...]) -> None:
    public = [each for each in addresses if ipaddress.ip_address(each).is_global]
    if public:
        msg = (
            f"{_RISK}; it has the public address {public[0]}. Either {_MEND}, or accept it with "
            "--allow-open-prism"
        )
        raise ConfigurationError(msg)
    if addresses:
        _log.warning(
            "%s; whoever reaches %s can use it: %s, and accept it with --allow-open-prism",
            _RISK,
            ", ".join(addresses),
            _MEND,
        )


def on_loopback(program: str, command: Sequence[str]) -> list[str]:
    """A command whose sockets are on loopback alone, where that can be had; else it is warned of.

    Args:
        program: What it is called.
        command: What starts it.
    """
    if can_confine():
        return [*_LAUNCHER, *command]
    if addresses := reachable_addresses():
        _log.warning(
            "this machine cannot keep %s on loopback, and whoever reaches %s runs code by it: put "
            "a firewall before it",
            program,
            ", ".join(addresses),
        )
    return list(command)


@cache
def can_confine() -> bool:
    """Whether a program's sockets can be bound to loopback here; tried once in a process."""
    if sys.platform != "linux":
        return False
    try:
        done = subprocess.run(  # noqa: S603
            [*_LAUNCHER, "--check"],
            capture_output=True,
            timeout=_CHECK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def reachable_addresses() -> tuple[str, ...]:
    """The addresses of this machine's interfaces that are up, without loopback and link-local."""
    found = {*_of_interfaces(), *_of_ipv6()}
    if not found:
        with suppress(OSError):
            found = {str(each[4][0]) for each in socket.getaddrinfo(socket.gethostname(), None)}
    chosen = [ipaddress.ip_address(each.partition("%")[0]) for each in found]
    return tuple(
        sorted(str(each) for each in chosen if not (each.is_loopback or each.is_link_local))
    )


def _of_interfaces() -> Iterator[str]:
    """IPv4 addresses, of Linux's interfaces."""
    if sys.platform != "linux":
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            with suppress(OSError):  # one without an address
                answer = fcntl.ioctl(asking.fileno(), _GET_ADDRESS, request)
                yield socket.inet_ntoa(answer[20:24])


def _of_ipv6() -> Iterator[str]:
    """IPv6 addresses, as Linux lists them."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines():
            yield str(ipaddress.IPv6Address(bytes.fromhex(line.split()[0])))
