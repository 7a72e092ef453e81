"""Fingerprints of uploads, kept so that works registered later can be found in them.

``quorum catalogue keep`` enables this and sets the retention. In the catalogue's own file, commits
do not wait for the disk: a crash may lose the latest uploads.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, func, insert, select, update

from quorum.core.messages import Upload
from quorum.models.copyright.catalogue.database import Database
from quorum.models.copyright.catalogue.tables import uploads
from quorum.models.fingerprint.fingerprint import Fingerprint

__all__ = ["KeptUpload", "KeptUploads"]

#: Number of uploads between two deletions of expired ones.
_FORGET_EVERY = 256


class KeptUpload(NamedTuple):
    """A kept upload with the labels of its last finding."""

    upload: Upload
    found: Fingerprint
    labels: dict[str, float]


class KeptUploads:
    """The store of kept uploads; thread-safe.

    Args:
        database: Their database.
        days: Retention.
    """

    def __init__(self, database: Database, days: float) -> None:
        self._database = database
        self._days = days
        self._lock = threading.Lock()
        self._kept = 0

    def keep(
        self, upload: Upload, found: Fingerprint, labels: dict[str, float], at: datetime
    ) -> None:
        """Store one upload with the labels of its finding.

        Of two contents of an upload the one that was published later stays.

        Raises:
            EngineUnavailable: If the database cannot be reached.
        """
        with self._lock:
            self._kept += 1
            if self._kept % _FORGET_EVERY == 1:
                self.forget(at)
        with self._database.writing(works=False) as connection:
            stored = select(uploads.c.upload).where(uploads.c.id == upload.id)
            before = connection.execute(stored).scalar_one_or_none()
            if before is not None:
                if Upload.from_bytes(before).published_at > upload.published_at:
                    return
                connection.execute(delete(uploads).where(uploads.c.id == upload.id))
            connection.execute(
                insert(uploads).values(
                    id=upload.id,
                    at=at.isoformat(),
                    upload=upload.to_bytes(),
                    labels=json.dumps(labels),
                    data=found.thinned().to_bytes(),
                )
            )

    def note(self, upload_id: str, labels: dict[str, float]) -> None:
        """Replace the labels of an upload; its age does not change.

        Raises:
            EngineUnavailable: If the database cannot be reached.
        """
        with self._database.writing(works=False) as connection:
            connection.execute(
                update(uploads).where(uploads.c.id == upload_id).values(labels=json.dumps(labels))
            )

    def forget(self, at: datetime) -> int:
        """Delete expired uploads, and return their number."""
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

    def after(self, at: str) -> Iterator[tuple[str, KeptUpload]]:
        """The uploads that were compared after a time, oldest first, each with that time.

        Args:
            at: RFC 3339 in UTC, as it was yielded; empty for all.
        """
        u = uploads.c
        with self._database.reading() as connection:
            query = select(u.id, u.at).where(u.at > at).order_by(u.at, u.id)
            listed = list(connection.execute(query))
        for name, when in listed:
            kept = self.get(name)
            if kept is not None:
                yield when, kept

    def count_after(self, at: str) -> int:
        """The number of uploads that were compared after a time; see ``after``."""
        with self._database.reading() as connection:
            query = select(func.count()).select_from(uploads).where(uploads.c.at > at)
            return int(connection.execute(query).scalar_one())

    def get(self, upload_id: str) -> KeptUpload | None:
        """One upload; None if it is not kept."""
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
        """Close all connections."""
        self._database.close()
