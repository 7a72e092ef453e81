"""Policy drafts: backtested, proposed by one person, activated by another."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select, update

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.check import check_policy
from quorum.aggregator.study.checked import failed_golden
from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.names import folded
from quorum.apps.console.accounts.separation import one_person
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.releasing import release_of
from quorum.core.errors import PolicyError
from quorum.core.messages import PolicyRelease, digest, now
from quorum.pipeline.policies.releasing import release_time
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import drafts
from quorum.store.ledger.releases import release_row, write_releases

__all__ = ["activate", "get", "newest", "propose", "save"]


def save(
    ledger: Ledger, name: str, text: str, author: str, reason: str, golden: str | None = None
) -> str:
    """Save a draft and return its id.

    Args:
        ledger: The ledger.
        name: What people call it.
        text: The policy's YAML.
        author: Who wrote it.
        reason: Why; it is told with the release.
        golden: Its golden cases as YAML; None for none.

    Raises:
        PolicyError: If the text is not a valid policy, or the golden cases cannot be read; the
            message names the line.
        Conflict: If no reason is given.
    """
    reason = reason.replace("\x00", "�").strip()[:500]
    if not reason:
        msg = "Say why the policy changes: the history tells it to everybody."
        raise Conflict(msg)
    policy = Policy.from_text(text)
    failed_golden(policy, golden or "")
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
                reason=reason,
                golden=golden or None,
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


def propose(ledger: Ledger, draft_id: str, by: str) -> None:
    """Propose a draft for activation by a second person.

    Raises:
        Conflict: If it is not a draft, was never tried, has mistakes, or a golden case fails.
    """

    def work(connection: Connection) -> None:
        d = drafts.c
        row = connection.execute(select(drafts).where(d.id == draft_id)).first()
        tried = row is not None and row.report is not None and "radius" in json.loads(row.report)
        if row is None or row.state != "draft" or not tried:
            msg = "Only a draft that was backtested can be proposed."
            raise Conflict(msg)
        _check(row.text, row.golden)
        proposed = update(drafts).where(d.id == draft_id, d.state == "draft")
        if connection.execute(proposed.values(state="proposed")).rowcount != 1:
            msg = "The draft was changed meanwhile; reload the page."
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
        _check(row.text, row.golden)
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
            note=row.reason or row.name,
        )
        write_releases(connection, [release_row(release_of(release))])
        if file is not None:
            _write(file, row.text)

    ledger.transact(work, writes=True)


def _check(text: str, golden: str | None) -> None:
    """Refuse a policy that a job could not decide by, or that fails its own golden cases.

    Raises:
        Conflict: If it has mistakes, or a golden case is decided otherwise than it expects.
    """
    try:
        policy = Policy.from_text(text)
        problems = check_policy(policy)
        failed = failed_golden(policy, golden or "")
    except PolicyError as error:
        msg = f"It is not a valid policy of this version: {'; '.join(error.lines)}"
        raise Conflict(msg) from None
    if errors := [one for one in problems if one.severity == "error"]:
        told = "; ".join(f"rule {one.rule}: {one.message}" for one in errors)
        msg = f"The policy has mistakes, and nothing was activated: {told}"
        raise Conflict(msg)
    if failed:
        names = "; ".join(failed[:5])
        msg = f"{len(failed)} golden cases fail, and nothing was activated: {names}"
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
