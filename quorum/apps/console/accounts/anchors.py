"""Anchors: the end of the audit log at some time, written to where the database cannot reach.

A log that was cut short no longer holds the line of its newest anchor. Each anchor goes to the
process' own log as well, which another machine may collect.
"""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Final

from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.audit_key import Anchor, AuditKey
from quorum.core.errors import ConfigurationError
from quorum.core.messages import now
from quorum.core.private_files import create_private
from quorum.store.ledger import Ledger

__all__ = ["AnchorWriter", "read_anchors"]

_log = logging.getLogger(__name__)

_SECONDS: Final = 300.0


class AnchorWriter:
    """Writes an anchor every few minutes in which the log grew.

    Args:
        ledger: The ledger.
        file: The file, one JSON object a line; None for the process' log alone.
        key: The audit key, if there is one.
    """

    def __init__(self, ledger: Ledger, file: Path | None, key: AuditKey | None) -> None:
        self._ledger = ledger
        self._file = file
        self._key = key
        self._last = 0
        self._due = time.monotonic()

    def step(self, *, now_due: bool = False) -> None:
        """Write an anchor if one is due and the log grew since the last.

        Raises:
            ConfigurationError: If the file cannot be written.
        """
        if not now_due and time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _SECONDS
        lines = audit.newest(self._ledger, limit=1)
        if not lines or lines[0].number == self._last:
            return
        at = now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        made = Anchor(lines[0].number, lines[0].digest, at)
        if self._key is not None:
            made = Anchor(made.number, made.digest, at, made.expected(self._key))
        if self._file is not None:
            _append(self._file, made)
        self._last = made.number
        _log.info(
            "audit log anchored: line %d, digest %s, code %s",
            made.number,
            made.digest,
            made.mac or "none: it is not keyed",
        )


def _append(file: Path, made: Anchor) -> None:
    row = {name: getattr(made, name) for name in Anchor.__slots__}
    try:
        create_private(file)
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")
    except OSError as error:
        msg = f"cannot write the anchors {file}: {error.strerror or error}"
        raise ConfigurationError(msg) from None


def read_anchors(file: Path) -> list[Anchor]:
    """Read a file of anchors; an absent one is empty.

    Raises:
        ConfigurationError: If it cannot be read, or a line is no anchor.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [Anchor(**json.loads(line)) for line in lines if line.strip()]
    except OSError as error:
        msg = f"cannot read the anchors {file}: {error.strerror or error}"
        raise ConfigurationError(msg) from None
    except (ValueError, TypeError):
        msg = f"{file} holds a line that is no anchor of the audit log"
        raise ConfigurationError(msg) from None
