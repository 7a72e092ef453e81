"""The tables of users' reports: reporters, reported contents, and the reports on them."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Integer, String, Table, Text

from quorum.store.ledger.schema import UtcTime, metadata

__all__ = ["report_cases", "reporters", "reports"]

_KEY = String(256)

#: Who reports, with their track record and their throttle.
reporters = Table(
    "reporters",
    metadata,
    #: A digest of the kind, the client and the name.
    Column("id", String(64), primary_key=True),
    #: user (of a platform), public (the form without an account), trusted (DSA Article 22), or
    #: notice (a legal notice).
    Column("kind", String(16), nullable=False),
    #: The name of the API key; null for the form.
    Column("client", String(64)),
    #: The platform's name of the user; a digest of the network for the form.
    Column("name", _KEY, nullable=False),
    Column("sent", Integer, nullable=False),
    Column("upheld", Integer, nullable=False),
    Column("rejected", Integer, nullable=False),
    Column("first_at", UtcTime, nullable=False),
    Column("last_at", UtcTime, nullable=False),
    #: The token bucket of the throttle.
    Column("tokens", Float, nullable=False),
    Column("tokens_at", UtcTime, nullable=False),
    #: Article 23: a lead does not process their reports until then.
    Column("suspended_until", UtcTime),
    Column("suspended_at", UtcTime),
    Column("suspended_by", _KEY),
    Index("ix_reporters_rejected_id", "rejected", "id"),
    Index("ix_reporters_suspended_at", "suspended_at"),
)

#: One row for each reported content, however many report it.
report_cases = Table(
    "report_cases",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("upload_id", _KEY),
    #: The digest of the content that was reported; null while the ledger does not know the upload.
    Column("content", _KEY),
    #: The address that was reported, where no upload was named.
    Column("location", Text),
    Column("known", Boolean, nullable=False),
    #: open or closed.
    Column("state", String(16), nullable=False),
    #: That of the most severe report.
    Column("category", _KEY, nullable=False),
    Column("severity", Integer, nullable=False),
    Column("trusted", Boolean, nullable=False),
    Column("reports", Integer, nullable=False),
    #: The probability that none of the reporters is right, by their track records.
    Column("doubt", Float, nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    #: The reviewers' task, once one was opened.
    Column("task_id", _KEY),
    Column("closed_at", UtcTime),
    #: upheld, rejected, or moot.
    Column("outcome", String(16)),
    #: What the decision did, and its category.
    Column("action", String(16)),
    Column("decided_category", _KEY),
    Column("decided_by", _KEY),
    Index("ix_report_cases_state_trusted_due_at", "state", "trusted", "due_at"),
    Index("ix_report_cases_state_task_id", "state", "task_id"),
    Index("ix_report_cases_upload_id", "upload_id"),
    Index("ix_report_cases_opened_at_id", "opened_at", "id"),
    Index("ix_report_cases_closed_at_id", "closed_at", "id"),
)

reports = Table(
    "reports",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("case_id", String(64), nullable=False),
    Column("reporter_id", String(64), nullable=False),
    Column("upload_id", _KEY),
    Column("at", UtcTime, nullable=False),
    Column("category", _KEY, nullable=False),
    #: Whether it is a notice of illegal content (Article 16), not of the platform's rules.
    Column("law", Boolean, nullable=False),
    Column("trusted", Boolean, nullable=False),
    Column("text", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    #: What Article 16(2) asks for and the notice lacks, comma-separated.
    Column("lacks", Text, nullable=False),
    #: The client that sent it; null for the form.
    Column("client", String(64)),
    #: The client's own name of the report.
    Column("reference", _KEY),
    #: SHA-256 of the secret in its address.
    Column("token", String(64), nullable=False),
    #: open, upheld, rejected or moot.
    Column("state", String(16), nullable=False),
    #: Whether an earlier decision on the same content answered it; it is not in the track record.
    Column("repeat", Boolean, nullable=False),
    Column("decided_at", UtcTime),
    Column("action", String(16)),
    #: When its webhooks were queued; null where none are due.
    Column("told_at", UtcTime),
    Index("ix_reports_case_id", "case_id"),
    Index("ix_reports_reporter_id_at", "reporter_id", "at"),
    Index("ix_reports_upload_id", "upload_id"),
    Index("ix_reports_token", "token"),
    Index("ix_reports_at_id", "at", "id"),
    Index("ix_reports_told_at_decided_at", "told_at", "decided_at"),
)
