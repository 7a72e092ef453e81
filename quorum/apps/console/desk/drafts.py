"""Policy drafts: backtested, proposed by one person, activated by another."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.backtest import Backtest, backtest
from quorum.aggregator.study.check import check_policy
from quorum.aggregator.study.record import PastCase
from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.names import folded
from quorum.apps.console.accounts.separation import one_person
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.releasing import release_of
from quorum.core.errors import PolicyError
from quorum.core.messages import PolicyRelease, digest, now
from quorum.pipeline.policies.releasing import release_time
from quorum.store.ledger import CaseFilter, Ledger
from quorum.store.ledger.console_schema import drafts
from quorum.store.ledger.releases import release_row, write_releases

__all__ = ["BACKTEST_CASES", "activate", "get", "newest", "propose", "run_backtest", "save"]

#: The newest cases; ``quorum policy backtest`` takes more.
BACKTEST_CASES: Final = 1000


def save(ledger: Ledger, name: str, text: str, author: str) -> str:
    """Save a draft and return its id.

    Raises:
        PolicyError: If the text is not a valid policy; the message names the line.
    """
    policy = Policy.from_text(text)
    at = now()
    draft_id = digest("draft", text, author, str(at))

    def work(connection: Connection) -> str:
        connection.execute(
            insert(drafts).values(
                id=draft_id,
                name=name.replace("\x00", "�")[:120] or "draft",
                text=text,
                version=policy.version,
                author=author,
                at=at,
                state="draft",
            )
        )
        audit.append(connection, author, "policy.drafted", draft_id, version=policy.version)
        return draft_id

    return ledger.transact(work, writes=True)


def get(ledger: Ledger, draft_id: str) -> Any:
    """Return the row of a draft, or None."""
    query = select(drafts).where(drafts.c.id == draft_id)
    return ledger.transact(lambda connection: connection.execute(query).first())


def newest(ledger: Ledger, limit: int = 30) -> Sequence[Any]:
    """Return the newest drafts, including active and retired policies."""
    query = select(drafts).order_by(drafts.c.at.desc()).limit(limit)
    return ledger.transact(lambda connection: connection.execute(query).all())


def run_backtest(ledger: Ledger, draft_id: str, by: str) -> None:
    """Backtest a draft on the newest cases and store the report.

    Raises:
        Conflict: If there is no such draft.
    """
    row = get(ledger, draft_id)
    if row is None:
        msg = "There is no such draft."
        raise Conflict(msg)
    found = backtest(_past(ledger), Policy.from_text(row.text))
    report = json.dumps(_report(found))

    def work(connection: Connection) -> None:
        connection.execute(update(drafts).where(drafts.c.id == draft_id).values(report=report))
        audit.append(connection, by, "policy.tried", draft_id, cases=found.cases)

    ledger.transact(work, writes=True)


def _past(ledger: Ledger) -> Iterator[PastCase]:
    rows = ledger.find(CaseFilter(), limit=BACKTEST_CASES)
    for start in range(0, len(rows), 200):
        ids = [row.upload_id for row in rows[start : start + 200]]
        for case in ledger.get_cases(ids):
            if case.upload is not None:
                yield PastCase.gather(
                    case.upload, case.current_predictions, case.verdicts, case.current_reviews
                )


def _report(found: Backtest) -> dict[str, Any]:
    before, after = (found.wrongful_removals(candidate=chosen) for chosen in (False, True))
    changes = {change: count for change, count in found.changes.items() if change[0] != change[1]}
    return {
        "cases": found.cases,
        "changed": found.changed,
        "changes": [
            [old, new, count]
            for (old, new), count in sorted(changes.items(), key=lambda item: -item[1])
        ],
        "wrongful_before": list(before),
        "wrongful_after": list(after),
        "samples": [
            [one.upload_id, one.title[:120], one.before, one.after, one.after_rule, one.review]
            for samples in found.samples.values()
            for one in samples[:4]
            if one.before != one.after
        ],
    }


def propose(ledger: Ledger, draft_id: str, by: str) -> None:
    """Propose a draft for activation by a second person.

    Raises:
        Conflict: If it is not a draft, or was never backtested.
    """

    def work(connection: Connection) -> None:
        done = connection.execute(
            update(drafts)
            .where(drafts.c.id == draft_id, drafts.c.state == "draft", drafts.c.report.is_not(None))
            .values(state="proposed")
        )
        if done.rowcount != 1:
            msg = "Only a draft that was backtested can be proposed."
            raise Conflict(msg)
        audit.append(connection, by, "policy.proposed", draft_id)

    ledger.transact(work, writes=True)


def activate(ledger: Ledger, draft_id: str, by: str, file: Path | None) -> None:
    """Put a proposed policy in force, which its author cannot.

    Args:
        ledger: The ledger.
        draft_id: The draft.
        by: The user who activates it.
        file: The file to write, which jobs read when they start; None to write no file.

    Raises:
        Conflict: If the draft is not proposed, or the user is its author.
    """

    def work(connection: Connection) -> None:
        row = connection.execute(select(drafts).where(drafts.c.id == draft_id)).first()
        if row is None or row.state != "proposed":
            msg = "Only a proposed policy can be activated."
            raise Conflict(msg)
        if why := one_person(connection, row.author, by):
            msg = (
                "You wrote this policy: a second person must activate it."
                if folded(row.author) == folded(by)
                else f"A second person must activate this policy, and {why}."
            )
            raise Conflict(msg)
        _check(row.text)
        at = release_time(connection)
        connection.execute(update(drafts).where(drafts.c.state == "active").values(state="retired"))
        done = connection.execute(
            update(drafts)
            .where(drafts.c.id == draft_id, drafts.c.state == "proposed")
            .values(state="active", activated_by=by, activated_at=at)
        )
        if done.rowcount != 1:
            msg = "The draft was changed meanwhile; reload the page."
            raise Conflict(msg)
        audit.append(
            connection, by, "policy.activated", draft_id, version=row.version, author=row.author
        )
        release = PolicyRelease(
            policy_version=Policy.from_text(row.text).version,
            text=row.text,
            by=by,
            at=at,
            note=row.name,
        )
        write_releases(connection, [release_row(release_of(release))])
        if file is not None:
            _write(file, row.text)

    ledger.transact(work, writes=True)


def _check(text: str) -> None:
    """Refuse a policy that a job could not decide by.

    Raises:
        Conflict: If it has mistakes.
    """
    try:
        problems = check_policy(Policy.from_text(text))
    except PolicyError as error:
        msg = f"It is not a valid policy of this version: {'; '.join(error.lines)}"
        raise Conflict(msg) from None
    if errors := [one for one in problems if one.severity == "error"]:
        told = "; ".join(f"rule {one.rule}: {one.message}" for one in errors)
        msg = f"The policy has mistakes, and nothing was activated: {told}"
        raise Conflict(msg)


def _write(file: Path, text: str) -> None:
    """Replace the file atomically, so that a starting job never reads a part of it."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=file.parent, delete=False, encoding="utf-8"
        ) as new:
            new.write(text)
            new.flush()
            os.fsync(new.fileno())
        Path(new.name).chmod(0o644)
        Path(new.name).replace(file)
    except OSError as error:
        msg = f"The policy file cannot be written ({error.strerror}); nothing was activated."
        raise Conflict(msg) from None
