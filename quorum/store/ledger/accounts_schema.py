"""The tables of decisions on uploaders' accounts: those of verdicts, people's orders, appeals."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table, Text

from quorum.store.ledger.schema import UtcTime, metadata

__all__ = ["account_appeals", "account_orders", "account_verdicts"]

_KEY = String(256)

#: What verdicts decide on accounts; a row is in force while its verdict is that of its case.
account_verdicts = Table(
    "account_verdicts",
    metadata,
    Column("verdict_id", _KEY, primary_key=True),
    Column("id", _KEY, nullable=False),
    Column("uploader", _KEY, nullable=False),
    Column("upload_id", _KEY, nullable=False),
    #: warn, suspend or ban.
    Column("action", String(16), nullable=False),
    #: proposed or holds.
    Column("state", String(16), nullable=False),
    Column("until", UtcTime),
    Column("at", UtcTime, nullable=False),
    #: The whole decision, as JSON.
    Column("body", Text, nullable=False),
    Index("ix_account_verdicts_uploader_at", "uploader", "at"),
    Index("ix_account_verdicts_upload_id", "upload_id"),
    Index("ix_account_verdicts_at_verdict_id", "at", "verdict_id"),
    Index("ix_account_verdicts_state_at_verdict_id", "state", "at", "verdict_id"),
)

#: What people decide on accounts in the console, and an outbox: an order waits until it can no
#: longer be undone, and is then published as a review of the upload that it rests on.
account_orders = Table(
    "account_orders",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("uploader", _KEY, nullable=False),
    #: The upload that it rests on, and the verdict on it that the reviewer saw.
    Column("upload_id", _KEY, nullable=False),
    Column("verdict_id", _KEY, nullable=False),
    #: warn, suspend, ban, or none to lift what the verdict decides on the account.
    Column("action", String(16), nullable=False),
    Column("until", UtcTime),
    #: A sentence for the account's owner.
    Column("reason", Text, nullable=False),
    Column("reviewer", _KEY, nullable=False),
    Column("at", UtcTime, nullable=False),
    #: Who confirmed a ban, or refused it.
    Column("second", _KEY),
    Column("second_at", UtcTime),
    #: proposed, refused, waiting, undone or published.
    Column("state", String(16), nullable=False),
    #: When it can no longer be undone; null while it is proposed.
    Column("due_at", UtcTime),
    Column("error", Text),
    #: The appeal that it answers.
    Column("appeal", _KEY),
    Index("ix_account_orders_uploader_at", "uploader", "at"),
    Index("ix_account_orders_upload_id", "upload_id"),
    Index("ix_account_orders_state_due_at", "state", "due_at"),
)

#: Appeals against decisions on accounts.
account_appeals = Table(
    "account_appeals",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("uploader", _KEY, nullable=False),
    Column("upload_id", _KEY, nullable=False),
    Column("verdict_id", _KEY, nullable=False),
    Column("text", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    #: open, upheld or reversed, as those of uploads.
    Column("state", String(16), nullable=False),
    #: Who decided on the account, and who confirmed it; neither may decide the appeal.
    Column("first_reviewer", _KEY),
    Column("second", _KEY),
    Column("reviewer", _KEY),
    Column("decided_at", UtcTime),
    #: The reply to the account's owner.
    Column("statement", Text),
    Index("ix_account_appeals_uploader", "uploader"),
    Index("ix_account_appeals_upload_id", "upload_id"),
    Index("ix_account_appeals_state_at", "state", "at"),
)
