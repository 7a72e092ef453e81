"""The tables of the reviewers' console: users, sessions, tasks, decisions, appeals, audit log.

They are in the ledger's database, so that a decision and its line in the audit log are written in
one transaction.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from quorum.store.ledger.schema import UtcTime, metadata

__all__ = [
    "appeals",
    "audit_log",
    "decisions",
    "drafts",
    "exposures",
    "golden_answers",
    "identities",
    "known_devices",
    "likeness_keys",
    "login_failures",
    "preferences",
    "samples",
    "sessions",
    "sketches",
    "skips",
    "standing_decisions",
    "stints",
    "tasks",
    "users",
]

_KEY = String(256)

users = Table(
    "users",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", String(16), nullable=False),
    #: Argon2 hash; null for users that a reverse proxy authenticates.
    Column("password", Text),
    Column("created_at", UtcTime, nullable=False),
    Column("disabled", Boolean, nullable=False),
    #: What queues may ask for, as ``german,minors`` in order; null for none.
    Column("skills", Text),
)

#: Who at an identity provider has which account. A person is the pair of issuer and subject
#: (OpenID Connect Core 1.0, section 2), which is never given to another; a name may be.
identities = Table(
    "identities",
    metadata,
    Column("issuer", String(256), primary_key=True),
    Column("subject", String(256), primary_key=True),
    #: The user's name.
    Column("account", String(64), nullable=False),
    Column("linked_at", UtcTime, nullable=False),
    Index("ix_identities_account", "account"),
)

sessions = Table(
    "sessions",
    metadata,
    #: SHA-256 of the cookie's value: a reader of the database cannot hijack a session.
    Column("digest", String(64), primary_key=True),
    Column("user", String(64), nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    #: The ID token of a log-in through an identity provider, where logging out there needs it.
    Column("id_token", Text),
    Index("ix_sessions_user", "user"),
    Index("ix_sessions_expires_at", "expires_at"),
)

#: Browsers and addresses from which a user logged in, by digest: strangers' failures do not hold
#: them up.
known_devices = Table(
    "known_devices",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("account", String(64), primary_key=True),
    Column("expires_at", UtcTime, nullable=False),
    Index("ix_known_devices_expires_at", "expires_at"),
)

#: Failed log-ins by account and by address, for rate limiting across processes.
login_failures = Table(
    "login_failures",
    metadata,
    Column("key", _KEY, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", UtcTime, nullable=False),
    Column("blocked_until", UtcTime),
)

#: Append-only: triggers refuse updates and deletions; each line has the previous line's digest.
audit_log = Table(
    "audit_log",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", String(40), nullable=False),
    Column("actor", _KEY, nullable=False),
    Column("event", String(64), nullable=False),
    Column("subject", _KEY, nullable=False),
    Column("details", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    #: HMAC of the digest by a key outside the database; null for lines without one.
    Column("mac", String(64)),
    Index("ix_audit_log_subject_event", "subject", "event"),
)

#: The reviewers' work: one row for each case and reason.
tasks = Table(
    "tasks",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("upload_id", _KEY, nullable=False),
    Column("verdict_id", _KEY, nullable=False),
    #: review, second, double, golden, appeal, report or again.
    Column("kind", String(16), nullable=False),
    #: open or closed.
    Column("state", String(16), nullable=False),
    Column("category", _KEY),
    #: The upload's territories as ``,DE,FR,``; empty for everywhere.
    Column("territories", Text, nullable=False),
    Column("severity", Integer, nullable=False),
    Column("harm", Float, nullable=False),
    #: The title as the list shows it.
    Column("title", Text, nullable=False),
    Column("uploader", _KEY),
    Column("score", Float),
    Column("opened_at", UtcTime, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    #: A reviewer who must not get the task, because of an earlier decision.
    Column("not_for", _KEY),
    #: The only reviewer who may get the task.
    Column("only_for", _KEY),
    Column("claimed_by", _KEY),
    Column("claimed_until", UtcTime),
    Column("closed_at", UtcTime),
    Column("outcome", String(32)),
    #: The upload's language and reach (views or followers); null for tasks from before queues.
    Column("language", String(35)),
    Column("reach", Float),
    #: The queue that the rules gave it; null until they did.
    Column("queue", String(64)),
    #: The reviewer that a lead gave it to, and until when nobody else may take it.
    Column("assigned_to", String(64)),
    Column("assigned_until", UtcTime),
    Index("ix_tasks_state_queue_harm_id", "state", "queue", "harm", "id"),
    # Covers the list of queues with their clocks.
    Index(
        "ix_tasks_state_queue_kind_due_at_opened_at",
        "state",
        "queue",
        "kind",
        "due_at",
        "opened_at",
    ),
    Index("ix_tasks_assigned_to_state", "assigned_to", "state"),
    Index("ix_tasks_state_harm_id", "state", "harm", "id"),
    Index("ix_tasks_state_opened_at_id", "state", "opened_at", "id"),
    Index("ix_tasks_state_category_harm_id", "state", "category", "harm", "id"),
    # Covers the counts of the queues.
    Index("ix_tasks_state_category_kind_due_at", "state", "category", "kind", "due_at"),
    # With the state, or SQLite reads all that wait to find those of one case.
    Index("ix_tasks_upload_id_state", "upload_id", "state"),
    Index("ix_tasks_verdict_id_kind", "verdict_id", "kind"),
    Index("ix_tasks_claimed_by_state", "claimed_by", "state"),
    # Reads the members of a group by uploader in their order.
    Index("ix_tasks_uploader_state_harm_id", "uploader", "state", "harm", "id"),
)

#: What a case that waits has in common with others, by which reviewers group cases.
likeness_keys = Table(
    "likeness_keys",
    metadata,
    #: Such as ``site:example.org``, or a band of the text's sketch.
    Column("key", String(300), primary_key=True),
    Column("upload_id", _KEY, primary_key=True),
    Index("ix_likeness_keys_upload_id", "upload_id"),
)

#: MinHash signatures of the texts of cases that wait; one row for each case with keys.
sketches = Table(
    "sketches",
    metadata,
    Column("upload_id", _KEY, primary_key=True),
    #: Null if the text is too short to be compared.
    Column("sketch", LargeBinary),
)

#: Decisions on campaigns that hold for their later members.
standing_decisions = Table(
    "standing_decisions",
    metadata,
    #: The decision on many cases that is followed.
    Column("bulk", _KEY, primary_key=True),
    Column("campaign", _KEY, nullable=False),
    Column("reviewer", _KEY, nullable=False),
    Column("action", String(16), nullable=False),
    Column("category", _KEY),
    Column("note", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("until", UtcTime, nullable=False),
    #: How many later members got it.
    Column("taken", Integer, nullable=False),
    Index("ix_standing_decisions_campaign", "campaign"),
)

skips = Table(
    "skips",
    metadata,
    Column("task_id", _KEY, primary_key=True),
    Column("reviewer", _KEY, primary_key=True),
    Column("upload_id", _KEY, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Index("ix_skips_upload_id", "upload_id"),
)

#: Reviewers' decisions, and an outbox: a ``waiting`` decision can be undone until ``due_at`` and is
#: then published as a review.
decisions = Table(
    "decisions",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("task_id", _KEY, nullable=False),
    Column("upload_id", _KEY, nullable=False),
    Column("verdict_id", _KEY, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("reviewer", _KEY, nullable=False),
    Column("action", String(16), nullable=False),
    Column("category", _KEY),
    Column("note", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    #: waiting, undone, published, or kept if it is for measurements only.
    Column("state", String(16), nullable=False),
    #: Seconds from the claim to the decision.
    Column("seconds", Float),
    Column("error", Text),
    #: The decision on many cases that it is a part of; null for one that stands alone.
    Column("bulk", _KEY),
    #: What the uploader is told in the reviewer's words.
    Column("reply", Text),
    Index("ix_decisions_state_due_at", "state", "due_at"),
    Index("ix_decisions_upload_id", "upload_id"),
    Index("ix_decisions_reviewer_at", "reviewer", "at"),
    Index("ix_decisions_kind_at", "kind", "at"),
    Index("ix_decisions_task_id", "task_id"),
    Index("ix_decisions_bulk", "bulk"),
)

appeals = Table(
    "appeals",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("upload_id", _KEY, nullable=False),
    Column("verdict_id", _KEY, nullable=False),
    Column("text", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    #: open, upheld (the verdict stays) or reversed.
    Column("state", String(16), nullable=False),
    Column("first_reviewer", _KEY),
    Column("reviewer", _KEY),
    Column("decided_at", UtcTime),
    #: The reply to the uploader.
    Column("statement", Text),
    Index("ix_appeals_upload_id", "upload_id"),
    Index("ix_appeals_state_at", "state", "at"),
)

#: Cases with a known correct decision, to measure reviewers.
golden_answers = Table(
    "golden_answers",
    metadata,
    Column("upload_id", _KEY, primary_key=True),
    Column("action", String(16), nullable=False),
    Column("category", _KEY),
    Column("author", _KEY, nullable=False),
    Column("at", UtcTime, nullable=False),
)

#: Cases sampled for labelling, with their sampling probability.
samples = Table(
    "samples",
    metadata,
    Column("upload_id", _KEY, primary_key=True),
    Column("verdict_id", _KEY, nullable=False),
    Column("probability", Float, nullable=False),
    Column("at", UtcTime, nullable=False),
)

drafts = Table(
    "policy_drafts",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("name", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("version", _KEY, nullable=False),
    Column("author", _KEY, nullable=False),
    Column("at", UtcTime, nullable=False),
    #: draft, proposed, active or retired.
    Column("state", String(16), nullable=False),
    #: The backtest and the blast radius, as JSON.
    Column("report", Text),
    Column("activated_by", _KEY),
    Column("activated_at", UtcTime),
    #: Why its author made it; null for drafts from before.
    Column("reason", Text),
    #: Its golden cases, as YAML; null for none.
    Column("golden", Text),
    #: waiting, running, done or failed; null for a draft that was never tried.
    Column("trial", String(16)),
    Column("trial_done", Integer),
    Column("trial_total", Integer),
    Column("trial_by", _KEY),
    #: When it was asked for, or last told how far it is.
    Column("trial_at", UtcTime),
    Column("trial_error", Text),
    Index("ix_policy_drafts_state_at", "state", "at"),
)

#: Seconds for which a reviewer had cases of a category open on a day.
exposures = Table(
    "exposures",
    metadata,
    Column("reviewer", String(64), primary_key=True),
    #: Such as 2026-01-31, in the time zone of the settings.
    Column("day", String(10), primary_key=True),
    Column("category", String(256), primary_key=True),
    Column("seconds", Float, nullable=False),
    #: When a case of it was last seen open.
    Column("seen_at", UtcTime, nullable=False),
)

#: Since when each reviewer works without a break.
stints = Table(
    "stints",
    metadata,
    Column("reviewer", String(64), primary_key=True),
    Column("began_at", UtcTime, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
    #: Until when they rest; null while they need not.
    Column("rest_until", UtcTime),
)

#: How each user wants to see media at first.
preferences = Table(
    "preferences",
    metadata,
    Column("user", String(64), primary_key=True),
    Column("blur", Boolean, nullable=False),
    Column("grey", Boolean, nullable=False),
)
