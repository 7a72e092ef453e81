"""Queues by rules: first match, rights, skills, clocks, assignment; nothing is lost."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.cli.console import app
from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.access import set_skills
from quorum.apps.console.desk import bulk, claims, filing, queues, tasks
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.queues import Queue
from quorum.apps.console.desk.routing import Desk, load_desk
from quorum.core.errors import ConfigurationError
from quorum.core.messages import Action, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import tasks as table
from quorum.store.ledger.console_schema import users
from tests.apps.console.cases_for_console import record_case
from tests.apps.console.conftest import soon

DESK = Desk.model_validate(
    {
        "queues": [
            {"name": "leads", "when": {"category": ["copyright"]}, "roles": ["lead"]},
            {
                "name": "german",
                "when": {"language": ["de"], "territory": ["DE", "AT"]},
                "skills": ["german"],
                "answer_within": "30 min",
            },
            {"name": "far", "when": {"reach": 1000, "severity": 4}},
            {"name": "without", "when": {"category": ["none"], "territory": ["everywhere"]}},
            {"name": "old", "when": {"older_than": "90 min", "kind": ["review"]}},
        ],
        "default": {"answer_within": "2 h"},
    }
)


@pytest.fixture
def mixed(ledger: Ledger) -> Ledger:
    """Cases for each queue."""
    given: list[dict[str, Any]] = [
        {"category": "copyright", "language": "de", "territories": ("DE",)},
        {"category": "spam", "language": "de-AT", "territories": ("AT", "FR")},
        {"category": "spam", "language": "de", "territories": ("FR",)},
        {"category": "violence", "views": 5000},
        {"category": "spam", "views": 5000},
        {"category": None},
        {"category": None, "territories": ("FR",)},
    ]
    for number, more in enumerate(given):
        record_case(ledger, 80 + number, **more)
    record_case(ledger, 1, category="spam")
    tasks.sync(ledger)
    return ledger


def filed(ledger: Ledger) -> dict[str, str]:
    rows = ledger.transact(lambda c: c.execute(select(table.c.upload_id, table.c.queue)).all())
    return {row.upload_id: row.queue for row in rows}


WANTED = {
    "up-80": "leads",
    "up-81": "german",
    "up-82": "default",
    "up-83": "far",
    "up-84": "default",
    "up-85": "without",
    "up-86": "default",
    "up-1": "old",
}


def offered(ledger: Ledger, who: str, **more: Any) -> set[str]:
    shift = ledger.transact(lambda c: claims.shift_of(c, DESK, who, now()))
    found = queues.queue_page(ledger, Queue(**more), who, shift=shift)
    return {one.upload_id for one in found}


def test_the_first_rule_that_matches_wins_and_what_none_matches_is_not_lost(mixed: Ledger) -> None:
    by_rules = {
        upload: next(name for name in DESK.names if upload in offered(mixed, "root", name=name))
        for upload in WANTED
        if upload not in ("up-80", "up-81")
    }
    assert by_rules == {k: v for k, v in WANTED.items() if k in by_rules}
    assert filing.file_tasks(mixed, DESK, all_of_them=False) == len(WANTED)
    assert filed(mixed) == WANTED
    assert filing.file_tasks(mixed, DESK, all_of_them=True) == 0
    states = mixed.transact(lambda c: filing.queue_states(c, DESK))
    assert {one.name: one.open for one in states} == {
        "leads": 1, "german": 1, "far": 1, "without": 1, "old": 1, "default": 3,
    }  # fmt: skip
    assert all(one.oldest is not None and one.due is not None for one in states)


def test_many_are_filed_a_part_at_a_time(mixed: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reviewers' decisions are published between two parts."""
    monkeypatch.setattr(filing, "AT_ONCE", 3)
    mixed.transact(lambda c: c.execute(update(table).values(reach=None)), writes=True)
    parts = [filing.file_tasks(mixed, DESK, all_of_them=True) for _ in range(4)]
    assert parts == [3, 3, len(WANTED) - 6, 0]
    assert filed(mixed) == WANTED


def test_age_moves_a_case_and_other_rules_move_all(mixed: Ledger) -> None:
    filing.file_tasks(mixed, DESK, all_of_them=True)
    long_ago = now() - timedelta(hours=2)
    mixed.transact(
        lambda c: c.execute(
            update(table).where(table.c.upload_id == "up-84").values(opened_at=long_ago)
        ),
        writes=True,
    )
    assert filing.file_tasks(mixed, DESK, all_of_them=False) == 0
    assert filing.file_tasks(mixed, DESK, all_of_them=True) == 1
    assert filed(mixed)["up-84"] == "old"
    filing.file_tasks(mixed, Desk(), all_of_them=True)
    assert set(filed(mixed).values()) == {"default"}


def test_a_queue_has_its_own_clock(mixed: Ledger) -> None:
    filing.file_tasks(mixed, DESK, all_of_them=True)
    rows = mixed.transact(lambda c: c.execute(select(table)).all())
    waits = {row.upload_id: row.due_at - row.opened_at for row in rows}
    assert waits["up-81"] == timedelta(minutes=30)
    assert waits["up-82"] == timedelta(hours=2)
    assert waits["up-83"] == timedelta(hours=4), "that of violence"
    filing.file_tasks(mixed, Desk(), all_of_them=True)
    rows = mixed.transact(lambda c: c.execute(select(table)).all())
    assert {row.due_at - row.opened_at for row in rows if row.upload_id == "up-81"} == {
        timedelta(hours=48)
    }


@pytest.mark.parametrize("first", [True, False], ids=["filed", "not filed yet"])
def test_rights_and_skills_hold_before_and_after_filing(mixed: Ledger, first: bool) -> None:
    if first:
        filing.file_tasks(mixed, DESK, all_of_them=True)
    ids = {
        row.upload_id: row.id for row in mixed.transact(lambda c: c.execute(select(table)).all())
    }
    everyone = set(WANTED) - {"up-80", "up-81"}
    assert offered(mixed, "ana") == everyone
    assert offered(mixed, "lea") == everyone | {"up-80"}
    assert claims.claim(mixed, ids["up-81"], "ana", DESK) is None
    assert "german is for other" in str(claims.why_not(mixed, ids["up-81"], "ana", DESK))
    taken = set()
    while (task := claims.claim_next(mixed, Queue(), "ana", DESK)) is not None:
        taken.add(task.upload_id)
        claims.skip(mixed, task.id, "ana", "a test")
    assert taken == everyone
    set_skills(mixed, "ana", ["german", "minors"], "root")
    assert claims.claim(mixed, ids["up-81"], "ana", DESK) is not None
    with pytest.raises(Conflict, match="other reviewers"):
        bulk.decide_many(
            mixed, [ids["up-80"]], "ben", Action.REMOVE, "copyright", "", timedelta(0), "x",
            desk=DESK,
        )  # fmt: skip
    who = mixed.transact(lambda c: filing.takers(c, DESK))
    assert who["leads"] == ["lea", "max"]
    assert who["german"] == ["ana"]
    assert who["default"] == ["ana", "ben", "lea", "max", "root"]


def test_skills_are_audited_and_checked(ledger: Ledger) -> None:
    set_skills(ledger, "ana", ["german", "german", "a-b"], "root")
    assert audit.verify(ledger).broken is None
    with pytest.raises(ConfigurationError, match="a skill has"):
        set_skills(ledger, "ana", ["Not, a skill"], "root")
    ledger.transact(
        lambda c: c.execute(update(users).where(users.c.name == "ana").values(skills="minors")),
        writes=True,
    )
    assert "ana is not what" in str(audit.verify(ledger).broken)


def test_an_assigned_case_comes_first_and_is_nobody_else_s_until_then(mixed: Ledger) -> None:
    filing.file_tasks(mixed, DESK, all_of_them=True)
    first = claims.claim_next(mixed, Queue(), "ana", DESK)
    assert first is not None
    mixed.transact(lambda c: claims.release(c, first.id, "ana"), writes=True)
    default = Queue(name="default")
    last = queues.queue_page(mixed, default, None)[-1]
    with pytest.raises(Conflict, match="may not take"):
        german = next(o for o in queues.queue_page(mixed, Queue(), None) if o.queue == "german")
        filing.assign_to(mixed, DESK, german.id, "ben", timedelta(hours=1), "lea")
    assert last.id != first.id
    filing.assign_to(mixed, DESK, last.id, "ben", timedelta(hours=1), "lea")
    assert last.upload_id not in offered(mixed, "ana")
    assert claims.claim(mixed, last.id, "ana", DESK) is None
    task = claims.claim_next(mixed, Queue(), "ben", DESK)
    assert task is not None
    assert task.id == last.id
    mixed.transact(lambda c: claims.release(c, last.id, "ben"), writes=True)
    past = now() - timedelta(seconds=1)
    mixed.transact(lambda c: c.execute(update(table).values(assigned_until=past)), writes=True)
    assert claims.claim(mixed, last.id, "ana", DESK) is not None


FILE = """
queues:
  - name: german
    when: {language: [de], territory: [DE, everywhere]}
    roles: [reviewer]
    skills: [german]
    answer_within: 30 min
exposure:
  time_zone: Europe/Berlin
  limits:
    - {name: violence, categories: [violence], minutes_a_day: 60}
breaks: {after: 50 min, rest: 10 min}
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("language:", "langauge:", ":4: queues.0.when.langauge: unknown setting; did you mean"),
        ("[violence], min", "[violense], min", ":11: the policy has no category `violense`; did"),
        ("DE, every", "UK, every", ":4: queues.0.when.territory.0: "),
        ("[reviewer]", "[reviewr]", "did you mean `reviewer`?"),
        ("30 min", "soon", ":7: queues.0.answer_within: `soon` is no duration"),
        ("name: german", "name: default", "choose another name"),
        ("Europe/Berlin", "Europe/Brelin", ":9: exposure.time_zone: there is no time zone"),
        ("minutes_a_day: 60", "minutes_a_day: 0", ":11: exposure.limits.0.minutes_a_day"),
        ("queues:", "queues: [", "not valid YAML"),
        ("breaks:", "brakes:", ":12: brakes: unknown setting; did you mean `breaks`?"),
    ],
    ids=["key", "category", "place", "role", "duration", "name", "zone", "limit", "yaml", "top"],
)  # fmt: skip
def test_a_wrong_file_is_told_with_line_and_mend(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    path = tmp_path / "desk.yaml"
    path.write_text(FILE.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as refused:
        load_desk(path, load_policy("balanced").categories)
    assert told in str(refused.value)


def test_the_command_checks_a_file(tmp_path: Path) -> None:
    path = tmp_path / "desk.yaml"
    path.write_text(FILE)
    done = CliRunner().invoke(app, ["check-desk", str(path)])
    assert done.exit_code == 0, done.output
    assert "german: reviewer, skills german" in done.output
    path.write_text(FILE.replace("[violence], min", "[violense], min"))
    done = CliRunner().invoke(app, ["check-desk", str(path)])
    assert isinstance(done.exception, ConfigurationError)


def test_the_pages_show_queues_and_their_rights(serve, mixed: Ledger) -> None:
    console = serve(desk=DESK)
    soon(lambda: set(filed(mixed).values()) == set(WANTED.values()))
    ana, lea, root = console("ana"), console("lea"), console("root")
    page = ana.get("/queues").text
    assert "nobody: give somebody the role and the skills" in page
    assert "not yours" in page
    assert 'href="/queue?queue=german"' in page
    assert "up-83" in ana.get("/queue?queue=far").text
    assert "up-82" not in ana.get("/queue?queue=far").text
    case = ana.post("/next", queue_queue="far")
    assert case.url.query == b"upload=up-83&queue_queue=far"
    task = mixed.transact(
        lambda c: c.execute(select(table.c.id).where(table.c.upload_id == "up-81")).scalar()
    )
    refused = ana.post("/claim", task=task)
    assert refused.status_code == 409
    assert "The queue german is for other" in refused.text
    assert root.post("/users", what="skills", name="ana", skills="german").status_code == 200
    assert 'value="german"' in root.get("/users").text
    assert lea.post("/assign", task=task, reviewer="ben").status_code == 409
    assert ana.post("/assign", task=task, reviewer="ana").status_code == 403
    assert "ana until" in lea.post("/assign", task=task, reviewer="ana").text
    assert ana.post("/claim", task=task).status_code == 200
    assert root.post("/users", what="skills", name="ana", skills="a,b").status_code == 422
