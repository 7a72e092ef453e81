"""Sealed cases at the desk: confirmed, denied and reported by people, and what follows from it.

A decision changes the verdict, the standing of the listed hashes and what exchanges are told. Lines
of the audit log never name an upload.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from sqlalchemy import Connection, select, update

from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.audited import sealed_digest
from quorum.apps.console.desk.follow_up import decide_after
from quorum.apps.console.desk.sealed_matters import answer_all, give_back
from quorum.apps.console.desk.tasks import open_task
from quorum.core.errors import InputError
from quorum.core.messages import Action, Status, now
from quorum.core.settings import ChildSafetySettings
from quorum.models.known import records
from quorum.models.known.hashes import Listed, hash_of
from quorum.store.ledger import Ledger
from quorum.store.ledger.reading import load_cases
from quorum.store.ledger.sealed_schema import sealed_cases, sealed_events, sealed_matches
from quorum.store.ledger.sealing import DETECTOR
from quorum.store.reports.intake import stated_reason
from quorum.store.sealed import changing, cybertip
from quorum.store.sealed.reading import content_of, events_of, floods, matches_of
from quorum.store.sealed.values import SealedRules

__all__ = [
    "CATEGORY",
    "confirm",
    "deny",
    "file_digests",
    "log_events",
    "reported",
    "seal",
    "stand",
    "sync",
    "write_package",
]

T = TypeVar("T")

#: The category of the DSA that such material belongs to.
CATEGORY: Final = "protection-of-minors"

_BATCH: Final = 500
#: Words of people in events: the audit log has their digest.
_WORDS: Final = ("why",)
_FILE: Final = re.compile(r"(sha256|sha1|md5)=([0-9a-f]+)")

#: What becomes of an upload that is no child-abuse material: it is allowed, or a reviewer decides.
Then = Literal["allow", "queue"]


def sync(ledger: Ledger, rules: SealedRules) -> None:
    """Bring sealed cases up to date: contents, floods, ends of preservation, the log."""
    at = now()
    if not ledger.transact(lambda c: _any_work(c, at, rules)):
        return

    def work(connection: Connection) -> None:
        changing.fill_content(connection)
        _quarantine(connection, rules, at)
        changing.end_preservation(connection, at)
        log_events(connection)

    ledger.transact(work, writes=True)


def _any_work(connection: Connection, at: datetime, rules: SealedRules) -> bool:
    c, e, m = sealed_cases.c, sealed_events.c, sealed_matches.c
    ended = select(c.id).where(c.preserved_until <= at, c.ended_at.is_(None), c.state == "reported")
    queries = (
        select(e.case_id).where(e.logged.is_(False)),
        ended,
        select(m.hash).where(m.at >= at - rules.window),
    )
    return any(connection.execute(query.limit(1)).first() is not None for query in queries)


def _quarantine(connection: Connection, rules: SealedRules, at: datetime) -> None:
    """Have people asked about what a hash matches that matched too many uploads lately."""
    for hashed, count in floods(connection, at - rules.window, rules.flood):
        kind, _, value = hashed.partition(":")
        said = records.standing_of(connection, kind, value)
        if said is None:
            minutes = rules.window.total_seconds() / 60
            why = f"it matched {count} uploads in {minutes:g} min"
            records.set_standing(
                connection, kind, value, "flooded", by=changing.CLOCK, at=at, why=why
            )
        if said in (None, "flooded"):
            changing.set_flooded(connection, hashed, at)


def log_events(connection: Connection) -> int:
    """Append the events of sealed cases to the audit log, which has no words of people."""
    key = sealed_events.c.case_id
    rows = connection.execute(audit.unlogged(key)).all()
    for row in rows:
        audit.append_event(connection, "sealed", key, row, _WORDS, row=sealed_digest(row))
    return len(rows)


def _changed(ledger: Ledger, work: Callable[[Connection], T]) -> T:
    """Change a case, and log it in the same transaction."""

    def both(connection: Connection) -> T:
        made = work(connection)
        log_events(connection)
        return made

    return ledger.transact(both, writes=True)


def seal(ledger: Ledger, upload_id: str, rules: SealedRules, by: str) -> str:
    """Seal what a person suspects; see ``changing.seal_by_person``."""
    return _changed(ledger, lambda c: changing.seal_by_person(c, upload_id, rules, by=by, at=now()))


def confirm(ledger: Ledger, case_id: str, by: str, *, viewed: bool) -> None:
    """Confirm a case: the upload is removed, and the exchanges are told that their entry is right.

    That answers what others sent about it, too.

    Raises:
        InputError: If there is none, or it does not wait for this.
    """

    def work(connection: Connection) -> None:
        at = now()
        row = changing.confirm(connection, case_id, viewed=viewed, by=by, at=at)
        _tell_exchanges(connection, row, "confirm", by, at)
        _decide(connection, row, Action.REMOVE, CATEGORY, by, at)
        answer_all(connection, row.upload_id, by, at)

    _changed(ledger, work)


def deny(ledger: Ledger, case_id: str, why: str, by: str, *, then: Then) -> None:
    """Deny a case: the seal ends, and neither its hashes nor its file ever match again.

    Args:
        ledger: The ledger.
        case_id: The case.
        why: The reason.
        by: Who denies it.
        then: Whether the upload is allowed, or waits for a reviewer as any other.

    Raises:
        InputError: If there is none, it was reported, or no reason is given.
    """

    def work(connection: Connection) -> None:
        at = now()
        row = changing.deny(connection, case_id, why=why, by=by, at=at)
        reason = events_of(connection, row.id)[-1].details["why"]
        _tell_exchanges(connection, row, "deny", by, at)
        hashes = [one.hash.partition(":")[::2] for one in matches_of(connection, row.upload_id)]
        hashes += [(kind, value) for kind, value in file_digests(connection, row.upload_id).items()]
        for kind, value in hashes:
            records.set_standing(connection, kind, value, "denied", by=by, at=at, why=reason)
        if then == "allow":
            _decide(connection, row, Action.ALLOW, None, by, at)
        else:
            _to_the_queue(connection, row)
        give_back(connection, row.upload_id)

    _changed(ledger, work)


def reported(ledger: Ledger, case_id: str, number: str, rules: SealedRules, by: str) -> datetime:
    """Note the number of a report; see ``changing.reported``."""
    return _changed(
        ledger,
        lambda c: changing.reported(c, case_id, rules, number=number.strip(), by=by, at=now()),
    )


def write_package(
    ledger: Ledger, case_id: str, settings: ChildSafetySettings, folder: Path, by: str
) -> Path:
    """Write the package of a case's report, and note it in the log; returns where it is.

    Raises:
        ConfigurationError: If the settings name no reporter, or it cannot be written.
        InputError: If there is no such case, nobody confirmed it, or its upload is not known.
    """

    def read(connection: Connection) -> cybertip.Reported:
        row = changing.found(connection, case_id)
        upload = content_of(row)
        if upload is None:
            msg = "the ledger does not have the upload of this case yet"
            raise InputError(msg)
        return cybertip.Reported(
            row,
            upload,
            matches_of(connection, row.upload_id),
            events_of(connection, row.id),
            file_digests(connection, row.upload_id),
        )

    ledger.transact(changing.fill_content, writes=True)
    told: cybertip.Reported = ledger.transact(read)
    made = cybertip.make(told, settings.reporter, now())
    where = folder / str(told.row.id)
    cybertip.write(made, where)
    _changed(
        ledger,
        lambda c: changing.noted_package(c, told.row.id, digest=made.digest, by=by, at=now()),
    )
    return where


def stand(
    ledger: Ledger, hashed: str, standing: records.Standing | None, why: str, by: str
) -> None:
    """Say that a hash is denied, or trusted, or take back what was said of it.

    Args:
        ledger: The ledger.
        hashed: Its kind, a colon, its value.
        standing: What is said; None to take it back.
        why: The reason.
        by: Who says it.

    Raises:
        InputError: If it is no hash, nothing is said of it, or no reason is given.
    """
    kind, value = hash_of(*hashed.partition(":")[::2])
    reason = stated_reason(why)

    def work(connection: Connection) -> None:
        if standing is None:
            if not records.remove_standing(connection, kind, value):
                msg = f"nothing is said of {hashed}; see: quorum hashes list"
                raise InputError(msg)
        else:
            records.set_standing(connection, kind, value, standing, by=by, at=now(), why=reason)
        event = "hash.forgotten" if standing is None else f"hash.{standing}"
        audit.append(connection, by, event, f"{kind}:{value}", why=audit.of_words(reason))
        if standing in ("trusted", None):
            _unflood(connection, f"{kind}:{value}")

    ledger.transact(work, writes=True)


def _unflood(connection: Connection, hashed: str) -> None:
    """The cases of a hash that is no flood are open as others are."""
    c, m = sealed_cases.c, sealed_matches.c
    of_it = select(m.upload_id).where(m.hash == hashed)
    connection.execute(
        update(sealed_cases).where(c.upload_id.in_(of_it), c.state == "open").values(flooded=False)
    )


def file_digests(connection: Connection, upload_id: str) -> dict[str, str]:
    """The digests of an upload's file by kind, as the detector of listed hashes told them."""
    (case,) = load_cases(connection, [upload_id], ("upload", "predictions"))
    found: dict[str, str] = {}
    for one in case.current_predictions:
        if one.detector == DETECTOR and one.status is Status.SCORED:
            for evidence in one.evidence:
                if evidence.field == "file":
                    found.update(_FILE.findall(evidence.what))
    return found


def _tell_exchanges(
    connection: Connection, row: Any, opinion: records.Opinion, by: str, at: datetime
) -> None:
    for one in matches_of(connection, row.upload_id):
        kind, value = hash_of(*one.hash.partition(":")[::2])
        for entry in records.listed_by(connection, kind, value):
            told = Listed(kind, value, entry.category, entry.source, entry.reference)
            records.add_opinion(connection, opinion, told, of=row.id, by=by, at=at)


def _decide(
    connection: Connection, row: Any, action: Action, category: str | None, by: str, at: datetime
) -> None:
    """Publish what a person decided, where the verdict in force is another one."""
    (case,) = load_cases(connection, [row.upload_id], ("upload", "verdicts"))
    if case.verdict is None or case.verdict.action is action:
        return
    decide_after(
        connection,
        case,
        by,
        action,
        category,
        "Decided by child safety.",
        key=f"sealed {row.id} {action.value}",
        at=at,
    )


def _to_the_queue(connection: Connection, row: Any) -> None:
    (case,) = load_cases(connection, [row.upload_id], ("upload", "verdicts"))
    if case.verdict is not None:
        open_task(connection, "review", case.upload, case.verdict, key=f"unsealed {row.id}")
