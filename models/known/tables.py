"""The tables of listed hashes, in the ledger's database; its migrations create them."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, MetaData, String, Table, Text

__all__ = ["entries", "metadata", "opinions", "standings", "state"]

#: The ledger's naming convention, so that one migration works on every database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: The hashes that each source lists.
entries = Table(
    "hash_entries",
    metadata,
    #: The exchange, or the list that was imported.
    Column("source", String(64), primary_key=True),
    #: sha256, sha1, md5 or pdq.
    Column("kind", String(8), primary_key=True),
    #: In hexadecimal, lower case.
    Column("value", String(64), primary_key=True),
    #: csam, intimate or terrorism.
    Column("category", String(16), nullable=False),
    #: The source's own name of the entry.
    Column("reference", String(256), nullable=False),
    #: RFC 3339 in UTC, which sorts as text.
    Column("at", String(40), nullable=False),
    Index("ix_hash_entries_kind_value", "kind", "value"),
    Index("ix_hash_entries_source_reference", "source", "reference"),
)

#: What people here, or the guard against floods, said of a hash, whatever lists it.
standings = Table(
    "hash_standings",
    metadata,
    Column("kind", String(8), primary_key=True),
    Column("value", String(64), primary_key=True),
    #: denied (never matches), flooded (matches, and people are asked) or trusted (never flooded).
    Column("standing", String(16), nullable=False),
    Column("by", String(256), nullable=False),
    Column("at", String(40), nullable=False),
    Column("why", Text, nullable=False),
)

#: The version of all of them, and where each exchange was left off.
state = Table(
    "hash_state",
    metadata,
    Column("name", String(96), primary_key=True),
    Column("value", Text, nullable=False),
)

#: What is to be sent to exchanges: confirmed and denied entries, and hashes that are shared.
opinions = Table(
    "hash_opinions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("source", String(64), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("value", String(64), nullable=False),
    Column("reference", String(256), nullable=False),
    #: confirm, deny or share.
    Column("opinion", String(16), nullable=False),
    Column("at", String(40), nullable=False),
    Column("by", String(256), nullable=False),
    Column("tries", Integer, nullable=False),
    #: Null while it waits.
    Column("sent_at", String(40)),
    Column("error", Text),
    Index("ix_hash_opinions_source_sent_at", "source", "sent_at"),
)
