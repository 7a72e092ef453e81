"""The tables of legal notices: the notices, who sent them, what happened to each, and copies."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Integer, String, Table, Text

from quorum.store.ledger.schema import UtcTime, metadata

__all__ = ["notice_copies", "notice_events", "notice_people", "notices"]

_KEY = String(256)

notices = Table(
    "notices",
    metadata,
    Column("id", String(64), primary_key=True),
    #: intimate, copyright or counter.
    Column("kind", String(16), nullable=False),
    #: received, invalid, removed, rejected, countered, waiting, suit or restored.
    Column("state", String(16), nullable=False),
    Column("upload_id", _KEY),
    Column("location", Text),
    #: Whether the ledger knows the upload.
    Column("known", Boolean, nullable=False),
    #: The upload's uploader, from when it is known: repeat infringers are counted by it.
    Column("uploader", _KEY),
    #: The notice that a counter-notice answers.
    Column("answers", String(64)),
    Column("at", UtcTime, nullable=False),
    #: Before this nothing may be put back; null for other kinds.
    Column("earliest_at", UtcTime),
    #: When it must be answered, or the content put back at last; null while nothing is due.
    Column("due_at", UtcTime),
    #: The copyrighted work.
    Column("work", Text, nullable=False),
    Column("text", Text, nullable=False),
    #: The elements that the law asks for and it lacks, comma-separated.
    Column("lacks", Text, nullable=False),
    #: The client that sent it; null for the form.
    Column("client", String(64)),
    #: The client's own name of the notice.
    Column("reference", _KEY),
    Column("reporter_id", String(64), nullable=False),
    #: SHA-256 of the secret in its address.
    Column("token", String(64), nullable=False),
    #: The language in which who sent it is told; null for any.
    Column("language", String(35)),
    #: The reviewers' task, or the task of the put-back.
    Column("task_id", _KEY),
    Column("decided_at", UtcTime),
    Column("decided_by", _KEY),
    #: What was decided on the upload.
    Column("action", String(16)),
    #: Copies were looked for among uploads that were compared up to this time; null for never.
    Column("swept_to", String(40)),
    Index("ix_notices_state_due_at", "state", "due_at"),
    Index("ix_notices_kind_state_due_at", "kind", "state", "due_at"),
    Index("ix_notices_upload_id", "upload_id"),
    Index("ix_notices_uploader", "uploader"),
    Index("ix_notices_token", "token"),
    Index("ix_notices_task_id", "task_id"),
    Index("ix_notices_at_id", "at", "id"),
    # Covers the list of a kind's answered notices, which are nearly all of it, newest first.
    Index("ix_notices_kind_at_id_state", "kind", "at", "id", "state"),
)

#: Who sent a notice. Nothing else of a notice names them: a row is erased apart.
notice_people = Table(
    "notice_people",
    metadata,
    Column("notice_id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("phone", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("on_behalf", Text, nullable=False),
    Column("signature", Text, nullable=False),
)

#: What happened to each notice, in order: its log, and its proof.
notice_events = Table(
    "notice_events",
    metadata,
    Column("notice_id", String(64), primary_key=True),
    #: Consecutive in each notice, from 1.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("event", String(32), nullable=False),
    #: A user of the console, ``complainant`` or ``clock``.
    Column("actor", _KEY, nullable=False),
    #: JSON; never the name or the words of who sent the notice.
    Column("details", Text, nullable=False),
    #: The letters that were told, as JSON: side, event and text of each; null before that.
    Column("letters", Text),
    #: Whether the console's audit log has it.
    Column("logged", Boolean, nullable=False),
    #: When its webhooks were queued; null where none are due.
    Column("told_at", UtcTime),
    Index("ix_notice_events_logged", "logged"),
    Index("ix_notice_events_told_at_at", "told_at", "at"),
)

#: Uploads that show what a notice had removed.
notice_copies = Table(
    "notice_copies",
    metadata,
    Column("notice_id", String(64), primary_key=True),
    Column("upload_id", _KEY, primary_key=True),
    #: identical (equal coded content) or similar.
    Column("how", String(16), nullable=False),
    Column("score", Float, nullable=False),
    Column("found_at", UtcTime, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    #: found, removed or kept.
    Column("state", String(16), nullable=False),
    Column("task_id", _KEY),
    Column("decided_at", UtcTime),
    Column("decided_by", _KEY),
    Index("ix_notice_copies_state_due_at", "state", "due_at"),
    Index("ix_notice_copies_upload_id", "upload_id"),
    Index("ix_notice_copies_task_id", "task_id"),
)
