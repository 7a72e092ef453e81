"""Fingerprints of uploads, kept so that a work that is registered later finds them.

They are kept where ``quorum catalogue keep`` says so, and for as many days. An upload that is
lost in a crash is one that a later work does not find: in a catalogue's own file, writing does
not wait for the disk.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, insert, select, update

from quorum.core.messages import Upload
from quorum.models.copyright.catalogue.database import Database
from quorum.models.copyright.catalogue.tables import uploads
from quorum.models.fingerprint.fingerprint import Fingerprint

__all__ = ["KeptUpload", "KeptUploads"]

#: Uploads between two times that the oldest are forgotten.
_FORGET_EVERY = 256


class KeptUpload(NamedTuple):
    """An upload that was looked at, and what was said of it."""

    upload: Upload
    found: Fingerprint
    labels: dict[str, float]


class KeptUploads:
    """The kept fingerprints; may be shared by threads.

    Args:
        database: Where.
        days: For how long.
    """

    def __init__(self, database: Database, days: float) -> None:
        self._database = database
        self._days = days
        self._lock = threading.Lock()
        self._kept = 0

    def keep(
        self, upload: Upload, found: Fingerprint, labels: dict[str, float], at: datetime
    ) -> None:
        """Keep one upload, with what was said of it.

        Raises:
            EngineUnavailable: If the database cannot be reached.
        """
        with self._lock:
            self._kept += 1
            if self._kept % _FORGET_EVERY == 1:
                self.forget(at)
        with self._database.writing(works=False) as connection:
            connection.execute(delete(uploads).where(uploads.c.id == upload.id))
            connection.execute(
                insert(uploads).values(
                    id=upload.id,
                    at=at.isoformat(),
                    upload=upload.to_bytes(),
                    labels=json.dumps(labels),
                    data=found.to_bytes(),
                )
            )

    def note(self, upload_id: str, labels: dict[str, float]) -> None:
        """Put what is said of an upload now in the place of what was said; it ages on.

        Raises:
            EngineUnavailable: If the database cannot be reached.
        """
        with self._database.writing(works=False) as connection:
            connection.execute(
                update(uploads).where(uploads.c.id == upload_id).values(labels=json.dumps(labels))
            )

    def forget(self, at: datetime) -> int:
        """Forget what is older than is allowed, and tell how many."""
        oldest = (at - timedelta(days=self._days)).isoformat()
        with self._database.writing(works=False) as connection:
            return connection.execute(delete(uploads).where(uploads.c.at < oldest)).rowcount

    def __iter__(self) -> Iterator[KeptUpload]:
        """All uploads, oldest first."""
        with self._database.reading() as connection:
            query = select(uploads.c.id).order_by(uploads.c.at, uploads.c.id)
            names = list(connection.execute(query).scalars())
        for name in names:
            kept = self.get(name)
            if kept is not None:
                yield kept

    def get(self, upload_id: str) -> KeptUpload | None:
        """One upload; None where it is not kept."""
        with self._database.reading() as connection:
            row = connection.execute(select(uploads).where(uploads.c.id == upload_id)).first()
        if row is None:
            return None
        return KeptUpload(
            Upload.from_bytes(row.upload),
            Fingerprint.from_bytes(row.data),
            json.loads(row.labels),
        )

    def close(self) -> None:
        """Give back the connections."""
        self._database.close()
