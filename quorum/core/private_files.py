"""Files that only their owner may read: made so, and a warning where one is open to others."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from pathlib import Path
from typing import Final

from quorum.core.errors import ConfigurationError

__all__ = ["create_private", "warn_if_open", "write_secret"]

_log = logging.getLogger(__name__)

#: Read and write for the owner, nothing for anybody else.
_PRIVATE: Final = 0o600
_OTHERS: Final = 0o077
_ANYBODY: Final = 0o007

#: The files that were warned of: once in a process is enough.
_told: set[str] = set()


def create_private(path: Path) -> bool:
    """Make an empty file that only its owner may read and write, whatever the umask is.

    Returns:
        Whether it is new; an existing file stays as it is.

    Raises:
        OSError: If it cannot be made.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE))
    except FileExistsError:
        return False
    return True


def write_secret(path: Path, text: str) -> None:
    """Write a line to a new file that only its owner may read.

    Raises:
        ConfigurationError: If the file is there already, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    except OSError as error:
        msg = f"cannot write a new file {path}: {error.strerror or error}"
        raise ConfigurationError(msg) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text + "\n")


def warn_if_open(path: Path, what: str) -> None:
    """Log one line if other users of the machine may read or write a file.

    Args:
        path: The file; one that is not there is not warned of.
        what: What it is, such as "the ledger".
    """
    if os.name != "posix" or str(path) in _told:
        return
    with contextlib.suppress(OSError):
        found = path.stat()
        mode = stat.S_IMODE(found.st_mode)
        # What another user owns, such as a secret that Kubernetes mounts, is read by a group.
        if mode & (_OTHERS if found.st_uid == os.geteuid() else _ANYBODY):
            _told.add(str(path))
            _log.warning(
                "%s %s has the mode %s, so that other users of this machine may use it: "
                "chmod 600 %s",
                what,
                path,
                f"{mode:04o}",
                path,
            )
