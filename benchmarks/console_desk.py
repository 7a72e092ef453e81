"""What the console's benchmark has beside cases: notices, reports, accounts, campaigns, vectors."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from sqlalchemy import Connection, Table, func, insert, select

from quorum.apps.console.desk.routing import Desk
from quorum.core.messages import now
from quorum.models.features.embedding import DIMENSIONS, EMBEDDING
from quorum.store.ledger import Ledger
from quorum.store.ledger.accounts_schema import account_appeals, account_orders, account_verdicts
from quorum.store.ledger.console_schema import likeness_keys, tasks
from quorum.store.ledger.notices_schema import notice_events, notice_people, notices
from quorum.store.ledger.reports_schema import report_cases, reporters, reports
from quorum.store.ledger.schema import verdicts
from quorum.store.ledger.vectors_schema import case_vectors

__all__ = ["DESK", "MEANINGS", "NOTICES", "PAGES", "fill_desk", "notice_of", "processor_of"]

PAGES = {
    "queues of a desk": "/queues",
    "a queue of the desk": "/queue?queue=long-waiting",
    "accounts": "/accounts",
    "an account": "/account?uploader=by-{few}",
    "the account with most uploads": "/account?uploader=by-1",
    "notices, intimate images": "/notices",
    "notices, answered copyright": "/notices?kind=copyright&show=closed",
    "notices, page 20": "/notices?kind=copyright&show=closed&page=20",
    "notices, counter-notices": "/notices?kind=counter",
    "one notice": "/notices/one?notice={notice}",
    "notices of a case": "/case/notices?upload=up-{n}",
    "repeat infringers": "/notices/infringers",
    "letters": "/notices/letters",
    "reports": "/reports",
    "reports, closed": "/reports?show=closed",
    "reporters": "/reports/reporters",
    "reports of a case": "/case/reports?upload=up-{n}",
    "campaign of 2,000": "/group?by=wave&of=camp-1",
    "search by meaning, words": "/like?text=songs+about+a+harbour+at+night",
    "search by meaning, a case": "/like?upload=up-{n}",
    "appeals": "/appeals",
    "my decisions": "/mine",
    "holds": "/holds",
}
#: The most vectors that are made, and the most notices.
MEANINGS = 100_000
NOTICES = 100_000
_AT_ONCE = 2000
_OPEN = {"received", "waiting"}

DESK = Desk.model_validate(
    YAML(typ="safe", pure=True).load("""
queues:
  - {name: violent, when: {category: [violence], severity: 3}}
  - {name: long-waiting, when: {older_than: 1d}}
  - {name: spam, when: {category: [spam]}}
""")
)


def fill_desk(ledger: Ledger, count: int) -> None:
    """Write so many notices, and what else the pages of the desk show, unless it is there.

    Of a ledger with more cases than ``NOTICES`` one in so many has a notice or a report.
    """
    if ledger.transact(lambda c: c.execute(select(func.count(notices.c.id))).scalar_one()):
        return
    at, recorded, count = now(), count, min(count, NOTICES)
    for table, rows in (
        (notices, _notices(count, at)),
        (notice_people, _people(count)),
        (notice_events, _events(count, at)),
        (reporters, _reporters(at)),
        (report_cases, _report_cases(count // 5, at)),
        (reports, _reports(count // 5, at)),
        (account_orders, _orders(count // 100, at)),
        (account_appeals, _appeals(count // 200, at)),
        (case_vectors, _vectors(recorded, at)),
    ):
        _write(ledger, table, rows)
    _write(ledger, account_verdicts, _account_verdicts(ledger))
    query = select(tasks.c.upload_id).where(tasks.c.state == "open").distinct().limit(2000)
    waiting = ledger.transact(lambda c: c.execute(query).scalars().all())
    _write(
        ledger, likeness_keys, ({"key": "wave:camp-1", "upload_id": upload} for upload in waiting)
    )


def _write(ledger: Ledger, table: Table, rows: Iterator[dict[str, Any]]) -> None:
    batch: list[dict[str, Any]] = []

    def flush() -> None:
        made = list(batch)
        ledger.transact(lambda c: _insert(c, table, made), writes=True)
        batch.clear()

    for row in rows:
        batch.append(row)
        if len(batch) == _AT_ONCE:
            flush()
    if batch:
        flush()


def _insert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    connection.execute(insert(table), rows)


def notice_of(number: int) -> str:
    """The id of a notice."""
    return f"{number:064x}"


def _state(number: int) -> tuple[str, str]:
    kind = ("intimate", "copyright", "copyright", "copyright", "counter")[number % 5]
    states = {
        "intimate": ("received", "removed", "removed", "rejected", "invalid"),
        "copyright": ("received", "removed", "removed", "countered", "rejected", "invalid"),
        "counter": ("received", "waiting", "restored", "suit", "rejected"),
    }[kind]
    return kind, states[(number // 5) % len(states)]


def _notices(count: int, at: datetime) -> Iterator[dict[str, Any]]:
    for number in range(count):
        kind, state = _state(number)
        came = at - timedelta(minutes=number)
        closed = state not in _OPEN | {"invalid"}
        yield {
            "id": notice_of(number), "kind": kind, "state": state, "upload_id": f"up-{number}",
            "location": None, "known": True, "uploader": f"by-{number * 7 % 5000}",
            "answers": None, "at": came, "earliest_at": None,
            "due_at": came + timedelta(hours=48) if state in _OPEN else None,
            "work": "A film", "text": "It shows the film.",
            "lacks": "signature" if state == "invalid" else "", "client": "shop",
            "reference": None, "reporter_id": f"r-{number % 2000}", "token": f"{number:x}",
            # A task, so that the worker has nothing to open while pages are timed.
            "task_id": "benchmark", "decided_at": came if closed else None,
            "decided_by": "bench" if closed else None, "action": None, "swept_to": None,
        }  # fmt: skip


def _people(count: int) -> Iterator[dict[str, Any]]:
    names = ("name", "email", "phone", "address", "on_behalf", "signature")
    for number in range(count):
        yield {"notice_id": notice_of(number), **dict.fromkeys(names, "Ada Example")}


def _events(count: int, at: datetime) -> Iterator[dict[str, Any]]:
    for number in range(count):
        _, state = _state(number)
        for place, event in enumerate(("received", *({state} - {"received", "invalid"})), 1):
            yield {
                "notice_id": notice_of(number), "number": place,
                "at": at - timedelta(minutes=number), "event": event, "actor": "bench",
                "details": "{}", "letters": "[]", "logged": True, "told_at": at,
            }  # fmt: skip


def _reporters(at: datetime) -> Iterator[dict[str, Any]]:
    for number in range(2000):
        yield {
            "id": f"r-{number}", "kind": "user", "client": "shop", "name": f"user-{number}",
            "sent": 50, "upheld": number % 40, "rejected": 50 - number % 40, "first_at": at,
            "last_at": at, "tokens": 30.0, "tokens_at": at,
        }  # fmt: skip


def _report_cases(count: int, at: datetime) -> Iterator[dict[str, Any]]:
    for number in range(count):
        waits = number % 4 == 0
        yield {
            "id": f"case-{number}", "upload_id": f"up-{number * 3}", "content": "c",
            "location": None, "known": True, "state": "open" if waits else "closed",
            "category": "violence", "severity": number % 5 + 1, "trusted": number % 50 == 0,
            "reports": 2, "doubt": 0.3, "opened_at": at - timedelta(minutes=number),
            "due_at": at + timedelta(minutes=number % 3000), "task_id": "benchmark",
            "closed_at": None if waits else at, "outcome": None if waits else "upheld",
            "action": None if waits else "remove",
        }  # fmt: skip


def _reports(count: int, at: datetime) -> Iterator[dict[str, Any]]:
    for number in range(2 * count):
        yield {
            "id": f"report-{number}", "case_id": f"case-{number // 2}",
            "reporter_id": f"r-{number % 2000}", "upload_id": f"up-{number // 2 * 3}",
            "at": at - timedelta(minutes=number // 2), "category": "violence", "law": False,
            "trusted": number % 100 == 0, "text": "Somebody is hit.", "name": "", "email": "",
            "lacks": "", "client": "shop", "token": f"t{number:x}",
            "state": "open" if number // 2 % 4 == 0 else "upheld", "repeat": False,
            "told_at": at,
        }  # fmt: skip


def _orders(count: int, at: datetime) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {
            "id": f"order-{number}", "uploader": f"by-{number * 3 % 5000}",
            "upload_id": f"up-{number * 90}", "verdict_id": "v",
            "action": "ban" if number % 40 == 0 else "warn", "reason": "Spam again and again.",
            "reviewer": "bench", "at": at - timedelta(hours=number),
            "state": "proposed" if number % 40 == 0 else "published",
            "due_at": at - timedelta(hours=number),
        }  # fmt: skip


def _appeals(count: int, at: datetime) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {
            "id": f"appeal-{number}", "uploader": f"by-{number}", "upload_id": f"up-{number}",
            "verdict_id": "v", "text": "It was not me.", "at": at - timedelta(hours=number),
            "state": "open" if number % 5 == 0 else "upheld",
        }  # fmt: skip


def _vectors(count: int, at: datetime) -> Iterator[dict[str, Any]]:
    """Of the newest, which are those that a console keeps."""
    drawn = np.random.default_rng(5)
    for number in range(max(0, count - MEANINGS), count):
        vector = drawn.integers(-127, 128, DIMENSIONS, dtype=np.int8).tobytes()
        yield {
            "upload_id": f"up-{number}", "published_at": at, "embedding": EMBEDDING,
            "vector": vector,
        }  # fmt: skip


def _account_verdicts(ledger: Ledger) -> Iterator[dict[str, Any]]:
    """Each fiftieth verdict decides on an account."""
    v, chance = verdicts.c, random.Random(7)
    query = select(v.id, v.upload_id, v.at).where(v.action == "remove").order_by(v.at.desc())
    for row in ledger.transact(lambda c: c.execute(query).all())[::3]:
        uploader = f"by-{int(chance.paretovariate(0.9)) % 5000}"
        action = chance.choice(("warn", "warn", "suspend"))
        body = {
            "id": row.id, "uploader": uploader, "action": action, "state": "holds", "revision": 1,
            "rule": "bench", "reason": "Spam again and again.",
        }  # fmt: skip
        yield {
            "verdict_id": row.id, "id": row.id, "uploader": uploader, "upload_id": row.upload_id,
            "action": action, "state": "holds", "until": None, "at": row.at,
            "body": json.dumps(body),
        }  # fmt: skip


def processor_of(postmaster: int | None) -> float:
    """Seconds of processor time of a PostgreSQL server's processes so far; 0 without one.

    Those that ended, such as the workers of a parallel query, count: their parent has their time.
    """
    if postmaster is None:
        return 0.0
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parts = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(parts[1]) == postmaster:
            total += int(parts[11]) + int(parts[12])
        if stat.parent.name == str(postmaster):
            total += int(parts[13]) + int(parts[14])
    return total / 100
