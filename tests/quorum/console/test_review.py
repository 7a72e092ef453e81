from __future__ import annotations

import re
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from quorum.console import decisions, tasks
from quorum.console.decisions import Conflict
from quorum.console.publishing import FileReviews
from quorum.console.tasks import Queue
from quorum.errors import EngineUnavailable
from quorum.ledger import Ledger
from quorum.ledger.console_schema import decisions as decision_table
from quorum.ledger.console_schema import tasks as task_table
from quorum.messages import Action, Evidence, Missing, Review, now
from tests.quorum.console.cases_for_console import record_case
from tests.quorum.console.conftest import soon

XSS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }}{% for x in y %}",
    "javascript:alert(1)",
    "</textarea><svg/onload=alert(1)>",
    "\u202eevil\u0000",
)


def take(ledger: Ledger, number: int, reviewer: str) -> str:
    with_id = select(task_table.c.id).where(
        task_table.c.upload_id == f"up-{number}", task_table.c.state == "open"
    )
    task_id = ledger.transact(lambda c: c.execute(with_id).scalars().first())
    assert tasks.claim(ledger, task_id, reviewer) is not None
    return task_id


def choose(ledger: Ledger, task_id: str, who: str, action: Action, undo: int = 0, note: str = ""):
    return decisions.decide(ledger, task_id, who, action, "violence", note, timedelta(seconds=undo))


def test_the_next_case_is_the_most_harmful_one_that_is_free(ledger: Ledger):
    record_case(ledger, 1, category="spam", score=0.95)
    record_case(ledger, 2, category="violence", score=0.5, views=1_000_000)
    record_case(ledger, 3, category="violence", score=0.5)
    assert tasks.sync(ledger) == (3, 0)
    assert tasks.sync(ledger) == (0, 0)
    order = [tasks.claim_next(ledger, Queue(), who).upload_id for who in ("ana", "ben", "lea")]
    assert order == ["up-2", "up-3", "up-1"]
    assert tasks.claim_next(ledger, Queue(), "max") is None
    assert tasks.claim_next(ledger, Queue(), "ana").upload_id == "up-2"


def test_queues_by_category_territory_severity_and_age(ledger: Ledger):
    record_case(ledger, 1, category="spam", territories=("DE", "FR"))
    record_case(ledger, 2, category="violence", territories=("US",))
    record_case(ledger, 3, category=None)
    tasks.sync(ledger)

    def found(**more: object) -> set[str]:
        return {one.upload_id for one in tasks.queue_page(ledger, Queue(**more), "ana")}

    assert found() == {"up-1", "up-2", "up-3"}
    assert found(category="spam") == {"up-1"}
    assert found(territory="DE") == {"up-1", "up-3"}
    assert found(territory="%") == {"up-3"}
    assert found(severity=4) == {"up-2"}
    assert found(older_than=timedelta(hours=2)) == set()
    assert found(older_than=timedelta(hours=1)) == {"up-1", "up-2", "up-3"}
    aged = tasks.queue_page(ledger, Queue(order="age"), "ana")
    assert [one.upload_id for one in aged] == ["up-1", "up-2", "up-3"]


def test_two_reviewers_race_and_one_wins(cases: Ledger):
    page = tasks.queue_page(cases, Queue(), "ana")
    for task in page[:4]:
        won: list[str] = []
        start = threading.Barrier(4)

        def race(name: str, task_id: str, start: threading.Barrier, won: list[str]) -> None:
            start.wait()
            if tasks.claim(cases, task_id, name) is not None:
                won.append(name)

        threads = [
            threading.Thread(target=race, args=(f"r{n}", task.id, start, won)) for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1


def test_a_lease_that_ran_out_is_told_and_the_note_comes_back(console, cases: Ledger):
    ana, ben = console("ana"), console("ben")
    task_id = take(cases, 1, "ana")
    cases.transact(
        lambda c: c.execute(
            update(task_table).where(task_table.c.id == task_id).values(claimed_until=now())
        ),
        writes=True,
    )
    given = {"task": task_id, "upload": "up-1", "action": "allow", "note": "my long thought"}
    answer = ana.post("/decide", **given)
    assert answer.status_code == 409
    assert "ran out" in answer.text
    assert "my long thought" in answer.text
    assert ben.post("/claim", task=task_id).status_code == 200
    answer = ana.post("/decide", **given)
    assert "ben holds this case now" in answer.text
    assert "my long thought" in answer.text
    assert ana.post("/claim", task=task_id).status_code == 409


def test_a_case_decided_meanwhile(console, cases: Ledger):
    ana = console("ana")
    task_id = take(cases, 1, "ana")
    record_case(cases, 1, action=Action.ALLOW, revision=2, rule="late")
    given = {"task": task_id, "upload": "up-1", "action": "remove", "note": "x"}
    answer = ana.post("/decide", **given)
    assert answer.status_code == 409
    assert "newer verdict" in answer.text or "decided meanwhile" in answer.text
    tasks.sync(cases)
    assert "decided meanwhile" in ana.post("/decide", **given).text
    assert cases.transact(lambda c: decisions.of_case(c, "up-1")) == []


def test_a_decision_becomes_a_superseding_verdict(console, cases: Ledger):
    ana = console("ana")
    ana.post("/claim", task=take(cases, 2, "ana"))
    page = ana.get("/case?upload=up-2").text
    task_id = re.search(r'name="task" value="([^"]+)"', page)[1]
    ana.post("/decide", task=task_id, upload="up-2", action="remove", category="violence", note="n")
    case = soon(lambda: (c := cases.get_case("up-2")) and len(c.verdicts) == 2 and c)
    assert case.verdict.action is Action.REMOVE
    assert case.verdict.decided_by == "reviewer"
    assert case.verdict.supersedes == case.verdicts[0].id
    assert case.reviews[0].reviewer == "ana"
    page = ana.get("/case?upload=up-2").text
    assert "Revision 2" in page


def test_undo_takes_a_decision_back_and_then_is_too_late(serve, cases: Ledger):
    ana = serve(undo=timedelta(seconds=60))("ana")
    task_id = take(cases, 3, "ana")
    page = ana.post("/decide", task=task_id, upload="up-3", action="remove", category="violence")
    chosen = re.search(r'name="decision" value="([^"]+)"', page.text)[1]
    assert ana.post("/undo", decision=chosen).url.params["upload"] == "up-3"
    assert decisions.publish_due(cases, lambda _: None, double_rate=0) == 0
    made = choose(cases, task_id, "ana", Action.ALLOW)
    told: list[Review] = []
    soon(lambda: decisions.publish_due(cases, told.extend, double_rate=0) or told or _gone(cases))
    assert ana.post("/undo", decision=made.id).status_code == 409


def _gone(ledger: Ledger) -> bool:
    rows = ledger.transact(lambda c: c.execute(select(decision_table.c.state)).scalars().all())
    return "published" in rows


def test_a_second_person_decides_and_it_is_another_one(cases: Ledger):
    task_id = take(cases, 4, "ana")
    choose(cases, task_id, "ana", Action.REVIEW)
    told: list[Review] = []
    assert decisions.publish_due(cases, told.extend, double_rate=0) == 1
    assert told == []
    assert tasks.claim_next(cases, Queue(kind="second"), "ana") is None
    task = tasks.claim_next(cases, Queue(kind="second"), "ben")
    assert task.upload_id == "up-4"
    with pytest.raises(Conflict, match="second person"):
        choose(cases, task.id, "ben", Action.REVIEW)
    choose(cases, task.id, "ben", Action.REMOVE)
    decisions.publish_due(cases, told.extend, double_rate=0)
    assert [(one.reviewer, one.action) for one in told] == [("ben", Action.REMOVE)]


def test_what_cannot_be_published_waits_and_says_why(cases: Ledger):
    choose(cases, take(cases, 5, "ana"), "ana", Action.REMOVE)

    def away(_: object) -> None:
        msg = "the topic is away"
        raise EngineUnavailable(msg)

    assert decisions.publish_due(cases, away, double_rate=0) == 0
    (made,) = cases.transact(lambda c: decisions.of_case(c, "up-5"))
    assert (made.state, made.error) == ("waiting", "the topic is away")
    told: list[Review] = []
    assert decisions.publish_due(cases, told.extend, double_rate=0) == 1
    assert [one.event_id() for one in told] == [made.review().event_id()]
    assert decisions.publish_due(cases, told.extend, double_rate=0) == 0


def test_a_file_takes_reviews(cases: Ledger, tmp_path: Path):
    file = FileReviews(tmp_path / "reviews.jsonl")
    choose(cases, take(cases, 1, "ana"), "ana", Action.ALLOW, note="fine ☃")
    decisions.publish_due(cases, file.publish, double_rate=0)
    (line,) = (tmp_path / "reviews.jsonl").read_bytes().splitlines()
    assert Review.from_bytes(line).note == "fine ☃"
    with pytest.raises(EngineUnavailable):
        FileReviews(tmp_path / "no" / "folder.jsonl").publish([])


def test_skipping_needs_a_reason_and_leaves_the_case_to_others(console, cases: Ledger):
    ana = console("ana")
    task_id = take(cases, 6, "ana")
    assert ana.post("/skip", task=task_id, reason=" ").status_code == 422
    assert ana.post("/skip", task=task_id, reason="not my language").status_code == 200
    held = {tasks.claim_next(cases, Queue(), "ana").upload_id for _ in range(1)}
    assert "up-6" not in held
    assert tasks.claim(cases, task_id, "ben") is not None
    assert "not my language" in console("ben").get("/case?upload=up-6").text


def test_a_note_that_is_too_long_comes_back_whole(console, cases: Ledger):
    ana = console("ana")
    note = "é" * 1_000_000
    given = {"task": take(cases, 7, "ana"), "upload": "up-7", "action": "allow", "note": note}
    answer = ana.post("/decide", **given)
    assert answer.status_code == 409
    assert "Shorten it" in answer.text
    assert note in answer.text
    assert cases.transact(lambda c: decisions.of_case(c, "up-7")) == []
    token = ana.csrf()
    big = ana.client.post("/decide", data={"csrf": token, "note": "x" * (9 * 1024 * 1024)})
    assert big.status_code == 413


def test_an_upload_that_is_not_known(console):
    answer = console("ana").get("/case?upload=<script>nothing")
    assert answer.status_code == 404
    assert "knows no upload" in answer.text
    assert console("ana").get("/case").status_code == 422


def test_a_verdict_whose_upload_was_never_recorded(console, cases: Ledger):
    made = record_case(cases, 1).model_copy(update={"id": "v-lost", "upload_id": "lost"})
    cases.record([made])
    tasks.sync(cases)
    answer = console("ana").get("/case?upload=lost")
    assert answer.status_code == 200
    assert "has not been recorded" in answer.text


@pytest.mark.parametrize("text", XSS)
def test_nothing_that_an_uploader_wrote_becomes_html(console, ledger: Ledger, text: str):
    ana = console("ana")
    clean = text.replace("\x00", "").replace("\u202e", "")
    record_case(
        ledger,
        1,
        title=text,
        description=text,
        tags=(text,),
        comments=(text,),
        language=text[:30],
        uploader=clean or "x",
        media=text,
        category=text[:200],
        rule=text,
        missing=(Missing(detector=clean or "x", why=text),),
        evidence=(
            Evidence(kind="text", what=text, field="title", start=1, end=9),
            Evidence(kind="text", what=text, field="title", start=5, end=1e300),
            Evidence(kind="match", what=text, start=0, end=4, work=text),
        ),
    )
    tasks.sync(ledger)
    take(ledger, 1, "ana")
    for url in ("/queue", "/queue/rows", "/case?upload=up-1", "/case/status?upload=up-1"):
        answer = ana.get(url)
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
        assert "<svg/onload" not in answer.text
        assert 'href="javascript:' not in answer.text
    if "7*7" in text:
        assert "{{ 7*7 }}" in ana.get("/case?upload=up-1").text
    page = ana.get("/queue", params={"territory": text, "category": text, "hours": text})
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    answer = ana.post("/decide", task=text, upload=text, action=text, note=text, category=text)
    assert "<script>alert" not in answer.text
    task_id = tasks.queue_page(ledger, Queue(), "ana")[0].id
    ana.post("/decide", task=task_id, upload="up-1", action="remove", note=text)
    soon(lambda: _gone(ledger))
    assert "<script>alert" not in ana.get("/case?upload=up-1").text


def test_words_are_marked_where_the_evidence_lies(console, ledger: Ledger):
    record_case(
        ledger,
        1,
        title="buy cheap pills now",
        evidence=(Evidence(kind="text", what="offer", field="title", start=4, end=15),),
    )
    page = console("ana").get("/case?upload=up-1").text
    assert re.search(r"<mark[^>]*>cheap pills<span", page)


def test_media_is_shown_from_allowed_folders_alone(serve, ledger: Ledger, tmp_path: Path):
    from quorum.settings import MediaAccess

    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.mp4").write_bytes(b"0123456789")
        (folder / "a.html").write_bytes(b"<script>")
    (inside / "link.mp4").symlink_to(outside / "a.mp4")
    names = [inside / "a.mp4", outside / "a.mp4", inside / "a.html", inside / "link.mp4"]
    names += [inside / ".." / "out" / "a.mp4", inside / "gone.mp4"]
    for number, path in enumerate(names):
        record_case(ledger, number, media=f"file://{path}")
    ana = serve(media=MediaAccess(folders=(str(inside),)))("ana")
    codes = [ana.get(f"/case/media?upload=up-{n}").status_code for n in range(len(names))]
    assert codes == [200, 404, 404, 404, 404, 404]
    part = ana.get("/case/media?upload=up-0", headers={"range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")
    assert "no longer exists" in ana.get("/case?upload=up-5").text
    assert ana.get("/case/frame?upload=up-0&at=1").status_code == 404


def test_erasure_takes_what_the_console_keeps(cases: Ledger):
    choose(cases, take(cases, 1, "ana"), "ana", Action.REMOVE, note="secret of by-1")
    cases.forget("by-1", dry_run=False)
    rows = cases.transact(lambda c: c.execute(select(decision_table)).all())
    left = cases.transact(lambda c: c.execute(select(task_table.c.uploader)).scalars().all())
    assert rows == []
    assert "by-1" not in left
