"""Writes messages in one transaction, except those of erased uploaders and uploads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection

from quorum.core.messages import DeadLetter, Prediction, Review, Upload, Verdict
from quorum.store.ledger import erasure, reading, releases, rows, schema, writing
from quorum.store.ledger.values import (
    Delivery,
    Owner,
    Recordable,
    SignedRelease,
    StatementRecord,
)

__all__ = ["Rows", "as_rows", "write"]

_log = logging.getLogger(__name__)

#: Rows to write, by the kind of message that they come from.
Rows = dict[type, list[dict[str, Any]]]


def _texts(verdicts: Iterable[Verdict]) -> list[StatementRecord]:
    return [
        StatementRecord(verdict.id, verdict.upload_id, verdict.at, verdict.statement)
        for verdict in verdicts
        if verdict.statement
    ]


#: For each kind of message: the function that makes its row, and the one that writes rows.
_WRITERS: dict[type, tuple[Callable[[Any], dict[str, Any]], Callable[..., None]]] = {
    Upload: (rows.upload_row, writing.write_uploads),
    Prediction: (rows.prediction_row, writing.write_predictions),
    Verdict: (rows.verdict_row, writing.write_verdicts),
    Review: (rows.review_row, writing.write_reviews),
    StatementRecord: (rows.statement_row, writing.write_statements),
    Delivery: (rows.delivery_row, writing.write_deliveries),
    Owner: (rows.owner_row, writing.write_owners),
    DeadLetter: (rows.dead_letter_row, writing.write_dead_letters),
    SignedRelease: (releases.release_row, releases.write_releases),
}


def as_rows(messages: Iterable[Recordable]) -> Rows:
    """Rows of messages; a verdict that carries a statement has a row for it too.

    Raises:
        TypeError: If one of them cannot be recorded.
    """
    kinds: dict[type, list[Any]] = {kind: [] for kind in _WRITERS}
    for message in messages:
        if type(message) not in kinds:
            msg = f"the ledger records no {type(message).__name__}"
            raise TypeError(msg)
        kinds[type(message)].append(message)
    kinds[StatementRecord] += _texts(kinds[Verdict])
    return {
        kind: [_WRITERS[kind][0](message) for message in given]
        for kind, given in kinds.items()
        if given
    }


def write(connection: Connection, made: Rows) -> None:
    """Write rows in the connection's transaction."""
    # A policy belongs to nobody who can be erased.
    releases.write_releases(connection, made.get(SignedRelease, []))
    erased = _Erased(connection, made)
    erased.readmit(connection, made.get(Upload, []))
    foreign = _foreign(connection, made.get(Owner, []))
    for kind, given in made.items():
        if kind is SignedRelease:
            continue
        admitted = [
            row
            for row in given
            if erased.admits(kind, row)
            and row["id" if kind is Upload else "upload_id"] not in foreign
        ]
        _WRITERS[kind][1](connection, admitted)


def _foreign(connection: Connection, owners: Sequence[dict[str, Any]]) -> frozenset[str]:
    """The uploads of these owners that another client made, or none: nothing of them is written.

    The web service refuses such requests, but cannot tell while the ledger is away.
    """
    if not owners:
        return frozenset()
    ids = sorted({row["upload_id"] for row in owners})
    known = reading.owners_of(connection, ids)
    for upload_id in reading.recorded_uploads(connection, ids):
        known.setdefault(upload_id, "")
    for row in owners:
        known.setdefault(row["upload_id"], row["client"])
    found = frozenset(
        row["upload_id"] for row in owners if known[row["upload_id"]] != row["client"]
    )
    if found:
        _log.warning("%d uploads are not recorded: they are not of the client", len(found))
    return found


class _Erased:
    """The erased uploaders and uploads that a transaction mentions."""

    def __init__(self, connection: Connection, made: Rows) -> None:
        known = connection.execute(schema.forgotten.select().limit(1)).first()
        digests: set[str] = set()
        if known:
            for kind, given in made.items():
                for row in given if kind is not SignedRelease else ():
                    digests.update(_digests(kind, row))
        self._erased_at = erasure.erased_at(connection, sorted(digests)) if digests else {}

    def admits(self, kind: type, row: dict[str, Any]) -> bool:
        """Whether the row belongs to nobody erased, or is dated after the erasure."""
        dated = kind in {Upload, DeadLetter}
        at = row["published_at" if kind is Upload else "at"] if dated else None
        return all(
            value not in self._erased_at or (at is not None and at > self._erased_at[value])
            for value in _digests(kind, row)
        )

    def readmit(self, connection: Connection, uploads: Sequence[dict[str, Any]]) -> None:
        """Lift the erasure of uploads that were published again after it."""
        back = {
            erasure.forgotten_digest("upload", row["id"])
            for row in uploads
            if self.admits(Upload, row)
        } & self._erased_at.keys()
        if back:
            table = schema.forgotten
            connection.execute(table.delete().where(table.c.digest.in_(back)))
            for value in back:
                del self._erased_at[value]


def _digests(kind: type, row: dict[str, Any]) -> Iterator[str]:
    upload_id = row["id"] if kind is Upload else row["upload_id"]
    if upload_id:
        yield erasure.forgotten_digest("upload", upload_id)
    if row.get("uploader"):
        yield erasure.forgotten_digest("uploader", row["uploader"])
