"""Fingerprints of uploads, kept so that a work that is registered later finds them.

They are kept where the catalogue's folder has a folder ``uploads``, which
``quorum catalogue keep`` makes, and for as many days as it says. An upload that is lost in a
crash is one that a later work does not find: writing does not wait for the disk.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from models.copyright.fingerprint import Fingerprint
from quorum.errors import ConfigurationError
from quorum.messages import Upload

__all__ = ["KeptUploads"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS uploads (
  id TEXT PRIMARY KEY, at TEXT NOT NULL, upload BLOB NOT NULL, labels TEXT NOT NULL,
  data BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS upload_by_time ON uploads (at);
"""

#: Uploads between two times that the oldest are forgotten.
_FORGET_EVERY = 256


class KeptUploads:
    """The kept fingerprints.

    Args:
        folder: Where they lie.

    Raises:
        ConfigurationError: If the folder was not made by ``create``.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._days = float(json.loads((folder / "keep.json").read_bytes())["days"])
            self._database = sqlite3.connect(
                folder / "uploads.sqlite", timeout=30, check_same_thread=False, isolation_level=None
            )
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = OFF")
            self._database.executescript(_SCHEMA)
        except (OSError, ValueError, KeyError, TypeError, sqlite3.Error) as error:
            msg = f"{folder} keeps no uploads ({error}); quorum catalogue keep makes it do so"
            raise ConfigurationError(msg) from None
        self._lock = threading.Lock()
        self._kept = 0

    @staticmethod
    def create(folder: Path, days: float) -> None:
        """Let uploads be kept in a folder, for so many days."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "keep.json").write_text(json.dumps({"days": days}) + "\n", encoding="utf-8")

    def keep(
        self, upload: Upload, found: Fingerprint, labels: dict[str, float], at: datetime
    ) -> None:
        """Keep one upload, with what was said of it."""
        row = (upload.id, at.isoformat(), upload.to_bytes(), json.dumps(labels), found.to_bytes())
        with self._lock:
            self._database.execute("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?)", row)
            self._kept += 1
            if self._kept % _FORGET_EVERY == 1:
                self.forget(at)

    def forget(self, at: datetime) -> int:
        """Forget what is older than is allowed, and tell how many."""
        oldest = (at - timedelta(days=self._days)).isoformat()
        return self._database.execute("DELETE FROM uploads WHERE at < ?", (oldest,)).rowcount

    def __iter__(self) -> Iterator[tuple[Upload, Fingerprint, dict[str, float]]]:
        """All uploads, oldest first, with the labels that were said of them."""
        rows = self._database.execute("SELECT id FROM uploads ORDER BY at, id").fetchall()
        for (name,) in rows:
            row = self._database.execute(
                "SELECT upload, data, labels FROM uploads WHERE id = ?", (name,)
            ).fetchone()
            if row:
                upload, data, labels = row
                yield Upload.from_bytes(upload), Fingerprint.from_bytes(data), json.loads(labels)

    def close(self) -> None:
        """Give back the file."""
        self._database.close()
