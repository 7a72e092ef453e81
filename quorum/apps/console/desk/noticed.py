"""Legal notices at the desk: tasks of reviewers, the put-back by the clock, lines of the audit log.

A takedown is a reviewer's decision on a task of the kind ``notice``, published as all decisions
are. A put-back is a decision too, in the name of the lead who accepted the counter-notice: they
decided that the content returns after the term, unless a suit is recorded before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, select, update

from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.audited import event_digest, letters_digest
from quorum.apps.console.accounts.separation import one_person
from quorum.apps.console.desk.copies import CATEGORY, sync_copies
from quorum.apps.console.desk.decisions import decision_from_row
from quorum.apps.console.desk.follow_up import decide_after
from quorum.apps.console.desk.reported import FIRST
from quorum.apps.console.desk.tasks import close_tasks, open_task
from quorum.core.errors import InputError
from quorum.core.messages import Action, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import decisions, tasks
from quorum.store.ledger.notices_schema import notice_copies, notice_events, notices
from quorum.store.ledger.reading import load_cases
from quorum.store.ledger.sealing import is_sealed
from quorum.store.notices import changing
from quorum.store.notices.events import THE_CLOCK, note
from quorum.store.notices.letters import keep_letters
from quorum.store.notices.reading import (
    counts,
    event_from_row,
    events_of,
    find_notice,
    infringers,
    on_upload,
    person_of,
)
from quorum.store.notices.values import OPEN, NoticeRules, Person

__all__ = [
    "NoticeCounts",
    "accept",
    "admit",
    "forget_person",
    "link",
    "log_events",
    "notice_counts",
    "open_identity",
    "put_back_problem",
    "reject",
    "sender_known",
    "sued",
    "sync",
]

T = TypeVar("T")

_BATCH: Final = 500
#: Words of people in events: the audit log has their digest.
_WORDS: Final = ("why", "case")


def sync(ledger: Ledger, rules: NoticeRules) -> None:
    """Bring notices up to date: links, tasks, what reviewers decided, the put-back, the log."""
    if not ledger.transact(_any_work):
        return

    def work(connection: Connection) -> None:
        changing.link_known(connection)
        _open_tasks(connection)
        _settle(connection)
        _close_tasks(connection)
        _put_back(connection)
        sync_copies(connection, now())
        log_events(connection, rules)

    ledger.transact(work, writes=True)


def _any_work(connection: Connection) -> bool:
    n, e = notices.c, notice_events.c
    running = select(n.id).where(n.state.in_(OPEN)).limit(1)
    unlogged = select(e.notice_id).where(e.logged.is_(False)).limit(1)
    copied = select(notice_copies.c.upload_id).where(notice_copies.c.state == "found").limit(1)
    queries = (running, unlogged, copied)
    return any(connection.execute(query).first() is not None for query in queries)


def log_events(connection: Connection, rules: NoticeRules | None = None) -> int:
    """Append the events of notices to the audit log, which has no words of people.

    Args:
        connection: A transaction that writes.
        rules: The terms, by which the letters of each event are made and kept; None for no letters.
    """
    key = notice_events.c.notice_id
    query = audit.unlogged(key)
    rows = connection.execute(query).all()
    if rules is not None and any(row.letters is None for row in rows):
        _keep_letters(connection, rows, rules)
        rows = connection.execute(query).all()
    for row in rows:
        letters = letters_digest(row)
        digests = {"row": event_digest(row)} | ({} if letters is None else {"letters": letters})
        audit.append_event(connection, "notice", key, row, _WORDS, **digests)
    return len(rows)


def _keep_letters(connection: Connection, rows: Sequence[Any], rules: NoticeRules) -> None:
    names = {row.notice_id for row in rows}
    query = select(notices).where(notices.c.id.in_(names))
    about = {one.id: one for one in connection.execute(query)}
    for row in rows:
        keep_letters(connection, about[row.notice_id], event_from_row(row), rules)


def _open_tasks(connection: Connection) -> None:
    n = notices.c
    query = (
        select(notices)
        .where(n.state == "received", n.known.is_(True), n.task_id.is_(None))
        .where(n.kind != "counter")
        .order_by(n.due_at)
        .limit(_BATCH)
    )
    rows = connection.execute(query).all()
    read = load_cases(connection, [row.upload_id for row in rows], ("upload", "verdicts"))
    for row, case in zip(rows, read, strict=True):
        if case.verdict is None:
            continue  # it has one soon, by its deadline
        task_id = open_task(
            connection,
            "notice",
            case.upload,
            case.verdict,
            key=row.id,
            category=CATEGORY[row.kind],
            due_at=row.due_at,
            first=FIRST * (2 if row.kind == "intimate" else 1),
        )
        connection.execute(update(notices).where(n.id == row.id).values(task_id=task_id))


def _settle(connection: Connection) -> None:
    """Note what was decided on the notices' tasks, once it is published."""
    n, d = notices.c, decisions.c
    query = (
        select(notices, decisions.c.id.label("decision"))
        .join(decisions, d.task_id == n.task_id)
        .where(n.state.in_(OPEN), d.state == "published")
        .order_by(d.at)
        .limit(_BATCH)
    )
    for row in connection.execute(query).all():
        made = decision_from_row(
            connection.execute(select(decisions).where(d.id == row.decision)).one()
        )
        review = made.review().event_id()
        if row.kind == "counter":
            changing.restored(connection, row, by=made.reviewer, at=now(), review=review)
        elif (fresh := find_notice(connection, row.id)).state == "received":
            changing.decide_notice(
                connection,
                fresh,
                action=made.action.value,
                by=made.reviewer,
                at=now(),
                review=review,
            )


def _close_tasks(connection: Connection) -> None:
    """Close the tasks of notices that were answered without a decision on the case."""
    n, t = notices.c, tasks.c
    query = (
        select(t.id)
        .join(notices, n.task_id == t.id)
        .where(t.kind == "notice", t.state == "open", n.state.not_in(OPEN))
        .limit(_BATCH)
    )
    close_tasks(connection, list(connection.execute(query).scalars()))


def _put_back(connection: Connection) -> None:
    """Put back what counter-notices waited for: the term has passed, and nobody sued."""
    n, at = notices.c, now()
    query = (
        select(notices)
        .where(n.kind == "counter", n.state == "waiting", n.task_id.is_(None))
        .where(n.earliest_at <= at)
        .order_by(n.due_at)
        .limit(_BATCH)
    )
    for row in connection.execute(query).all():
        problem = put_back_problem(connection, row)
        if problem is None:
            _decide_put_back(connection, row, at)
        elif events_of(connection, row.id)[-1].event != "held-back":
            note(connection, row.id, "held-back", THE_CLOCK, at, upload=row.upload_id)


def put_back_problem(connection: Connection, row: Any) -> str | None:
    """Why the content of a counter-notice is not put back by the clock; None if it is.

    Only what is down by a decision on the notices that it answers returns by itself.
    """
    if is_sealed(connection, row.upload_id):
        return "the upload is sealed: child safety decides it"
    (case,) = load_cases(connection, [row.upload_id], ("upload", "verdicts"))
    if case.verdict is None or case.upload is None:
        return "the ledger no longer has the upload: put it back where it is, and say so here"
    if case.awaits_decision:
        return "the upload was edited and waits for its verdict"
    answered = on_upload(connection, row.upload_id, kinds=("copyright",))
    down_by = {one.task_id for one in answered if one.state == "countered"}
    d = decisions.c
    query = (
        select(d.task_id)
        .where(d.upload_id == row.upload_id, d.state == "published")
        .order_by(d.at.desc())
        .limit(1)
    )
    last = connection.execute(query).scalar_one_or_none()
    if case.verdict.decided_by != "reviewer" or last not in down_by:
        return "the upload was decided for another reason since: a person decides it"
    return None


def _decide_put_back(connection: Connection, row: Any, at: datetime) -> None:
    """Decide to allow, in the name of who accepted the counter-notice."""
    (case,) = load_cases(connection, [row.upload_id], ("upload", "verdicts"))
    task_id = decide_after(
        connection,
        case,
        row.decided_by,
        Action.ALLOW,
        None,
        "Put back after a counter-notice (17 U.S.C. 512(g)): the term passed without a suit.",
        key=f"put back {row.id}",
        at=at,
        counter=row.id,
    )
    connection.execute(update(notices).where(notices.c.id == row.id).values(task_id=task_id))


def _changed(
    ledger: Ledger, work: Callable[[Connection], T], rules: NoticeRules | None = None
) -> T:
    """Change a notice, and log it in the same transaction."""

    def both(connection: Connection) -> T:
        made = work(connection)
        log_events(connection, rules)
        return made

    return ledger.transact(both, writes=True)


def admit(ledger: Ledger, notice_id: str, rules: NoticeRules, by: str) -> None:
    """Treat an invalid notice as valid; see ``changing.admit``."""
    _changed(ledger, lambda c: changing.admit(c, notice_id, rules, by=by, at=now()), rules)


def reject(ledger: Ledger, notice_id: str, why: str, rules: NoticeRules, by: str) -> None:
    """Answer a notice without acting on it; see ``changing.reject``."""
    _changed(ledger, lambda c: changing.reject(c, notice_id, why=why, by=by, at=now()), rules)


def sued(ledger: Ledger, notice_id: str, case: str, rules: NoticeRules, by: str) -> None:
    """Record a suit; see ``changing.sued``."""
    _changed(ledger, lambda c: changing.sued(c, notice_id, case=case, by=by, at=now()), rules)


def link(ledger: Ledger, notice_id: str, upload_id: str, by: str) -> None:
    """Name the upload of a notice; see ``changing.name_upload``."""
    _changed(ledger, lambda c: changing.name_upload(c, notice_id, upload_id, by=by, at=now()))


def accept(ledger: Ledger, notice_id: str, rules: NoticeRules, by: str) -> None:
    """Accept a counter-notice; who took the content down may not.

    Raises:
        InputError: If they may not, or see ``changing.accept_counter``.
    """

    def work(connection: Connection) -> None:
        row = find_notice(connection, notice_id)
        answered = [] if row is None else on_upload(connection, row.upload_id, ("copyright",))
        for one in answered:
            if one.state != "removed" or one.decided_by is None:
                continue
            if why := one_person(connection, one.decided_by, by):
                msg = f"a second person must accept a counter-notice: {why}"
                raise InputError(msg)
        changing.accept_counter(connection, notice_id, rules, by=by, at=now())

    _changed(ledger, work, rules)


def open_identity(ledger: Ledger, notice_id: str, by: str) -> Person | None:
    """Who sent a notice; that somebody looked is a line of the audit log."""

    def work(connection: Connection) -> Person | None:
        row = find_notice(connection, notice_id)
        if row is None:
            msg = f"there is no notice {notice_id!r}"
            raise InputError(msg)
        audit.append(connection, by, "sender.read", row.id)
        return person_of(connection, row.id)

    return ledger.transact(work, writes=True)


def sender_known(ledger: Ledger, notice_id: str) -> bool:
    """Whether the ledger still has who sent a notice.

    Raises:
        InputError: If there is no such notice, or a legal hold keeps it.
    """

    def work(connection: Connection) -> bool:
        row = find_notice(connection, notice_id)
        if row is None:
            msg = f"there is no notice {notice_id!r}; list them with: quorum notices list --all"
            raise InputError(msg)
        changing.check_not_held(connection, row.upload_id, now())
        return person_of(connection, row.id) is not None

    return ledger.transact(work)


def forget_person(ledger: Ledger, notice_id: str, by: str) -> bool:
    """Erase who sent a notice; see ``changing.forget_person``."""
    return _changed(ledger, lambda c: changing.forget_person(c, notice_id, by=by, at=now()))


@dataclass(frozen=True, slots=True)
class NoticeCounts:
    """How many notices there are.

    Attributes:
        by_kind: By kind those that are open, invalid, closed and overdue.
        infringers: The uploaders with as many as make them repeat infringers.
    """

    by_kind: Mapping[str, Mapping[str, int]]
    infringers: int

    @property
    def total(self) -> int:
        """All notices."""
        states = ("open", "invalid", "closed")
        return sum(one[state] for one in self.by_kind.values() for state in states)


def notice_counts(connection: Connection, repeat: int) -> NoticeCounts:
    """Count the notices, and the uploaders with at least ``repeat`` of them."""
    return NoticeCounts(counts(connection, now()), len(infringers(connection, repeat)))
