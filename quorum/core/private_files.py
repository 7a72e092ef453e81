"""Files that only their owner may read: made so, and a warning where one is open to others."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from pathlib import Path
from typing import Final

from quorum.core.errors import ConfigurationError

__all__ = ["create_private", "read_secret", "warn_if_open", "write_secret"]

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


def read_secret(
    text: str | None, file: str | None, variable: str, what: str
) -> tuple[str, str] | None:
    """The secret that a variable of the environment holds, or the file that another one names.

    Args:
        text: The value of the variable.
        file: The value of the variable with ``_FILE``.
        variable: Its name.
        what: What it is, such as "the signing key".

    Returns:
        The secret and where it was found; None if there is none.

    Raises:
        ConfigurationError: If both are set, or the file cannot be read.
    """
    if text and file:
        msg = f"{variable} and {variable}_FILE are both set; set one"
        raise ConfigurationError(msg)
    if text:
        return text, variable
    if not file:
        return None
    warn_if_open(Path(file), what)
    try:
        return Path(file).read_text(encoding="utf-8"), file
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        msg = f"cannot read {what} {file}: {reason}"
        raise ConfigurationError(msg) from None


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
