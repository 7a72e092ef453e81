"""Disputes: an uploader contradicts a match with a registered work.

A dispute is an appeal on a case of which the copyright detector told a match. The reviewer sees
both sides: what the owner registered and asked for, and what the uploader says. A decision for
the uploader records an exception, so that the work is not held against them again; where the
catalogue lies in the ledger's database, that is one transaction with the decision.
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

__all__ = ["Claim", "claims", "dispute", "settle", "won"]


@dataclass(frozen=True, slots=True)
class Claim:
    """The owner's side of a match.

    Attributes:
        id: The work's identifier.
        work: What the owner registered; None where the catalogue lies elsewhere, or no longer
            has it.
        seconds: How much of the upload matches.
        matches: Where, and what the rule says of it.
        permitted: Whether the uploader is among the exceptions by now.
    """

    id: str
    work: Work | None
    seconds: float
    matches: tuple[Evidence, ...]
    permitted: bool


def dispute(ledger: Ledger, upload_id: str, text: str, by: str) -> tuple[str, bool]:
    """Put a case into review, since its uploader disputes a match.

    Args:
        ledger: Where.
        upload_id: The upload.
        text: What the uploader says.
        by: Who passes it on.

    Returns:
        The appeal's id, and whether it is new.

    Raises:
        AppealRefused: If the ledger knows no match on the upload, or its verdict restricts
            nothing.
    """
    case = ledger.get_case(upload_id)
    if case is None or case.verdict is None:
        msg = f"the ledger knows no verdict on {upload_id}"
        raise AppealRefused(msg)
    if not _matches(case):
        msg = f"no match with a registered work is known of {upload_id}: nothing to dispute"
        raise AppealRefused(msg)
    return appeals.appeal(ledger, upload_id, case.verdict.id, text, by)


def claims(ledger: Ledger, case: LedgerCase) -> list[Claim]:
    """The owners' side of a case, one for each work that is matched."""
    by_work = _matches(case)
    if not by_work:
        return []

    def work(connection: Connection) -> list[Claim]:
        return [_claim(connection, name, found, case.upload) for name, found in by_work.items()]

    return ledger.transact(work)


def _claim(
    connection: Connection, name: str, found: Sequence[Evidence], upload: Upload | None
) -> Claim:
    registered = records.find_work(connection, name)
    seconds = sum((one.end or 0.0) - (one.start or 0.0) for one in found)
    permitted = bool(registered and upload and upload.uploader in registered.exceptions)
    return Claim(name, registered, seconds, tuple(found), permitted)


def settle(connection: Connection, upload_id: str, reviewer: str) -> None:
    """Record an exception for each matched work, in the transaction of the decision."""
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
    """Work and uploader of each dispute that was decided for the uploader."""
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
    """Matches with registered works, by work: what the newest copyright prediction told."""
    said = [one for one in case.predictions if one.detector == "copyright" and not one.shadow]
    found: dict[str, list[Evidence]] = {}
    for prediction in sorted(said, key=lambda one: one.at)[-1:]:
        for one in prediction.evidence:
            if one.work:
                found.setdefault(one.work, []).append(one)
    return found
