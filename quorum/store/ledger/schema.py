"""The tables of the ledger.

Each message is kept whole, as the JSON it had on the wire (``body``), beside the columns that
queries need. ``cases`` holds one row an upload, with the upload's facts and its current verdict,
so that a list of 100,000 cases is read by an index and without joins.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

__all__ = [
    "UtcTime",
    "cases",
    "dead_letters",
    "deliveries",
    "forgotten",
    "metadata",
    "owners",
    "policies",
    "predictions",
    "reviews",
    "runs",
    "statements",
    "uploads",
    "verdicts",
]


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC; SQLite, which has no time zones, stores it without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC; a time without zone is refused."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = "a time of the ledger must have a zone"
            raise ValueError(msg)
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Set the zone to UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


#: Constraint names are fixed: migrations refer to them on any database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

_KEY = String(256)

uploads = Table(
    "uploads",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("uploader", _KEY, nullable=False),
    Column("published_at", UtcTime, nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_uploads_uploader", "uploader"),
    Index("ix_uploads_published_at_id", "published_at", "id"),
)

predictions = Table(
    "predictions",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("upload_id", _KEY, nullable=False),
    Column("detector", _KEY, nullable=False),
    Column("version", _KEY, nullable=False),
    Column("status", String(16), nullable=False),
    Column("score", Float),
    Column("shadow", Boolean, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_predictions_upload_id", "upload_id"),
    Index("ix_predictions_detector_at", "detector", "at"),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("upload_id", _KEY, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("action", String(16), nullable=False),
    Column("category", _KEY),
    Column("rule", _KEY, nullable=False),
    Column("policy_version", _KEY, nullable=False),
    Column("decided_by", String(16), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("latency", Float, nullable=False),
    #: When the content that it decided was published; null for verdicts of version 0.2.
    Column("content_at", UtcTime),
    Column("body", Text, nullable=False),
    Index("ix_verdicts_upload_id_revision", "upload_id", "revision"),
    Index("ix_verdicts_at_id", "at", "id"),
)

reviews = Table(
    "reviews",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("upload_id", _KEY, nullable=False),
    Column("verdict_id", _KEY, nullable=False),
    Column("action", String(16), nullable=False),
    Column("reviewer", _KEY, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_reviews_upload_id", "upload_id"),
    Index("ix_reviews_at_id", "at", "id"),
    Index("ix_reviews_reviewer_at", "reviewer", "at"),
)

statements = Table(
    "statements",
    metadata,
    Column("verdict_id", _KEY, primary_key=True),
    Column("upload_id", _KEY, nullable=False),
    Column("at", UtcTime, nullable=False),
    #: The text for the uploader.
    Column("text", Text, nullable=False),
    #: The record for a transparency database, as JSON, where one was made.
    Column("record", Text),
    Index("ix_statements_upload_id", "upload_id"),
    Index("ix_statements_at_verdict_id", "at", "verdict_id"),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("original_id", _KEY, nullable=False),
    Column("part", Integer, nullable=False),
    Column("parts", Integer, nullable=False),
    Column("stage", _KEY, nullable=False),
    Column("error", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    #: The owner if the original names it, for erasure.
    Column("upload_id", _KEY),
    Column("uploader", _KEY),
    Column("attributes", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("ix_dead_letters_at_id", "at", "id"),
    Index("ix_dead_letters_stage_at", "stage", "at"),
    Index("ix_dead_letters_uploader", "uploader"),
    Index("ix_dead_letters_upload_id", "upload_id"),
    Index("ix_dead_letters_original_id", "original_id"),
)

cases = Table(
    "cases",
    metadata,
    Column("upload_id", _KEY, primary_key=True),
    # The upload's facts; null until the upload is recorded.
    Column("uploader", _KEY),
    Column("title", Text),
    Column("language", String(35)),
    Column("published_at", UtcTime),
    # The current verdict, with the greatest (content_at, revision, at); null until a verdict is
    # recorded.
    Column("content_at", UtcTime),
    Column("verdict_id", _KEY),
    Column("revision", Integer),
    Column("action", String(16)),
    Column("category", _KEY),
    Column("rule", _KEY),
    Column("policy_version", _KEY),
    Column("decided_by", String(16)),
    Column("at", UtcTime),
    Column("latency", Float),
    #: The highest score that the verdict used, without shadow predictions.
    Column("top_score", Float),
    #: When a human last decided.
    Column("reviewed_at", UtcTime),
    Index("ix_cases_at_upload_id", "at", "upload_id"),
    Index("ix_cases_published_at_upload_id", "published_at", "upload_id"),
    Index("ix_cases_action_at_upload_id", "action", "at", "upload_id"),
    Index("ix_cases_action_top_score_upload_id", "action", "top_score", "upload_id"),
    Index("ix_cases_category_at_upload_id", "category", "at", "upload_id"),
    Index("ix_cases_rule_at_upload_id", "rule", "at", "upload_id"),
    Index("ix_cases_uploader_at_upload_id", "uploader", "at", "upload_id"),
    # Covers the counts of an account, and finds the newest of its removals among many uploads.
    Index("ix_cases_uploader_action_at", "uploader", "action", "at"),
)

#: The client of the web service that made an upload; none for uploads of streams and batches.
owners = Table(
    "owners",
    metadata,
    Column("upload_id", _KEY, primary_key=True),
    #: The name of its API key.
    Column("client", String(64), nullable=False),
)

#: Pending and ended webhook deliveries.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("endpoint", _KEY, nullable=False),
    Column("upload_id", _KEY, nullable=False),
    Column("verdict_id", _KEY, nullable=False),
    Column("attempts", Integer, nullable=False),
    #: The time of the next attempt; null when it was delivered or given up.
    Column("due_at", UtcTime),
    Column("ended_at", UtcTime),
    #: The error of the last attempt; null after success.
    Column("error", Text),
    Column("body", Text, nullable=False),
    #: The context of the verdict's trace; null where traces are off.
    Column("trace", Text),
    Index("ix_deliveries_due_at", "due_at"),
    Index("ix_deliveries_upload_id", "upload_id"),
)

#: Batch runs with their summaries, which reports compare.
runs = Table(
    "runs",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime, nullable=False),
    Column("policy_version", _KEY, nullable=False),
    Column("summary", Text, nullable=False),
    Index("ix_runs_ended_at", "ended_at"),
)

#: The policies that were released; the one with the greatest (at, id) is in force.
policies = Table(
    "policies",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("version", _KEY, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("activated_by", _KEY, nullable=False),
    Column("note", Text, nullable=False),
    Column("text", Text, nullable=False),
    #: The message as it was signed; null for what was activated before releases were recorded.
    Column("body", Text),
    Column("attributes", Text),
    #: When a console last published it to the topic.
    Column("sent_at", UtcTime),
    Index("ix_policies_at_id", "at", "id"),
    Index("ix_policies_version", "version"),
)

#: Digests of erased uploaders and uploads: a replay of an old stream must not restore them.
forgotten = Table(
    "forgotten",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("at", UtcTime, nullable=False),
)
