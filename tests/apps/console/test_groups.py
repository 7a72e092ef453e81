"""Groups of cases that wait, and one decision on many."""

from __future__ import annotations

import json
import re
import threading
from datetime import timedelta

import pytest
from sqlalchemy import delete, func, select

from quorum.apps.console.accounts import audit
from quorum.apps.console.desk import bulk, decisions, golden, groups, likeness, outbox, tasks
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.groups import Group, LargestGroups
from quorum.core.messages import Action, Evidence, Prediction, Review, Status, Upload, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import audit_log, likeness_keys, sketches
from quorum.store.ledger.console_schema import decisions as decision_table
from quorum.store.ledger.console_schema import tasks as task_table
from tests.apps.console.cases_for_console import choose, record_case, take
from tests.apps.console.conftest import soon

WAVE = (
    "Earn {n} euros a day from home: write to us today and receive the first payment tomorrow, no "
    "experience is needed, only {n} places are left"
)


def wave(ledger: Ledger, numbers: range, **more: object) -> None:
    for n in numbers:
        record_case(
            ledger,
            n,
            category="spam",
            uploader=f"bot-{n}",
            title=WAVE.format(n=n),
            description=f"https://easy-cash.example.com/{n}",
            **more,
        )
    tasks.sync(ledger)


def ids(ledger: Ledger, group: Group, reader: str = "ana") -> set[str]:
    found = ledger.transact(lambda c: groups.members_of(c, group, reader))
    return {one.upload_id for one in found.tasks}


def task_ids(ledger: Ledger, group: Group) -> list[str]:
    return [one.id for one in ledger.transact(lambda c: groups.members_of(c, group, "ana")).tasks]


def lines_of(ledger: Ledger) -> int:
    count = select(func.count()).select_from(audit_log)
    return ledger.transact(lambda c: c.execute(count).scalar())


def decide(ledger: Ledger, chosen: list[str], who: str = "ana", undo: int = 0) -> str:
    undone = timedelta(seconds=undo)
    return bulk.decide_many(ledger, chosen, who, Action.REMOVE, "spam", "a wave", undone, "text")


def test_cases_alike_in_text_media_work_link_and_uploader(cases: Ledger):
    wave(cases, range(20, 25), media="https://m.example.org/1.mp4?X-Amz-Signature=a")
    record_case(
        cases,
        30,
        uploader="bot-21",
        title="A walk through the old harbour of Hamburg on a quiet morning in spring",
        description="more at www.easy-cash.example.com/other",
        media="https://m.example.org/1.mp4?X-Amz-Signature=b",
    )
    slightly = WAVE.format(n=5).replace("only 5 places", "hurry, just 5 places")
    record_case(cases, 31, uploader="else", title=slightly)
    for n in (30, 31):
        found = Prediction(
            id=f"p-{n}",
            upload_id=f"up-{n}",
            detector="copyright",
            version="1",
            status=Status.SCORED,
            score=0.5,
            at=now(),
            evidence=(Evidence(kind="match", what="same", work="w-1", start=0, end=2),),
        )
        cases.record([found])
    tasks.sync(cases)
    five = {f"up-{n}" for n in range(20, 25)}
    assert ids(cases, Group("text", "up-20")) == five | {"up-31"}
    assert ids(cases, Group("text", "up-31")) == five | {"up-31"}
    assert ids(cases, Group("text", "up-30")) == {"up-30"}
    assert ids(cases, Group("media", "up-20")) == five | {"up-30"}
    assert ids(cases, Group("site", "easy-cash.example.com")) == five | {"up-30"}
    assert ids(cases, Group("link", "easy-cash.example.com/21")) == {"up-21"}
    assert ids(cases, Group("uploader", "bot-21")) == {"up-21", "up-30"}
    assert ids(cases, Group("work", "w-1")) == {"up-30", "up-31"}
    assert ids(cases, Group("text", "nothing")) == set()
    of = cases.transact(lambda c: groups.groups_of(c, "up-21", "ana"))
    assert [(one.group.by, one.size) for one in of] == [
        ("text", 6),
        ("media", 6),
        ("site", 6),
        ("uploader", 2),
    ]
    largest = LargestGroups(cases).current()
    # A wave is shown once, as what tells most.
    assert [one.group.by for one in largest if one.size == 6] == ["text"]
    # Ten cases of the fixture are called "Title N": one text, shown once.
    assert [one.size for one in largest if one.group.by == "text"].count(10) == 1


def test_an_edit_leaves_its_former_group(cases: Ledger):
    wave(cases, range(20, 23))
    record_case(
        cases,
        21,
        revision=2,
        title="Something else entirely, about the birds of the Wadden Sea",
        published_at=now(),
    )
    tasks.sync(cases)
    assert ids(cases, Group("text", "up-20")) == {"up-20", "up-22"}


def test_keys_of_cases_that_waited_before_groups_existed(cases: Ledger):
    for table in (likeness_keys, sketches):
        cases.transact(lambda c, table=table: c.execute(delete(table)), writes=True)
    assert ids(cases, Group("text", "up-1")) == set()
    assert cases.transact(likeness.fill, writes=True) is None
    assert len(ids(cases, Group("text", "up-1"))) == 10
    cases.forget("by-1", dry_run=False)
    left = cases.transact(lambda c: set(c.execute(select(likeness_keys.c.upload_id)).scalars()))
    assert left == {f"up-{n}" for n in range(10) if n % 3 != 1}
    assert left == cases.transact(lambda c: set(c.execute(select(sketches.c.upload_id)).scalars()))


def test_short_and_hostile_texts_have_keys(ledger: Ledger):
    for n, title in enumerate(("", "a", "\x00" * 90, "\u202e" * 40, "😀 " * 50, "http://[::1" * 9)):
        upload = Upload(
            id=str(n), uploader="u", published_at=now(), title=title, media="https://[bad"
        )
        assert likeness.likeness_of(upload).keys


def test_one_decision_is_one_line_and_one_review_for_each_case(cases: Ledger):
    wave(cases, range(20, 40))
    before = lines_of(cases)
    made = decide(cases, task_ids(cases, Group("text", "up-20")))
    lines = cases.transact(lambda c: c.execute(select(audit_log).order_by("number")).all())[before:]
    assert [(one.event, one.subject) for one in lines] == [("cases.decided", made)]
    told = json.loads(lines[0].details)
    assert {one[0] for one in told["decisions"]} == {f"up-{n}" for n in range(20, 40)}
    published: list[Review] = []
    while outbox.publish_due(cases, published.extend, double_rate=0):
        pass
    assert {one.upload_id for one in published} == {f"up-{n}" for n in range(20, 40)}
    assert {(one.reviewer, one.action, one.note, one.labels) for one in published} == {
        ("ana", Action.REMOVE, "a wave", ("spam",))
    }
    assert audit.verify(cases).broken is None
    cases.transact(
        lambda c: c.execute(
            decision_table.update().where(decision_table.c.upload_id == "up-25").values(note="x")
        ),
        writes=True,
    )
    assert "on up-25 was changed" in str(audit.verify(cases).broken)


def test_one_undo_for_all(cases: Ledger):
    wave(cases, range(20, 30))
    chosen = task_ids(cases, Group("text", "up-20"))
    made = decide(cases, chosen, undo=60)
    assert ids(cases, Group("text", "up-20")) == set()
    with pytest.raises(Conflict, match="too late"):
        bulk.undo_many(cases, made, "ben")
    assert bulk.undo_many(cases, made, "ana") == 10
    assert len(ids(cases, Group("text", "up-20"))) == 10
    assert outbox.publish_due(cases, lambda _: None, double_rate=0) == 0
    assert audit.verify(cases).broken is None
    again = decide(cases, chosen)
    with pytest.raises(Conflict, match="too late"):
        bulk.undo_many(cases, again, "ana")
    assert ids(cases, Group("text", "up-20")) == set()


def test_golden_cases_second_reviews_and_appeals_are_left_out(cases: Ledger):
    wave(cases, range(20, 30))
    choose(cases, take(cases, 21, "ben"), "ben", Action.REVIEW)
    outbox.publish_due(cases, lambda _: None, double_rate=0)
    golden.set_answer(cases, "up-22", Action.REMOVE, None, "lea")
    mine = None
    while mine is None or mine.upload_id != "up-22":
        mine = golden.assign(cases, "max")
    found = cases.transact(lambda c: groups.members_of(c, Group("text", "up-20"), "ana"))
    assert {one.upload_id for one in found.tasks} == {f"up-{n}" for n in (20, *range(23, 30))}
    # The second review and the case with a known answer; the golden case of max is not told of.
    assert found.left_out == 2
    every = cases.transact(
        lambda c: (
            c.execute(select(task_table.c.id).where(task_table.c.state == "open")).scalars().all()
        )
    )
    made = bulk.load(cases, decide(cases, list(every)))
    assert {"up-21", "up-22"}.isdisjoint(one.upload_id for one in made.decisions)
    assert ("up-21", "is decided one by one") in {(o.upload_id, o.why) for o in made.left_out}


def test_two_reviewers_race_for_one_group(cases: Ledger):
    wave(cases, range(20, 60))
    chosen = task_ids(cases, Group("text", "up-20"))
    assert take(cases, 59, "lea")
    start, made = threading.Barrier(2), {}

    def race(name: str) -> None:
        start.wait()
        order = chosen if name == "ana" else list(reversed(chosen))
        try:
            made[name] = bulk.load(cases, decide(cases, order, name))
        except Conflict as error:
            made[name] = str(error)

    threads = [threading.Thread(target=race, args=(name,)) for name in ("ana", "ben")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [name for name, one in made.items() if not isinstance(one, str)]
    loser = next(name for name in made if name != winner)
    assert len(made[winner].decisions) == 39
    assert [(one.upload_id, one.why) for one in made[winner].left_out] == [
        ("up-59", "is held by lea")
    ]
    assert f"39 was decided by {winner} (remove)" in made[loser]
    count = select(func.count()).select_from(decision_table)
    assert cases.transact(lambda c: c.execute(count).scalar()) == 39


def test_what_came_meanwhile_is_left_out_and_told(cases: Ledger):
    wave(cases, range(20, 26))
    chosen = task_ids(cases, Group("text", "up-20"))
    choose(cases, take(cases, 20, "ben"), "ben", Action.ALLOW)
    record_case(cases, 21, action=Action.ALLOW, revision=2, rule="late")
    made = bulk.load(cases, decide(cases, [*chosen, "no-such-task", chosen[0]]))
    assert {(one.upload_id, one.why) for one in made.left_out} == {
        ("up-20", "was decided by ben (allow)"),
        ("up-21", "has a newer verdict"),
        ("", "is no longer in any queue"),
    }
    assert {one.upload_id for one in made.decisions} == {f"up-{n}" for n in range(22, 26)}


def test_a_group_of_ten_thousand(console, cases: Ledger):
    ana = console("ana")
    chosen = [f"task-{n}" for n in range(10_000)]
    before = lines_of(cases)
    answer = ana.client.post(
        "/group/decide", data={"csrf": ana.csrf(), "action": "allow", "task": chosen}
    )
    assert answer.status_code == 409
    assert "10,000 cases are selected; one decision takes at most 1,000" in answer.text
    assert before == lines_of(cases)
    rows = cases.transact(lambda c: c.execute(select(task_table)).all())
    template = dict(rows[0]._mapping)
    many = [{**template, "id": f"t-{n}", "upload_id": f"big-{n}"} for n in range(10_000)]

    def work(connection) -> None:
        connection.execute(task_table.insert(), [{**one, "uploader": "flood"} for one in many])

    cases.transact(work, writes=True)
    page = ana.get("/group?by=uploader&of=flood&all=1").text
    assert page.count('name="task"') == 1000
    assert "More than 2,000 wait" in page
    assert "the 1,000 of most expected harm are shown" in page


def test_a_reviewer_decides_a_group_on_its_page(console, cases: Ledger):
    wave(cases, range(20, 30))
    take(cases, 20, "ben")
    ana, ben = console("ana"), console("ben")
    assert "with the same text" in ana.get("/case/alike?upload=up-21").text
    page = ana.get("/group?by=text&of=up-21").text
    assert "held by ben" in page
    chosen = re.findall(r'name="task" value="([^"]+)" checked', page)
    assert len(chosen) == 9
    given = {"csrf": ana.csrf(), "by": "text", "task": chosen}
    assert ana.client.post("/group/decide", data={**given, "action": "remove"}).status_code == 422
    given |= {"action": "remove", "category": "spam"}
    answer = ana.client.post("/group/decide", data=given)
    assert "9 cases decided together" in answer.text
    assert answer.url.path == "/group/decided"
    soon(lambda: cases.get_case("up-29").verdict.action is Action.REMOVE)
    assert "None of the selected" in ana.client.post("/group/decide", data=given).text
    assert (
        "9 was decided by ana"
        in ben.client.post("/group/decide", data={**given, "csrf": ben.csrf()}).text
    )
    audited = console("aud").get("/audit").text
    assert "cases.decided" in audited
    assert console("aud").get("/audit").text.count("all of them") == 1


def test_queues_searches_and_roles(console, cases: Ledger):
    wave(cases, range(20, 24))
    ana, eve = console("ana"), console("eve")
    assert ana.get("/group?by=queue&category=spam").text.count('name="task"') == 4
    assert ana.get("/group?by=search&text=payment").text.count('name="task"') == 4
    assert "of the same uploader" in ana.get("/group?by=uploader&of=bot-21").text
    assert "with the same text" in ana.get("/groups/largest").text
    assert ana.get("/group?by=magic&of=x").status_code == 404
    assert ana.get("/group/decided?id=none").status_code == 404
    seen = eve.get("/group?by=text&of=up-20")
    assert seen.status_code == 200
    assert 'name="task"' not in seen.text
    chosen = task_ids(cases, Group("text", "up-20"))
    body = {"csrf": eve.csrf(), "by": "text", "action": "allow", "task": chosen}
    assert eve.client.post("/group/decide", data=body).status_code == 403
    assert ana.client.post("/group/decide", data={**body, "csrf": "x"}).status_code == 403
    assert cases.transact(lambda c: decisions.of_case(c, "up-20")) == []


def test_undo_by_the_toast_undoes_all(serve, cases: Ledger):
    ana = serve(undo=timedelta(seconds=60))("ana")
    wave(cases, range(20, 26))
    chosen = task_ids(cases, Group("text", "up-20"))
    page = ana.client.post(
        "/group/decide",
        data={"csrf": ana.csrf(), "by": "text", "action": "allow", "task": chosen},
    ).text
    assert "Allowed: 6 cases" in page
    named = re.search(r'name="decision" value="([^"]+)"', page)[1]
    assert "undone" in ana.post("/undo", decision=named).text
    assert len(ids(cases, Group("text", "up-20"))) == 6
