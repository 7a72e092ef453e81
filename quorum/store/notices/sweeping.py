"""Looks for copies of what notices had removed, by fingerprint, among uploads kept and to come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection

from quorum.core.errors import ConfigurationError
from quorum.core.messages import Action, now
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.catalogue.uploads import KeptUploads
from quorum.models.copyright.catalogue.works import OwnerRule, Work, WorkPrint
from quorum.models.copyright.copies import Copy, Originals
from quorum.models.fingerprint.fingerprint import Fingerprint
from quorum.store.ledger import Ledger
from quorum.store.ledger.statements import lock_name
from quorum.store.notices.copies import add_copy, originals, swept, work_id
from quorum.store.notices.events import THE_CLOCK, note
from quorum.store.notices.reading import events_of
from quorum.store.notices.values import NoticeRules

__all__ = ["Sweep", "sweep"]

#: After so many compared uploads what was reached is kept: a sweep that is stopped goes on there.
_KEEP_EVERY = 500


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one sweep did.

    Attributes:
        originals: Removed contents whose copies were looked for.
        compared: Uploads that they were compared with.
        found: Copies that were not known.
        without: Ids of notices whose content has no fingerprint.
        whole: Whether it came to its end.
    """

    originals: int
    compared: int
    found: int
    without: tuple[str, ...]
    whole: bool = True


def sweep(
    ledger: Ledger,
    catalogue: Catalogue,
    rules: NoticeRules,
    tell: Callable[[int, int], bool] | None = None,
) -> Sweep:
    """Compare the uploads whose fingerprints are kept with what notices had removed.

    Uploads that were compared by an earlier sweep are left out. Each removed content is registered
    in the catalogue, too, with the rule ``review``: a detector then holds a copy that comes.

    Args:
        ledger: The ledger.
        catalogue: The catalogue, which keeps uploads.
        rules: The terms.
        tell: Is told after each upload how many were compared, of how many; the sweep stops where
            it returns false, and the next one goes on there. None to run to the end.

    Raises:
        ConfigurationError: If the catalogue does not keep the fingerprints of uploads.
        EngineUnavailable: If a database cannot be reached.
    """
    catalogue.refresh()
    kept = catalogue.kept_uploads()
    if kept is None:
        msg = "the catalogue keeps no uploads; start with: quorum catalogue keep --days 365"
        raise ConfigurationError(msg)
    try:
        return _sweep(ledger, catalogue, kept, rules, tell or (lambda _done, _all: True))
    finally:
        kept.close()


def _sweep(
    ledger: Ledger,
    catalogue: Catalogue,
    kept: KeptUploads,
    rules: NoticeRules,
    tell: Callable[[int, int], bool],
) -> Sweep:
    rows = {row.id: row for row in ledger.transact(originals)}
    prints: dict[str, Fingerprint] = {}
    without = []
    for name, row in rows.items():
        found = kept.get(row.upload_id)
        if found is None and (known := catalogue.get(work_id(name))) is None:
            without.append(name)
            ledger.transact(partial(_tell_without, row=row), writes=True)
        elif found is not None:
            prints[name] = found.found
            known = catalogue.get(work_id(name))
            if known is None:
                _register(ledger, catalogue, row, found.found)
    if not prints:
        return Sweep(0, 0, 0, tuple(without))
    start = min(rows[name].swept_to or "" for name in prints)
    compared, fresh, last, noted = 0, 0, start, 0
    total, whole = kept.count_after(start), True
    reached = partial(_swept, names=tuple(prints))
    looked = Originals(prints)
    try:
        for when, upload in kept.after(start):
            if when != last and compared - noted >= _KEEP_EVERY:
                # All that were kept at the time of the last one are compared.
                ledger.transact(partial(reached, to=last), writes=True)
                noted = compared
            last = when
            compared += 1
            copies = [
                one
                for one in looked.copies_in(upload.found)
                if rows[one.original].upload_id != upload.upload.id
            ]
            if copies:
                fresh += ledger.transact(
                    partial(
                        _add, rows=rows, copies=copies, upload_id=upload.upload.id, rules=rules
                    ),
                    writes=True,
                )
            if not tell(compared, total):
                whole = False
                break
    finally:
        looked.close()
    if whole:
        ledger.transact(partial(reached, to=last), writes=True)
    return Sweep(len(prints), compared, fresh, tuple(without), whole)


def _add(
    connection: Connection,
    rows: dict[str, Any],
    copies: list[Copy],
    upload_id: str,
    rules: NoticeRules,
) -> int:
    at = now()
    # Several processes may sweep at once.
    lock_name(connection, f"copies of {upload_id}")
    return sum(
        add_copy(connection, rows[one.original], upload_id, one.how, one.score, rules, at)
        for one in copies
    )


def _swept(connection: Connection, names: tuple[str, ...], to: str) -> None:
    for name in names:
        swept(connection, name, to)


def _register(ledger: Ledger, catalogue: Catalogue, row: Any, found: Fingerprint) -> None:
    """Let detectors hold what shows the content of a notice for a person."""
    work = Work(
        id=work_id(row.id),
        title="content that a legal notice had removed",
        owner="legal notices",
        rule=OwnerRule(action=Action.REVIEW, min_seconds=0),
    )
    catalogue.add(work, WorkPrint.of(found))
    told = {"work": work.id, "upload": row.upload_id}
    ledger.transact(lambda c: note(c, row.id, "registered", THE_CLOCK, now(), **told), writes=True)


def _tell_without(connection: Connection, row: Any) -> None:
    if not any(one.event == "no-fingerprint" for one in events_of(connection, row.id)):
        note(connection, row.id, "no-fingerprint", THE_CLOCK, now(), upload=row.upload_id)
