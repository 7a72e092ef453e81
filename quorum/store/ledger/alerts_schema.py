"""The tables of alerts to people: their episodes, and what was sent of each to whom."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text

from quorum.store.ledger.schema import UtcTime, metadata

__all__ = ["alert_notices", "alerts"]

alerts = Table(
    "alerts",
    metadata,
    Column("id", String(64), primary_key=True),
    #: rule, removals, overturned, failures or drift.
    Column("kind", String(16), nullable=False),
    #: The rule or the detector; empty where there is one alone.
    Column("name", String(256), nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    #: Null while it lasts.
    Column("resolved_at", UtcTime),
    #: Since when the rate is as usual; null while it is not.
    Column("calm_since", UtcTime),
    #: What was found when it began and when it ended, as JSON.
    Column("opened", Text, nullable=False),
    Column("last", Text),
    Index("ix_alerts_resolved_at", "resolved_at"),
    Index("ix_alerts_opened_at_id", "opened_at", "id"),
)

#: One row for each that is to be told and each channel: nobody is told twice.
alert_notices = Table(
    "alert_notices",
    metadata,
    Column("alert_id", String(64), primary_key=True),
    #: opened or resolved.
    Column("event", String(16), primary_key=True),
    Column("channel", String(64), primary_key=True),
    Column("attempts", Integer, nullable=False),
    #: The next attempt; null if it was sent or given up.
    Column("due_at", UtcTime),
    Column("ended_at", UtcTime),
    #: Why the last attempt failed; null if it was sent.
    Column("error", Text),
    Index("ix_alert_notices_channel_due_at", "channel", "due_at"),
)
