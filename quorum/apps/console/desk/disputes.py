"""Disputes: appeals against a match with a registered work.

A dispute is an appeal on a case in which the copyright detector reported a match. The reviewer
sees both sides: the owner's registration and request, and the uploader's reasons. A decision for
the uploader records an exception for this uploader and work. If the catalogue is in the ledger's
database, the exception and the decision are one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from quorum.apps.console.accounts import audit
from quorum.apps.console.desk import appeals
from quorum.apps.console.desk.appeals import AppealRefused
from quorum.core.messages import Action, Evidence, Upload
from quorum.models.copyright.catalogue import records
from quorum.models.copyright.catalogue.database import lock
from quorum.models.copyright.catalogue.works import Work
from quorum.store.ledger import Ledger, LedgerCase
from quorum.store.ledger.console_schema import appeals as appeal_table
from quorum.store.ledger.console_schema import decisions
from quorum.store.ledger.reading import load_cases

__all__ = ["OwnerClaim", "dispute", "owner_claims", "settle", "won"]


@dataclass(frozen=True, slots=True)
class OwnerClaim:
    """A rights owner's claim on an upload that matches a registered work.

    Attributes:
        id: The work's identifier.
        work: The registration; None if the work is not in the ledger's database.
        seconds: The total duration of the matching parts of the upload.
        matches: The evidence, one item per matching part.
        permitted: Whether the work has an exception for the uploader.
    """

    id: str
    work: Work | None
    seconds: float
    matches: tuple[Evidence, ...]
    permitted: bool


def dispute(ledger: Ledger, upload_id: str, text: str, by: str) -> tuple[str, bool]:
    """Put a case into review because its uploader disputes a match.

    Args:
        ledger: The ledger.
        upload_id: The upload.
        text: The uploader's reasons.
        by: Who submits the dispute.

    Returns:
        The appeal's id, and whether it is new.

    Raises:
        AppealRefused: If the upload has no match, or its verdict restricts nothing.
    """
    case = ledger.get_case(upload_id)
    if case is None or case.verdict is None:
        msg = f"the ledger has no verdict on {upload_id}"
        raise AppealRefused(msg)
    if not _matches(case):
        msg = f"{upload_id} has no match with a registered work: nothing to dispute"
        raise AppealRefused(msg)
    return appeals.appeal(ledger, upload_id, case.verdict.id, text, by)


def owner_claims(ledger: Ledger, case: LedgerCase) -> list[OwnerClaim]:
    """Return the owners' claims on a case, one for each matched work."""
    by_work = _matches(case)
    if not by_work:
        return []

    def work(connection: Connection) -> list[OwnerClaim]:
        return [_claim(connection, name, found, case.upload) for name, found in by_work.items()]

    return ledger.transact(work)


def _claim(
    connection: Connection, name: str, found: Sequence[Evidence], upload: Upload | None
) -> OwnerClaim:
    registered = records.find_work(connection, name)
    seconds = sum((one.end or 0.0) - (one.start or 0.0) for one in found)
    permitted = bool(registered and upload and upload.uploader in registered.exceptions)
    return OwnerClaim(name, registered, seconds, tuple(found), permitted)


def settle(connection: Connection, upload_id: str, reviewer: str) -> None:
    """Record an exception for each matched work in the decision's transaction."""
    case = load_cases(connection, [upload_id], ("upload", "verdicts", "predictions"))[0]
    if case.upload is None:
        return
    for name in _matches(case):
        if records.find_work(connection, name) is None:
            continue
        lock(connection)
        if records.permit(connection, name, case.upload.uploader):
            audit.append(
                connection,
                reviewer,
                "exception.recorded",
                upload_id,
                work=name,
            )


def won(ledger: Ledger) -> Iterator[tuple[str, str]]:
    """Yield work and uploader of each dispute that was decided for the uploader."""
    a, d = appeal_table.c, decisions.c
    query = (
        select(a.upload_id)
        .join_from(appeal_table, decisions, a.upload_id == d.upload_id)
        .where(
            a.state == "reversed",
            d.kind == "appeal",
            d.state == "published",
            d.action == Action.ALLOW.value,
        )
        .distinct()
        .order_by(a.upload_id)
    )
    names = ledger.transact(lambda connection: list(connection.execute(query).scalars()))
    for case in ledger.get_cases(names, ("upload", "verdicts", "predictions")) if names else []:
        for work in _matches(case) if case.upload is not None else ():
            assert case.upload is not None
            yield work, case.upload.uploader


def _matches(case: LedgerCase) -> dict[str, list[Evidence]]:
    """Return the evidence of the newest copyright prediction, by registered work."""
    live = [
        one for one in case.current_predictions if one.detector == "copyright" and not one.shadow
    ]
    found: dict[str, list[Evidence]] = {}
    for prediction in sorted(live, key=lambda one: one.at)[-1:]:
        for one in prediction.evidence:
            if one.work:
                found.setdefault(one.work, []).append(one)
    return found
