"""Runs a program whose listening sockets are on loopback alone: ``python -m … PROGRAM ARGUMENTS``.

Prism and Beam's job server listen on every interface, and have no option against that. Linux hands
each call of ``bind`` to this process, the program's parent (seccomp's user notification): where one
names every interface, the program's socket is bound to loopback in its stead (``pidfd_getfd``,
Linux 5.6). It stays the same socket, since a program may have it in an epoll set already. Little is
imported here, so that it starts at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import sys

from quorum.core.with_parent import end_with_parent

_RECEIVE = 0xC0502100
_SEND = 0xC0182101
_CONTINUE = 1
#: ``pidfd_getfd(2)`` on every processor; Python has no function for it.
_GET_FD = 438
#: id, pid, flags, number of the call, architecture, place, six arguments.
_NOTIFICATION = "=QIIiIQ6Q"
_ANSWER = "=QqiI"


def main(arguments: list[str]) -> int:
    """Run a program; returns its exit status.

    With ``--check`` alone, returns 0 if this machine can confine a program, else 1.
    """
    if arguments == ["--check"]:
        return _check()
    return _run(lambda: os.execv(arguments[0], arguments))  # noqa: S606


def _check() -> int:
    """Whether a socket that asks for every interface ends up on loopback."""

    def listen() -> None:
        for family, every in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104
            with contextlib.suppress(OSError), socket.socket(family) as made:
                made.bind((every, 0))
                made.listen()
                if made.getsockname()[0] not in ("127.0.0.1", "::ffff:127.0.0.1"):
                    os._exit(1)
                with socket.create_connection(("127.0.0.1", made.getsockname()[1])):
                    continue
            if family == socket.AF_INET:
                os._exit(1)
        os._exit(0)

    try:
        return _run(listen)
    except (OSError, ImportError, RuntimeError, AttributeError):
        return 1


def _run(begin: object) -> int:
    ours, theirs = socket.socketpair()
    parent, child = os.getpid(), os.fork()
    if child == 0:
        try:
            ours.close()
            # Its parent alone can answer it.
            end_with_parent(parent)
            socket.send_fds(theirs, [b"x"], [_filtered()])
            theirs.close()
            begin()  # type: ignore[operator]
        except BaseException as error:
            print(f"cannot confine the program: {error}", file=sys.stderr)  # noqa: T201
        os._exit(126)
    theirs.close()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda which, _frame: _kill(child, which))
    _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    if descriptors:
        _serve(descriptors[0], child)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _kill(child: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)


def _filtered() -> int:
    """Have this process' calls of ``bind`` handed to whoever holds the descriptor returned."""
    import pyseccomp

    made = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    made.add_rule(pyseccomp.NOTIFY, "bind")
    made.load()
    # The package has no name for it.
    descriptor = int(pyseccomp._libseccomp.seccomp_notify_fd(made._filter))
    if descriptor < 0:
        raise OSError(-descriptor, "no descriptor of seccomp's notifications")
    os.set_inheritable(descriptor, False)
    return descriptor


def _serve(descriptor: int, child: int) -> None:
    """Answer calls until the program ends."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    while True:
        for _, event in waiting.poll(1000):
            if event & (select.POLLHUP | select.POLLERR):
                return
            with contextlib.suppress(OSError):  # the caller ended meanwhile
                _answer(descriptor)
        status = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if status is not None:
            return


def _answer(descriptor: int) -> None:
    asked = bytearray(struct.calcsize(_NOTIFICATION))
    fcntl.ioctl(descriptor, _RECEIVE, asked)
    number, pid, *_, file, place, length, _, _, _ = struct.unpack(_NOTIFICATION, asked)
    flags = _CONTINUE
    error = 0
    try:
        if (address := _on_loopback(_address(pid, place, length))) is not None:
            with _socket_of(pid, file & 0xFFFFFFFF) as theirs:
                if theirs.type == socket.SOCK_STREAM:
                    flags = 0
                    if theirs.family == socket.AF_INET6:
                        theirs.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                    theirs.bind(address)
    except OSError as refused:
        flags, error = 0, -(refused.errno or errno.EACCES)
    answer = struct.pack(_ANSWER, number, 0, error, flags)
    fcntl.ioctl(descriptor, _SEND, bytearray(answer))


def _address(pid: int, place: int, length: int) -> bytes:
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:  # noqa: PTH123
        memory.seek(place)
        return memory.read(min(length, 128))


def _on_loopback(address: bytes) -> tuple[str, int] | None:
    """The loopback's address in the stead of one of every interface; None for any other."""
    family, port = struct.unpack_from("=H", address)[0], struct.unpack_from("!H", address, 2)[0]
    if family == socket.AF_INET and address[4:8] == bytes(4):
        return "127.0.0.1", port
    if family == socket.AF_INET6 and address[8:24] == bytes(16):
        return "::ffff:127.0.0.1", port
    return None


def _socket_of(thread: int, file: int) -> socket.socket:
    """A socket of another process, which is the same as its own."""
    with open(f"/proc/{thread}/status", encoding="ascii") as lines:  # noqa: PTH123
        process = next(int(line.split()[1]) for line in lines if line.startswith("Tgid:"))
    handle = os.pidfd_open(process)
    try:
        found = ctypes.CDLL(None, use_errno=True).syscall(_GET_FD, handle, file, 0)
    finally:
        os.close(handle)
    if found < 0:
        raise OSError(ctypes.get_errno(), "no socket of the program")
    return socket.socket(fileno=found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
