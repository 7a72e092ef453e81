"""Tasks: cases that wait for a reviewer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, and_, exists, insert, or_, select, update

from quorum.apps.console.accounts.names import folded
from quorum.apps.console.desk.harm import audience, expected_harm, service_level, severity
from quorum.apps.console.desk.likeness import waves_of, write_likeness
from quorum.core.messages import Action, Upload, Verdict, digest, now
from quorum.store.ledger import Ledger, LedgerCase
from quorum.store.ledger.console_schema import tasks
from quorum.store.ledger.reading import load_cases
from quorum.store.ledger.schema import cases
from quorum.store.ledger.sealing import is_sealed

__all__ = ["ReviewTask", "close_tasks", "get_task", "held_by", "open_task", "sync", "task_from_row"]

_SYNC_BATCH: Final = 500

TaskKind = Literal["review", "second", "double", "golden", "appeal", "report", "notice", "again"]


@dataclass(frozen=True, slots=True)
class ReviewTask:
    """A case that waits, or waited, for a reviewer."""

    id: str
    upload_id: str
    verdict_id: str
    kind: str
    state: str
    category: str | None
    territories: str
    severity: int
    harm: float
    title: str
    uploader: str | None
    score: float | None
    opened_at: datetime
    due_at: datetime
    not_for: str | None
    only_for: str | None
    claimed_by: str | None
    claimed_until: datetime | None
    closed_at: datetime | None
    outcome: str | None
    language: str | None = None
    reach: float | None = None
    queue: str | None = None
    assigned_to: str | None = None
    assigned_until: datetime | None = None

    def held(self, at: datetime) -> str | None:
        """Return who holds the task at a time; None if nobody does."""
        alive = self.claimed_until is not None and self.claimed_until > at
        return self.claimed_by if alive else None


def open_task(
    connection: Connection,
    kind: TaskKind,
    upload: Upload | None,
    verdict: Verdict,
    *,
    key: str = "",
    not_for: str | None = None,
    only_for: str | None = None,
    category: str | None = None,
    due_at: datetime | None = None,
    first: float = 0.0,
) -> str:
    """Create a task unless it exists, and return its id; that of a sealed case waits for nobody.

    Args:
        connection: A transaction.
        kind: Why a person looks at the case.
        upload: The upload; None if it was never recorded.
        verdict: The verdict to be reviewed.
        key: Distinguishes tasks of one kind on one verdict.
        not_for: A reviewer who may not take it.
        only_for: The only reviewer who may take it.
        category: Its category of harm; None for that of the verdict.
        due_at: When it is due; None for by the severity of its category.
        first: Added to its order: before all others of any queue, if it is large.
    """
    task_id = digest("task", kind, verdict.upload_id, verdict.id, key)
    if connection.execute(select(tasks.c.id).where(tasks.c.id == task_id)).first() is None:
        at = now()
        shown = ",".join(upload.territories) if upload is not None else ""
        scores = [one.score for one in verdict.predictions if one.score is not None]
        harm = category or verdict.category
        sealed = is_sealed(connection, verdict.upload_id)
        connection.execute(
            insert(tasks).values(
                id=task_id,
                upload_id=verdict.upload_id,
                verdict_id=verdict.id,
                kind=kind,
                state="closed" if sealed else "open",
                outcome="sealed" if sealed else None,
                closed_at=at if sealed else None,
                category=None if harm is None else harm[:256],
                territories=f",{shown}," if shown else "",
                severity=severity(harm),
                harm=expected_harm(upload, verdict) + first,
                title="" if upload is None else upload.title.replace("\x00", "�")[:300],
                uploader=None if upload is None else upload.uploader,
                score=max(scores, default=None),
                opened_at=verdict.at if kind == "review" else at,
                due_at=due_at or (verdict.at if kind == "review" else at) + service_level(harm),
                not_for=None if not_for is None else folded(not_for),
                only_for=only_for,
                language=None if upload is None else upload.language,
                reach=audience(upload),
            )
        )
    return task_id


def sync(ledger: Ledger) -> tuple[int, int]:
    """Open a task for each case that waits for a human; close those whose verdict was superseded.

    A case waits in ``review``, or restricted because a cap on reviews was reached. With the first
    cases of a campaign wait those of its uploads that were decided before it was known.

    Returns:
        The numbers of opened and of closed tasks.
    """
    opened = 0
    while True:
        found = ledger.transact(_without_task)
        if found:
            ledger.transact(partial(_open, upload_ids=found), writes=True)
            opened += len(found)
        if len(found) < _SYNC_BATCH:
            break
    stale = ledger.transact(_stale)
    for start in range(0, len(stale), _SYNC_BATCH):
        chunk = stale[start : start + _SYNC_BATCH]
        ledger.transact(partial(close_tasks, ids=chunk), writes=True)
    return opened, len(stale)


def _without_task(connection: Connection) -> list[str]:
    c = cases.c
    known = exists().where(tasks.c.verdict_id == c.verdict_id, tasks.c.kind == "review")
    waits = or_(
        c.action == Action.REVIEW.value,
        and_(c.action == Action.RESTRICT.value, c.decided_by == "cap"),
    )
    query = select(c.upload_id).where(waits, ~known).limit(_SYNC_BATCH)
    return list(connection.execute(query).scalars())


def _open(connection: Connection, upload_ids: Sequence[str]) -> None:
    found = load_cases(connection, upload_ids, ("upload", "verdicts"))
    waves = {case.upload_id: waves_of(case.verdict) for case in found}
    known = {case.upload_id for case in found}
    for case in found:
        if case.verdict is not None:
            open_task(connection, "review", case.upload, case.verdict)
    for earlier, names in _earlier(found).items():
        if earlier not in known:
            found += _reopened(connection, earlier)
            waves[earlier] = tuple(names)
    write_likeness(connection, [case.upload for case in found if case.upload is not None], waves)


def _earlier(found: Sequence[LedgerCase]) -> dict[str, dict[str, None]]:
    """Uploads that were decided before they were known to be part of a campaign, and of which."""
    earlier: dict[str, dict[str, None]] = {}
    for case in found:
        for campaign in (case.verdict and case.verdict.campaigns) or ():
            for upload_id in campaign.earlier:
                earlier.setdefault(upload_id, {})[campaign.id] = None
    return earlier


def _reopened(connection: Connection, upload_id: str) -> list[LedgerCase]:
    """A case of a campaign that no human decided and that does not wait: now one is asked."""
    for case in load_cases(connection, [upload_id], ("upload", "verdicts")):
        verdict = case.verdict
        mild = verdict is not None and verdict.action in (Action.ALLOW, Action.RESTRICT)
        if verdict is not None and mild and verdict.decided_by in ("policy", "deadline"):
            open_task(connection, "review", case.upload, verdict)
            return [case]
    return []


def _stale(connection: Connection) -> list[str]:
    t, c = tasks.c, cases.c
    query = (
        select(t.id)
        .join(cases, c.upload_id == t.upload_id, isouter=True)
        .where(
            t.state == "open",
            or_(
                and_(
                    t.kind.in_(("review", "second", "again")),
                    or_(c.upload_id.is_(None), c.verdict_id != t.verdict_id),
                ),
                # Nobody waits for a correction whose author went away.
                and_(t.kind == "again", t.claimed_until < now()),
            ),
        )
    )
    return list(connection.execute(query).scalars())


def close_tasks(connection: Connection, ids: Sequence[str]) -> None:
    """Close the tasks of these ids that are still open: their cases were decided elsewhere."""
    connection.execute(
        update(tasks)
        .where(tasks.c.id.in_(ids), tasks.c.state == "open")
        .values(state="closed", outcome="decided elsewhere", closed_at=now())
    )


def get_task(connection: Connection, task_id: str) -> ReviewTask | None:
    """Return the task of this id, or None."""
    row = connection.execute(select(tasks).where(tasks.c.id == task_id)).first()
    return None if row is None else task_from_row(row)


def held_by(connection: Connection, reviewer: str, upload_id: str) -> ReviewTask | None:
    """Return the open task of a case that the reviewer holds now, or None."""
    t = tasks.c
    row = connection.execute(
        select(tasks).where(
            t.upload_id == upload_id,
            t.state == "open",
            t.claimed_by == reviewer,
            t.claimed_until > now(),
        )
    ).first()
    return None if row is None else task_from_row(row)


def task_from_row(row: Row[Any]) -> ReviewTask:
    """Convert a row of the table ``tasks``."""
    return ReviewTask(**row._mapping)
