from __future__ import annotations

import re
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from quorum.apps.console.desk import claims, decisions, outbox, queues, tasks
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.publishing import FileReviewPublisher
from quorum.apps.console.desk.queues import Queue
from quorum.core.errors import EngineUnavailable
from quorum.core.messages import Action, Review, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import decisions as decision_table
from quorum.store.ledger.console_schema import tasks as task_table
from tests.apps.console.cases_for_console import choose, gone, record_case, take
from tests.apps.console.conftest import soon


def test_the_next_case_is_the_most_harmful_one_that_is_free(ledger: Ledger):
    record_case(ledger, 1, category="spam", score=0.95)
    record_case(ledger, 2, category="violence", score=0.5, views=1_000_000)
    record_case(ledger, 3, category="violence", score=0.5)
    assert tasks.sync(ledger) == (3, 0)
    assert tasks.sync(ledger) == (0, 0)
    order = [claims.claim_next(ledger, Queue(), who).upload_id for who in ("ana", "ben", "lea")]
    assert order == ["up-2", "up-3", "up-1"]
    assert claims.claim_next(ledger, Queue(), "max") is None
    assert claims.claim_next(ledger, Queue(), "ana").upload_id == "up-2"


def test_queues_by_category_territory_severity_and_age(ledger: Ledger):
    record_case(ledger, 1, category="spam", territories=("DE", "FR"))
    record_case(ledger, 2, category="violence", territories=("US",))
    record_case(ledger, 3, category=None)
    tasks.sync(ledger)

    def found(**more: object) -> set[str]:
        return {one.upload_id for one in queues.queue_page(ledger, Queue(**more), "ana")}

    assert found() == {"up-1", "up-2", "up-3"}
    assert found(category="spam") == {"up-1"}
    assert found(territory="DE") == {"up-1", "up-3"}
    assert found(territory="%") == {"up-3"}
    assert found(severity=4) == {"up-2"}
    assert found(older_than=timedelta(hours=2)) == set()
    assert found(older_than=timedelta(hours=1)) == {"up-1", "up-2", "up-3"}
    aged = queues.queue_page(ledger, Queue(order="age"), "ana")
    assert [one.upload_id for one in aged] == ["up-1", "up-2", "up-3"]


def test_two_reviewers_race_and_one_wins(cases: Ledger):
    page = queues.queue_page(cases, Queue(), "ana")
    for task in page[:4]:
        won: list[str] = []
        start = threading.Barrier(4)

        def race(name: str, task_id: str, start: threading.Barrier, won: list[str]) -> None:
            start.wait()
            if claims.claim(cases, task_id, name) is not None:
                won.append(name)

        threads = [
            threading.Thread(target=race, args=(f"r{n}", task.id, start, won)) for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1


def test_an_expired_lease_is_reported_and_the_note_is_returned(console, cases: Ledger):
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
    assert "claim on this case expired" in answer.text
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


def test_undo_until_it_is_too_late(serve, cases: Ledger):
    ana = serve(undo=timedelta(seconds=60))("ana")
    task_id = take(cases, 3, "ana")
    page = ana.post("/decide", task=task_id, upload="up-3", action="remove", category="violence")
    chosen = re.search(r'name="decision" value="([^"]+)"', page.text)[1]
    assert ana.post("/undo", decision=chosen).url.params["upload"] == "up-3"
    assert outbox.publish_due(cases, lambda _: None, double_rate=0) == 0
    made = choose(cases, task_id, "ana", Action.ALLOW)
    published: list[Review] = []
    soon(
        lambda: (
            outbox.publish_due(cases, published.extend, double_rate=0) or published or gone(cases)
        )
    )
    assert ana.post("/undo", decision=made.id).status_code == 409


def test_the_second_reviewer_is_another_person(cases: Ledger):
    task_id = take(cases, 4, "ana")
    choose(cases, task_id, "ana", Action.REVIEW)
    published: list[Review] = []
    assert outbox.publish_due(cases, published.extend, double_rate=0) == 1
    assert published == []
    assert claims.claim_next(cases, Queue(kind="second"), "ana") is None
    task = claims.claim_next(cases, Queue(kind="second"), "ben")
    assert task.upload_id == "up-4"
    with pytest.raises(Conflict, match="second reviewer"):
        choose(cases, task.id, "ben", Action.REVIEW)
    choose(cases, task.id, "ben", Action.REMOVE)
    outbox.publish_due(cases, published.extend, double_rate=0)
    assert [(one.reviewer, one.action) for one in published] == [("ben", Action.REMOVE)]


def test_unpublishable_decisions_wait_with_the_error(cases: Ledger):
    choose(cases, take(cases, 5, "ana"), "ana", Action.REMOVE)

    def away(_: object) -> None:
        msg = "the topic is away"
        raise EngineUnavailable(msg)

    assert outbox.publish_due(cases, away, double_rate=0) == 0
    (made,) = cases.transact(lambda c: decisions.of_case(c, "up-5"))
    assert (made.state, made.error) == ("waiting", "the topic is away")
    published: list[Review] = []
    assert outbox.publish_due(cases, published.extend, double_rate=0) == 1
    assert [one.event_id() for one in published] == [made.review().event_id()]
    assert outbox.publish_due(cases, published.extend, double_rate=0) == 0


def test_reviews_are_appended_to_a_file(cases: Ledger, tmp_path: Path):
    file = FileReviewPublisher(tmp_path / "reviews.jsonl")
    choose(cases, take(cases, 1, "ana"), "ana", Action.ALLOW, note="fine ☃")
    outbox.publish_due(cases, file.publish, double_rate=0)
    (line,) = (tmp_path / "reviews.jsonl").read_bytes().splitlines()
    assert Review.from_bytes(line).note == "fine ☃"
    with pytest.raises(EngineUnavailable):
        FileReviewPublisher(tmp_path / "no" / "folder.jsonl").publish([])


def test_skipping_requires_a_reason_and_leaves_the_case_to_others(console, cases: Ledger):
    ana = console("ana")
    task_id = take(cases, 6, "ana")
    assert ana.post("/skip", task=task_id, reason=" ").status_code == 422
    assert ana.post("/skip", task=task_id, reason="not my language").status_code == 200
    held = {claims.claim_next(cases, Queue(), "ana").upload_id for _ in range(1)}
    assert "up-6" not in held
    assert claims.claim(cases, task_id, "ben") is not None
    assert "not my language" in console("ben").get("/case?upload=up-6").text


def test_an_oversized_note_is_returned_whole(console, cases: Ledger):
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


def test_erasure_deletes_the_consoles_data(cases: Ledger):
    choose(cases, take(cases, 1, "ana"), "ana", Action.REMOVE, note="secret of by-1")
    cases.forget("by-1", dry_run=False)
    rows = cases.transact(lambda c: c.execute(select(decision_table)).all())
    left = cases.transact(lambda c: c.execute(select(task_table.c.uploader)).scalars().all())
    assert rows == []
    assert "by-1" not in left
