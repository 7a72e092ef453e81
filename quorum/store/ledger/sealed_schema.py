"""The tables of sealed cases: child-abuse material, whose media nobody is shown in the console."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text

from quorum.store.ledger.schema import UtcTime, metadata

__all__ = ["sealed_cases", "sealed_events", "sealed_matches"]

_KEY = String(256)

sealed_cases = Table(
    "sealed_cases",
    metadata,
    Column("upload_id", _KEY, primary_key=True),
    #: What pages, logs and exports call the case: nothing of the upload can be read from it.
    Column("id", String(64), nullable=False),
    #: open, confirmed, reported or denied.
    Column("state", String(16), nullable=False),
    #: match (a listed hash) or person.
    Column("how", String(16), nullable=False),
    Column("sealed_at", UtcTime, nullable=False),
    Column("sealed_by", _KEY, nullable=False),
    #: When it must be reported; null once it is, or where it was denied.
    Column("due_at", UtcTime),
    #: Whether a hash of it matched too much, so that people are asked before anything is removed.
    Column("flooded", Boolean, nullable=False),
    #: The upload as it was sealed, as JSON: an edit does not change what is preserved.
    Column("content", Text),
    Column("decided_at", UtcTime),
    Column("decided_by", _KEY),
    #: Whether a person looked at the whole file, outside of the console; null while nobody said.
    Column("viewed", Boolean),
    #: The report: when its package was last written, the digest of it, and the number it got.
    Column("packaged_at", UtcTime),
    Column("package", String(64)),
    Column("reported_at", UtcTime),
    Column("reported_by", _KEY),
    Column("report_number", String(64)),
    #: Erasure and retention keep the case until then; null for as long as it is not reported.
    Column("preserved_until", UtcTime),
    #: When the end of the preservation was told.
    Column("ended_at", UtcTime),
    Index("ix_sealed_cases_id", "id"),
    Index("ix_sealed_cases_state_due_at", "state", "due_at"),
    Index("ix_sealed_cases_preserved_until", "preserved_until"),
)

#: The listed hashes that a sealed upload matched.
sealed_matches = Table(
    "sealed_matches",
    metadata,
    Column("upload_id", _KEY, primary_key=True),
    #: sha256, sha1, md5 or pdq, a colon, and the value.
    Column("hash", String(80), primary_key=True),
    #: exact or similar.
    Column("how", String(16), nullable=False),
    #: What the detector says of it: list, entry, distance.
    Column("what", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Index("ix_sealed_matches_hash_at", "hash", "at"),
)

#: What happened to each sealed case, in order: its log, and its proof.
sealed_events = Table(
    "sealed_events",
    metadata,
    Column("case_id", String(64), primary_key=True),
    #: Consecutive in each case, from 1.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("event", String(32), nullable=False),
    #: A user of the console, ``detector`` or ``clock``.
    Column("actor", _KEY, nullable=False),
    #: JSON; never the upload, its words, or whose it is.
    Column("details", Text, nullable=False),
    #: Whether the console's audit log has it.
    Column("logged", Boolean, nullable=False),
    Index("ix_sealed_events_logged", "logged"),
)
