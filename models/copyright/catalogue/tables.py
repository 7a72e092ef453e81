"""The tables of the catalogue.

They lie in a SQLite file of the catalogue's own, or in the ledger's database, whose migrations
make them there. A work is kept whole, as JSON (``facts``), beside the columns that queries need.
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

#: As the ledger names its constraints, so that one migration can name them on any database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_LIVING = text("NOT removed")

#: Registered works. The row of one that was removed stays, without its print: a serial number is
#: never given twice, and index files that still hold the number can be told from it.
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
    #: Hashes that are looked up.
    Column("entries", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("removed", Boolean, nullable=False),
    Index(
        "ix_catalogue_works_id", "id", unique=True, sqlite_where=_LIVING, postgresql_where=_LIVING
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

#: What holds of the whole: a digest of the content, a count of changes, a name, for how long
#: uploads are kept.
state = Table(
    "catalogue_state",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
)

#: Fingerprints of uploads, for works that are registered later.
uploads = Table(
    "catalogue_uploads",
    metadata,
    Column("id", String(256), primary_key=True),
    #: When it was last looked at, in RFC 3339 and UTC, which sorts as text.
    Column("at", String(40), nullable=False),
    Column("upload", LargeBinary, nullable=False),
    #: What was said of it, as JSON.
    Column("labels", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("ix_catalogue_uploads_at", "at"),
)
