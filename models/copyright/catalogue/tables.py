"""The tables of the catalogue.

They are created in the catalogue's own SQLite file, or in the ledger's database by its migrations.
A work is stored whole, as JSON (``facts``), beside the columns that queries use.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

__all__ = ["digests", "metadata", "prints", "state", "uploads", "works"]

#: The ledger's naming convention, so that one migration works on every database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_REGISTERED = text("NOT removed")

#: Registered works. The row of a removed work remains without its print: serial numbers are never
#: reused, and index files may still contain them.
works = Table(
    "catalogue_works",
    metadata,
    Column("serial", Integer, primary_key=True, autoincrement=True),
    Column("id", String(256), nullable=False),
    Column("title", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("facts", Text, nullable=False),
    #: Digest of the facts and the print.
    Column("content", String(32), nullable=False),
    #: Number of index entries.
    Column("entries", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("removed", Boolean, nullable=False),
    Index(
        "ix_catalogue_works_id",
        "id",
        unique=True,
        sqlite_where=_REGISTERED,
        postgresql_where=_REGISTERED,
    ),
    sqlite_autoincrement=True,
)

prints = Table(
    "catalogue_prints",
    metadata,
    Column("serial", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)

digests = Table(
    "catalogue_digests",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("serial", Integer, primary_key=True, autoincrement=False),
)

#: Key-value state of the catalogue, see ``state.Name``.
state = Table(
    "catalogue_state",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
)

#: Fingerprints of uploads, to compare with works that are registered later.
uploads = Table(
    "catalogue_uploads",
    metadata,
    Column("id", String(256), primary_key=True),
    #: Time of the last comparison, RFC 3339 in UTC, which sorts as text.
    Column("at", String(40), nullable=False),
    Column("upload", LargeBinary, nullable=False),
    #: Labels of the last finding, as JSON.
    Column("labels", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("ix_catalogue_uploads_at", "at"),
)
