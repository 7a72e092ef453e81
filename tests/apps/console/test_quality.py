from __future__ import annotations

from datetime import timedelta

import pytest

from quorum.apps.console.app import create_console
from quorum.apps.console.desk import appeals, claims, golden, outbox, quality, queues
from quorum.apps.console.desk.appeals import AppealRefused
from quorum.apps.console.desk.publishing import LedgerReviewPublisher
from quorum.apps.console.desk.queues import Queue
from quorum.core.messages import Action
from quorum.store.ledger import Ledger
from tests.apps.console.cases_for_console import choose, record_case, take
from tests.apps.console.conftest import Person, soon


def publish(ledger: Ledger, **more: object) -> None:
    outbox.publish_due(ledger, lambda _: None, **{"double_rate": 0.0, **more})


def test_kappa_matches_the_textbook():
    # Cohen's own kind of table: 20 and 15 alike, 5 and 10 apart: 0.7 observed, 0.5 expected.
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert quality.cohens_kappa(pairs) == pytest.approx(0.4)
    assert quality.cohens_kappa([]) is None
    assert quality.cohens_kappa([("a", "a")] * 3) is None
    assert quality.cohens_kappa([("a", "b"), ("b", "a")]) == pytest.approx(-1.0)


def test_double_review_is_blind_and_publishes_nothing(console, cases: Ledger):
    choose(cases, take(cases, 1, "ana"), "ana", Action.REMOVE, note="first note")
    publish(cases, double_rate=1.0)
    assert claims.claim_next(cases, Queue(kind="double"), "ana") is None
    task = claims.claim_next(cases, Queue(kind="double"), "ben")
    page = console("ben").get("/case?upload=up-1").text
    assert "first note" not in page
    assert "Revision 2" not in page
    choose(cases, task.id, "ben", Action.ALLOW)
    published: list[object] = []
    outbox.publish_due(cases, published.extend, double_rate=0)
    assert published == []
    found = quality.measure(cases)
    assert found.agreement.table == {("remove", "allow"): 1}
    assert [(a, b) for a, b, _ in found.by_pair] == [("ana", "ben")]
    assert console("eve").get("/quality").status_code == 200


def test_golden_cases_measure_and_decide_nothing(serve, ledger: Ledger):
    for number in range(4):
        record_case(ledger, number, action=Action.REMOVE)
        assert golden.set_answer(ledger, f"up-{number}", Action.REMOVE, None, "lea")
    assert not golden.set_answer(ledger, "nothing", Action.REMOVE, None, "lea")
    seen = set()
    for action in (Action.REMOVE, Action.REMOVE, Action.ALLOW, Action.REMOVE):
        task = golden.assign(ledger, "ana")
        seen.add(task.upload_id)
        choose(ledger, task.id, "ana", action)
    publish(ledger)
    assert len(seen) == 4
    assert golden.assign(ledger, "ana") is None
    (one,) = quality.measure(ledger).accuracy
    assert (one.reviewer, one.right, one.total) == ("ana", 3, 4)
    assert 0.3 < one.low < 0.75 < one.high < 1.0
    assert all(len(ledger.get_case(name).verdicts) == 1 for name in seen)
    page = serve()("aud").get("/quality").text
    assert "ana" in page


def test_an_appeal_goes_to_another_reviewer_and_its_outcome_is_recorded(serve, cases: Ledger):
    ana, ben, lea = (serve()(name) for name in ("ana", "ben", "lea"))
    ana.post("/decide", task=take(cases, 1, "ana"), upload="up-1", action="remove")
    soon(lambda: len(cases.get_case("up-1").verdicts) == 2)
    removed = cases.get_case("up-1").verdict.id
    lea.post("/appeals", upload="up-1", verdict=removed, text="It was <b>a game</b>.")
    assert claims.claim_next(cases, Queue(kind="appeal"), "ana") is None
    assert ana.post("/claim", task=_appeal_task(cases)).status_code == 409
    task = claims.claim_next(cases, Queue(kind="appeal"), "ben")
    page = ben.get("/case?upload=up-1").text
    assert "It was &lt;b&gt;a game" in page
    ben.post("/decide", task=task.id, upload="up-1", action="allow")
    soon(lambda: cases.get_case("up-1").verdict.action is Action.ALLOW)
    soon(lambda: appeals.newest(cases)[0].state == "reversed")
    row = appeals.newest(cases)[0]
    assert (row.first_reviewer, row.reviewer) == ("ana", "ben")
    assert "agreed with you" in row.statement
    assert row.decided_at is not None


def _appeal_task(ledger: Ledger) -> str:
    return queues.queue_page(ledger, Queue(kind="appeal"), None)[0].id


def test_an_appeal_that_changes_nothing_is_upheld(ledger: Ledger):
    verdict = record_case(ledger, 1, action=Action.REMOVE)
    appeal_id, new = appeals.appeal(ledger, "up-1", verdict.id, "No!", "shop")
    assert new
    assert appeals.appeal(ledger, "up-1", verdict.id, "No!!", "shop") == (appeal_id, False)
    choose(ledger, _claimed(ledger), "ana", Action.REMOVE)
    publish(ledger)
    assert appeals.find_appeal(ledger, appeal_id).state == "upheld"


def _claimed(ledger: Ledger) -> str:
    task = claims.claim_next(ledger, Queue(kind="appeal"), "ana")
    assert task is not None
    return task.id


def test_invalid_appeals_are_rejected(ledger: Ledger):
    allowed = record_case(ledger, 1, action=Action.ALLOW)
    removed = record_case(ledger, 2, action=Action.REMOVE)
    record_case(ledger, 2, action=Action.ALLOW, revision=2)
    for upload_id, verdict_id, text, reason in (
        ("up-1", allowed.id, "x", "is allow"),
        ("up-2", removed.id, "x", "allowed now"),
        ("up-2", "nothing", "x", "no such verdict"),
        ("nothing", removed.id, "x", "no such verdict"),
        ("up-2", removed.id, " ", "states its reasons"),
        ("up-2", removed.id, "x" * 5000, "states its reasons"),
    ):
        with pytest.raises(AppealRefused, match=reason):
            appeals.appeal(ledger, upload_id, verdict_id, text, "shop")


def test_platforms_submit_appeals_with_an_api_key(ledger: Ledger):
    from quorum.aggregator.policy.policy import load_policy
    from quorum.apps.console.settings import ConsoleSettings
    from quorum.apps.http.keys import ApiKey, Keyring, _digest

    keys = [
        ApiKey("shop", frozenset({"moderate"}), _digest("s")),
        ApiKey("r", frozenset({"read"}), _digest("r")),
    ]
    policy = load_policy("balanced")
    settings = ConsoleSettings(hosts=("localhost",), undo=timedelta(0))
    app = create_console(
        ledger,
        policy,
        LedgerReviewPublisher(ledger, policy),
        settings,
        keyring=Keyring(tuple(keys)),
    )
    client = Person(app, None).client
    verdict = record_case(ledger, 1, action=Action.REMOVE)
    body = {"upload_id": "up-1", "verdict_id": verdict.id, "text": "Please look again"}
    for key, code in (("", 401), ("x", 401), ("r", 403), ("s", 201), ("s", 200)):
        answer = client.post("/api/appeals", json=body, headers={"authorization": f"Bearer {key}"})
        assert answer.status_code == code, answer.text
    made = answer.json()["id"]
    answer = client.get(f"/api/appeals/{made}", headers={"x-api-key": "s"}).json()
    assert answer["state"] == "open"
    bad = client.post("/api/appeals", json={"upload_id": 1}, headers={"x-api-key": "s"})
    assert bad.status_code == 422
    assert client.get("/api/appeals/nothing", headers={"x-api-key": "s"}).status_code == 404


def test_appeals_are_listed_by_state_and_page(console, ledger: Ledger):
    for number in range(60):
        removed = record_case(ledger, number, action=Action.REMOVE, title=f"<b>{number}")
        appeals.appeal(ledger, f"up-{number}", removed.id, "<i>please", "shop")
    eve = console("eve")
    page = eve.get("/appeals").text
    assert "<b>59" not in page
    assert "&lt;b&gt;59" in page
    assert "&lt;i&gt;please" in page
    assert "&lt;b&gt;1<" not in page
    further = page.split('class="pages"')[1].split('href="')[1].split('"')[0]
    assert "&lt;b&gt;1<" in eve.get(further.replace("&amp;", "&")).text
    assert "&lt;b&gt;1<" not in eve.get("/appeals?state=upheld").text
    assert eve.get("/appeals?state=%00&before=x").status_code == 200
    assert "Take the next appeal" not in page
    assert "Take the next appeal" in console("ana").get("/appeals").text
