"""Holds users, identities, decisions, holds and notices' logs against the lines that made them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, RowMapping, Select, select

from quorum.store.ledger import Ledger
from quorum.store.ledger.accounts_schema import account_orders
from quorum.store.ledger.console_schema import decisions, identities, users
from quorum.store.ledger.holds import Hold
from quorum.store.ledger.holds_schema import holds
from quorum.store.ledger.notices_schema import notice_events, notices
from quorum.store.ledger.schema import cases
from quorum.store.ledger.sealed_schema import sealed_cases, sealed_events
from quorum.store.ledger.statements import in_chunks

__all__ = [
    "AuditedRows",
    "decision_digest",
    "event_digest",
    "hold_digest",
    "identity_digest",
    "letters_digest",
    "order_digest",
    "sealed_digest",
    "user_digest",
]

_PAGE: Final = 1000
#: What of a decision never changes.
_DECIDED: Final = (
    "id",
    "task_id",
    "upload_id",
    "verdict_id",
    "kind",
    "reviewer",
    "action",
    "category",
    "note",
    "at",
)
#: What of a decision on an account the log's last line on it tells.
_ORDERED: Final = (
    "id",
    "uploader",
    "upload_id",
    "verdict_id",
    "action",
    "until",
    "reason",
    "reviewer",
    "at",
    "second",
    "second_at",
)
_DECISIONS: Final = frozenset({"case.decided", "case.measured", "case.passed-on"})


def user_digest(row: RowMapping | Mapping[str, Any]) -> str:
    """The digest of a user's name, role, password, whether they are disabled, and skills."""
    skills = row.get("skills")
    told = [row["name"], row["role"], row["password"], bool(row["disabled"])]
    return _digest([*told, *([skills] if skills else [])])


def decision_digest(row: RowMapping | Mapping[str, Any]) -> str:
    """The digest of what of a decision never changes."""
    reply = row.get("reply")
    return _digest([*(_plain(row[name]) for name in _DECIDED), *([reply] if reply else [])])


def order_digest(row: RowMapping | Mapping[str, Any]) -> str:
    """The digest of a decision on an account, with who confirmed it."""
    return _digest([_plain(row[name]) for name in _ORDERED])


def hold_digest(hold: Hold) -> str:
    """The digest of a legal hold, with its release."""
    return _digest([_plain(getattr(hold, name)) for name in Hold.__slots__])


def identity_digest(row: RowMapping | Mapping[str, Any]) -> str:
    """The digest of who at an identity provider has which account."""
    return _digest([row["issuer"], row["subject"], row["account"]])


def event_digest(row: Row[Any]) -> str:
    """The digest of an event in the log of a legal notice."""
    names = ("notice_id", "number", "at", "event", "actor", "details")
    return _digest([_plain(getattr(row, name)) for name in names])


def letters_digest(row: Row[Any]) -> str | None:
    """The digest of the letters that were told after an event; None if none were."""
    return _digest([row.letters]) if row.letters not in (None, "[]") else None


def sealed_digest(row: Row[Any]) -> str:
    """The digest of an event in the log of a sealed case."""
    names = ("case_id", "number", "at", "event", "actor", "details")
    return _digest([_plain(getattr(row, name)) for name in names])


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()[:32]


class AuditedRows:
    """What the log says of users and decisions, collected line by line."""

    def __init__(self) -> None:
        self._users: dict[str, str | None] = {}
        #: By decision: the digest of its row, and its upload.
        self._decisions: dict[str, tuple[str, str]] = {}
        self._undone: set[str] = set()
        #: By legal hold: the digest that its last line gives its row.
        self._holds: dict[str, str] = {}
        #: By issuer and subject: the digest that the line on the identity gives its row.
        self._identities: dict[tuple[str, str], str] = {}
        #: By notice and number: the digests of that event, and of its letters.
        self._events: dict[tuple[str, int], tuple[str, str | None]] = {}
        #: By sealed case and number: the digest of that event.
        self._sealed: dict[tuple[str, int], str] = {}
        #: By decision on an account: the digest of its row by its last line, and its upload.
        self._orders: dict[str, tuple[str, str]] = {}
        #: Lines of versions that named no decision: (upload, reviewer, action, kind).
        self._unnamed: Counter[tuple[str, str, str, str]] = Counter()
        #: Rows whose making line says nothing of their content.
        self.uncovered = 0

    def read(self, event: str, actor: str, subject: str, details: str) -> None:
        """Take in one line."""
        if event.startswith("user."):
            row = json.loads(details).get("row")
            # Without a digest, what an earlier line said of the user no longer holds.
            self._users[subject] = row
        elif event.startswith("identity."):
            told = json.loads(details)
            person = (told["issuer"], told["person"])
            if event == "identity.linked":
                self._identities[person] = told["row"]
            else:
                self._identities.pop(person, None)
        elif event in ("hold.placed", "hold.released"):
            told = json.loads(details)
            self._holds[told["hold"]] = told["row"]
        elif event.startswith("sealed."):
            told = json.loads(details)
            self._sealed[subject, told["number"]] = told["row"]
        elif event.startswith("notice."):
            told = json.loads(details)
            self._events[subject, told["number"]] = (told["row"], told.get("letters"))
        elif event.startswith("account.") and (told := json.loads(details)).get("order"):
            self._orders[told["order"]] = (told["row"], subject)
        elif event == "cases.decided":
            for upload, name, row in json.loads(details)["decisions"]:
                self._decisions[name] = (row, upload)
        elif event == "cases.undone":
            self._undone.update(json.loads(details)["decisions"])
        elif event in _DECISIONS or event in ("case.undone", "case.adopted"):
            told = json.loads(details)
            name = told.get("decision")
            if name is None:
                if event in _DECISIONS:
                    kind, action = str(told.get("kind")), str(told.get("action"))
                    self._unnamed[subject, actor, action, kind] += 1
            elif event == "case.undone":
                self._undone.add(name)
            else:
                self._decisions[name] = (told["row"], subject)

    def problem(self, ledger: Ledger) -> str | None:
        """Compare with the tables; returns the first difference, or None."""
        return (
            ledger.transact(self._of_users)
            or ledger.transact(self._of_identities)
            or ledger.transact(self._of_holds)
            or ledger.transact(self._of_notices)
            or ledger.transact(self._of_sealed)
            or ledger.transact(self._of_orders)
            or self._of_decisions(ledger)
        )

    def _of_holds(self, connection: Connection) -> str | None:
        left = dict(self._holds)
        for row in connection.execute(select(holds)):
            known = left.pop(row.id, None)
            if known is None:
                return f"the legal hold {row.id} was placed by no line"
            if known != hold_digest(Hold(**row._mapping)):
                return f"the legal hold {row.id} was changed"
        return f"the legal hold {min(left)} was deleted" if left else None

    def _of_identities(self, connection: Connection) -> str | None:
        left = dict(self._identities)
        for row in connection.execute(select(identities)):
            known = left.pop((row.issuer, row.subject), None)
            if known is None:
                return f"the identity {row.subject} of {row.account} was linked by no line"
            if known != identity_digest(row._mapping):
                return f"the identity {row.subject} was given to another account, {row.account}"
        return f"the identity {min(left)[1]} was deleted" if left else None

    def _of_notices(self, connection: Connection) -> str | None:
        """Events of a notice that was erased, or that age took, are gone with it."""
        left = dict(self._events)
        e = notice_events.c
        for row in connection.execute(select(notice_events).where(e.logged.is_(True))):
            known = left.pop((row.notice_id, row.number), None)
            if known is None:
                return f"event {row.number} of the notice {row.notice_id} was made by no line"
            if known[0] != event_digest(row):
                return f"event {row.number} of the notice {row.notice_id} was changed"
            if known[1] is not None and known[1] != letters_digest(row):
                return f"letters of event {row.number} of the notice {row.notice_id} were changed"
        there = set(connection.execute(select(notices.c.id)).scalars())
        gone = sorted(one for one in left if one[0] in there)
        return f"event {gone[0][1]} of the notice {gone[0][0]} was deleted" if gone else None

    def _of_sealed(self, connection: Connection) -> str | None:
        """Events of a case that was erased after its preservation are gone with it."""
        left = dict(self._sealed)
        e = sealed_events.c
        for row in connection.execute(select(sealed_events).where(e.logged.is_(True))):
            known = left.pop((row.case_id, row.number), None)
            if known is None:
                return f"event {row.number} of the sealed case {row.case_id} was made by no line"
            if known != sealed_digest(row):
                return f"event {row.number} of the sealed case {row.case_id} was changed"
        there = set(connection.execute(select(sealed_cases.c.id)).scalars())
        gone = sorted(one for one in left if one[0] in there)
        return f"event {gone[0][1]} of the sealed case {gone[0][0]} was deleted" if gone else None

    def _of_orders(self, connection: Connection) -> str | None:
        left = dict(self._orders)
        for row in connection.execute(select(account_orders)):
            known = left.pop(row.id, None)
            if known is None:
                return f"the decision {row.id} on an account was made by no line"
            if known[0] != order_digest(row._mapping):
                return f"the decision {row.id} on an account was changed"
        return _deleted(connection, sorted({upload for _, upload in left.values()}))

    def _of_users(self, connection: Connection) -> str | None:
        there = {row.name: row for row in connection.execute(select(users))}
        for name, row in there.items():
            if name not in self._users:
                return f"the user {name} was added by no line"
            digest = self._users[name]
            if digest is None:
                self.uncovered += 1
            elif digest != user_digest(row._mapping):
                return f"the user {name} is not what the last line on them made: it was changed"
        gone = sorted(self._users.keys() - there.keys())
        return f"the user {gone[0]} was deleted" if gone else None

    def _of_decisions(self, ledger: Ledger) -> str | None:
        left = dict(self._decisions)
        for row in _pages(ledger):
            known = left.pop(row.id, None)
            if known is None:
                legacy = (row.upload_id, row.reviewer, row.action, row.kind)
                if not self._unnamed[legacy]:
                    return f"the decision {row.id} was made by no line"
                self._unnamed[legacy] -= 1
                self.uncovered += 1
            elif known[0] != decision_digest(row._mapping):
                return f"the decision {row.id} on {row.upload_id} was changed"
            elif (row.state == "undone") != (row.id in self._undone):
                return f"the state of the decision {row.id} on {row.upload_id} was changed"
        # Retention and erasure take decisions together with the case, and nothing else does.
        uploads = sorted({upload for _, upload in left.values()})
        return ledger.transact(partial(_deleted, uploads=uploads))

    def uncovered_rows(self, connection: Connection) -> Iterator[tuple[str, str, dict[str, str]]]:
        """Yield event, subject and details of a line for each row that no digest covers."""
        for row in connection.execute(select(users)):
            if self._users.get(row.name) is None:
                yield "user.adopted", row.name, {"row": user_digest(row._mapping)}
        for row in connection.execute(select(decisions)):
            if row.id not in self._decisions:
                details = {"decision": row.id, "row": decision_digest(row._mapping)}
                yield "case.adopted", row.upload_id, details
                if row.state == "undone":
                    yield "case.undone", row.upload_id, {"decision": row.id}


def _deleted(connection: Connection, uploads: Sequence[str]) -> str | None:
    """What is wrong if one of the uploads is there still, and what was decided on it is not."""
    for chunk in in_chunks(uploads):
        query = select(cases.c.upload_id).where(cases.c.upload_id.in_(chunk)).limit(1)
        if (found := connection.execute(query).scalar()) is not None:
            return f"a decision on {found} was deleted"
    return None


def _rows(connection: Connection, query: Select[Any]) -> Sequence[Any]:
    return connection.execute(query).all()


def _pages(ledger: Ledger) -> Iterator[Any]:
    after = ""
    while True:
        query = select(decisions).where(decisions.c.id > after).order_by(decisions.c.id)
        rows = ledger.transact(partial(_rows, query=query.limit(_PAGE)))
        yield from rows
        if len(rows) < _PAGE:
            return
        after = rows[-1].id
