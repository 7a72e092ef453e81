"""Confine a process before it decodes: no network, and no writing outside one folder.

Landlock (Linux 5.13 and later) holds the folder and the ports of TCP; a filter of system calls
(seccomp, through libseccomp) holds all sockets, and what Landlock does not know. Both are inherited
and cannot be undone. Where the system lacks one, the other holds; ``protection`` tells which.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

__all__ = ["Protection", "confine", "protection"]

#: Landlock knows TCP from this version of its interface on.
_TCP: Final = 4

#: Calls that a decoder does not need. Sockets; the start of other programs; what reaches into other
#: processes, or changes files that Landlock does not hold; ``io_uring``, which does the like
#: without a call; and what often has faults that lead into the kernel.
_REFUSED: Final = """
    socket socketpair connect bind listen accept accept4 sendto sendmsg sendmmsg recvfrom
    recvmsg recvmmsg execve execveat fork vfork setsid setpgid ptrace process_vm_readv
    process_vm_writev process_madvise kill tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open
    pidfd_getfd pidfd_send_signal kcmp chmod fchmod fchmodat fchmodat2 chown fchown lchown
    fchownat utime utimes utimensat futimesat mknod mknodat setxattr lsetxattr fsetxattr
    removexattr lremovexattr fremovexattr io_uring_setup io_uring_enter io_uring_register
    unshare setns mount umount2 pivot_root chroot open_by_handle_at move_mount fsopen fsmount
    fsconfig open_tree mount_setattr bpf perf_event_open userfaultfd keyctl add_key request_key
    msgget semget shmget mq_open syslog personality
"""

_CLONE_THREAD: Final = 0x00010000


@dataclass(frozen=True, slots=True)
class Protection:
    """What confines a decoding process on this machine.

    Attributes:
        landlock: Version of the kernel's interface; 0 without.
        seccomp: Whether calls are filtered.
        missing: Why something is missing; empty if nothing is.
    """

    landlock: int
    seccomp: bool
    missing: tuple[str, ...] = ()

    @property
    def no_writing(self) -> bool:
        """Whether it can write into its own folder only."""
        return self.landlock > 0

    @property
    def no_network(self) -> bool:
        """Whether it has no network at all."""
        return self.seccomp

    def __str__(self) -> str:
        writes = "no writing outside its temporary folder" if self.no_writing else ""
        network = "no network" if self.no_network else "no TCP" if self.landlock >= _TCP else ""
        held = " and ".join(filter(None, (network, writes))) or "nothing is held back"
        return held + "".join(f"; {one}" for one in self.missing)


@lru_cache(maxsize=1)
def protection() -> Protection:
    """What confines a decoding process on this machine; also loads what ``confine`` needs."""
    missing = []
    landlock = 0
    try:
        from py_landlock import get_abi_version

        landlock = int(get_abi_version())
    except Exception as error:  # of the package, the kernel, or its configuration
        missing.append(f"no Landlock: {_one_line(error)}")
    seccomp = False
    try:
        _filter()
        seccomp = True
    except Exception as error:  # the library is not there, or too old
        missing.append(f"no seccomp: {_one_line(error)}")
    return Protection(landlock, seccomp, tuple(missing))


def confine(folder: Path) -> None:
    """Confine this thread, and what it starts, for ever; files that are open stay open.

    Args:
        folder: Where it may write.

    Raises:
        OSError: If the system refuses what ``protection`` promised.
    """
    held = protection()
    if held.landlock:
        from py_landlock import Landlock
        from py_landlock.errors import LandlockError

        try:
            Landlock(strict=False).allow_read("/").allow_write(folder).apply()
        except LandlockError as error:
            raise OSError(errno.EPERM, f"Landlock: {error}") from None
    if held.seccomp:
        _filter().load()


def _filter() -> Any:
    import pyseccomp

    refuse = pyseccomp.ERRNO(errno.EACCES)
    made = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for name in _REFUSED.split():
        try:
            made.add_rule(refuse, name)
        except OSError:  # not a call of this processor, or newer than the library
            continue
    # Threads may be started, processes may not.
    thread = pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, 0)
    made.add_rule(refuse, "clone", thread)
    made.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")  # its flags cannot be seen: use clone
    made.add_rule(refuse, "tgkill", pyseccomp.Arg(0, pyseccomp.NE, os.getpid()))
    return made


def _one_line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:120]
