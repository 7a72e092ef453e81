"""Sealed cases in the console: sealed at once, shown to few, their media to nobody."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.access import Role, create_user
from quorum.apps.console.desk import appeals, noticed, outbox, reported, sealed, tasks
from quorum.apps.console.desk.publishing import LedgerReviewPublisher
from quorum.apps.console.pages import rendering
from quorum.apps.console.pages import sealed as pages
from quorum.core.child_safety_settings import ChildSafetySettings, ReporterSettings
from quorum.core.errors import InputError
from quorum.core.messages import Action, Evidence, Prediction, Status, now, prediction_id
from quorum.core.settings import MediaAccess
from quorum.models.known import records
from quorum.models.known.hashes import Listed
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import appeals as appeal_table
from quorum.store.ledger.console_schema import tasks as task_table
from quorum.store.ledger.notices_schema import notices
from quorum.store.ledger.reports_schema import report_cases
from quorum.store.ledger.sealed_schema import sealed_cases
from quorum.store.sealed.reading import events_of
from quorum.store.sealed.values import SealedRules, a_year_after
from tests.apps.console import test_notices_pages as notes
from tests.apps.console.cases_for_console import record_case
from tests.apps.console.conftest import PASSWORD
from tests.apps.console.test_reports_pages import send as report

DOCS = Path(__file__).parents[3] / "docs"
RULES = SealedRules()
MD5 = "0cc175b9c0f1b6a831c399e269772661"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The time of all that has to do with sealed cases; the test moves it."""
    times = [now()]
    for module in (sealed, pages, rendering):
        monkeypatch.setattr(module, "now", lambda: times[0])
    return times


@pytest.fixture
def sam(ledger: Ledger) -> str:
    create_user(ledger, "sam", Role.SPECIALIST, PASSWORD, "test")
    return "sam"


def match(
    ledger: Ledger, number: int, hashed: str = f"md5:{MD5}", label: str = "exact", **more: Any
) -> None:
    """Record what the detector of listed hashes says of an upload that matches one."""
    upload = f"up-{number}"
    given = {
        "id": prediction_id(upload, "hashes", f"v{label}{hashed}"),
        "upload_id": upload,
        "detector": "hashes",
        "version": "v1",
        "status": Status.SCORED,
        "score": 1.0,
        "labels": {"hashes/csam": 1.0, f"hashes/csam/{label}": 1.0},
        "evidence": (
            Evidence(kind="video", field="file", what=f"sha256={number:064x} sha1= md5={MD5}"),
            Evidence(kind="match", what="the same file", weight=1.0, work=hashed),
        ),
        "at": now(),
    }
    ledger.record([Prediction(**{**given, **more})])


def case_of(ledger: Ledger, number: int) -> Any:
    query = select(sealed_cases).where(sealed_cases.c.upload_id == f"up-{number}")
    return ledger.transact(lambda c: c.execute(query).first())


def publish(ledger: Ledger) -> None:
    publisher = LedgerReviewPublisher(ledger, load_policy("balanced"))
    outbox.publish_due(ledger, publisher.publish, double_rate=0.0)


def test_a_match_seals_before_any_page_can_show_it(
    cases: Ledger, serve: Any, sam: str, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"no film")
    media = {"media": clip.as_uri(), "title": "Secret words"}
    record_case(cases, 40, **media)
    tasks.sync(cases)
    people = serve(media=MediaAccess(folders=(str(tmp_path),)))
    ana = people("ana")
    assert ana.get("/case/media?upload=up-40").status_code == 200
    assert "Secret words" in ana.get("/queue").text
    match(cases, 40)
    for name in ("ana", "lea", "root", "aud", "eve"):
        person = people(name)
        for page in ("/case", "/case/media", "/case/frame", "/case/viewing", "/like"):
            assert person.get(f"{page}?upload=up-40").status_code == 403, (name, page)
        for page in ("/queue", "/search?q=secret", "/search?uploader=by-1", "/overview", "/mine"):
            assert "Secret words" not in person.get(page).text, (name, page)
        if name != "eve":
            assert person.get("/sealed").status_code == 403
    with_right = people(sam)
    for page in ("media", "frame", "scene&number=0", "viewing", "status"):
        path, _, more = page.partition("&")
        assert with_right.get(f"/case/{path}?upload=up-40&{more}").status_code == 403
    shown = with_right.get("/case?upload=up-40")
    assert shown.url.path == "/sealed/one"
    assert "Secret words" in shown.text and f"md5:{MD5}"[:40] in shown.text
    assert all(word not in shown.text for word in ("<video", "<img", "/case/media", clip.name))
    assert case_of(cases, 40).id[:16] in with_right.get("/sealed").text
    row = case_of(cases, 40)
    assert (row.state, row.how, row.sealed_by) == ("open", "match", "detector")
    assert (row.due_at - row.sealed_at) == timedelta(hours=24)
    # It waits for no reviewer, whatever opens a task later.
    t = task_table.c
    states = select(t.state, t.outcome).where(t.upload_id == "up-40")
    assert set(cases.transact(lambda c: c.execute(states).all())) == {("closed", "sealed")}
    assert ana.post("/again", upload="up-40").status_code == 403
    sealed.sync(cases, RULES)
    assert audit.verify(cases).broken is None
    lines = [one for one in audit.newest(cases) if one.event.startswith("sealed")]
    assert {one.event for one in lines} == {"sealed.sealed", "sealed-case.read"}
    assert all("up-40" not in one.details and one.subject != "up-40" for one in lines)


def test_another_detector_a_shadow_and_another_category_seal_nothing(cases: Ledger) -> None:
    match(cases, 1, detector="copyright")
    match(cases, 2, shadow=True)
    match(cases, 3, labels={"hashes/intimate": 1.0, "hashes/intimate/exact": 1.0})
    match(cases, 4, status=Status.ABSTAINED, score=None, labels={}, reason="no media", evidence=())
    assert all(case_of(cases, number) is None for number in range(1, 5))


def test_confirmed_reported_and_preserved_for_a_year(
    cases: Ledger, serve: Any, sam: str, clock: list[datetime], tmp_path: Path
) -> None:
    settings = ChildSafetySettings(
        reporter=ReporterSettings(email="safety@example.org"), reports=str(tmp_path / "reports")
    )
    person = serve(child_safety=settings)(sam)
    cases.transact(
        lambda c: records.add_entries(c, [Listed("md5", MD5, "csam", "ncmec", "image1")], now()),
        writes=True,
    )
    match(cases, 1)
    case = case_of(cases, 1).id
    answer = person.post("/sealed/one", case=case, what="package")
    assert answer.status_code == 422 and "confirm it before" in answer.text
    assert person.post("/sealed/one", case=case, what="reported", number="1").status_code == 422
    person.post("/sealed/one", case=case, what="confirm", viewed="no")
    publish(cases)
    verdict = cases.get_case("up-1").verdict
    assert (verdict.action, verdict.decided_by) == (Action.REMOVE, "reviewer")
    assert verdict.category == "protection-of-minors"
    waiting = cases.transact(lambda c: records.waiting_opinions(c, "ncmec", 10))
    assert [(one.opinion, one.reference) for one in waiting] == [("confirm", "image1")]
    person.post("/sealed/one", case=case, what="package")
    written = {one.name for one in (tmp_path / "reports" / case).iterdir()}
    assert written == {"report.xml", "file-details.xml", "log.jsonl", "manifest.json"}
    # Not reported yet: it is kept for as long as it takes.
    clock[0] += timedelta(days=900)
    assert cases.forget("by-1", dry_run=True).rows.held == ("up-1",)
    at = clock[0] = now()
    answer = person.post("/sealed/one", case=case, what="reported", number=" 4564654 ")
    assert "It is kept against erasure until" in answer.text
    assert case_of(cases, 1).preserved_until == a_year_after(at)
    assert "up-1" in cases.forget("by-1", dry_run=False).rows.held
    assert cases.get_case("up-1") is not None
    clock[0] = a_year_after(at) - timedelta(seconds=1)
    sealed.sync(cases, RULES)
    assert case_of(cases, 1).ended_at is None
    assert "preservation ends" in person.get("/sealed?show=ending").text
    clock[0] = a_year_after(at)
    sealed.sync(cases, RULES)
    sealed.sync(cases, RULES)
    told = [one.event for one in cases.transact(lambda c: events_of(c, case))]
    assert told == ["sealed", "confirmed", "packaged", "reported", "preservation-ended"]
    assert "Its preservation ended" in person.get(f"/sealed/one?case={case}").text
    assert audit.verify(cases).broken is None
    csv = person.get("/sealed.csv").text
    assert case in csv and "4564654" in csv
    header = csv.splitlines()[0].lstrip("\ufeff")
    documented = (DOCS / "child-safety.md").read_text().split("The columns are ")[1].split(";")[0]
    assert header.split(",") == re.findall(r"`(\w+)`", documented)
    line = json.loads(person.get("/sealed.json").text.splitlines()[0])
    assert list(line) == [*header.split(","), "log", "matches"]
    assert [one["event"] for one in line["log"]] == told and line["matches"][0]["how"] == "exact"


def test_denied_never_matches_again_and_returns_to_a_reviewer(
    cases: Ledger, serve: Any, sam: str
) -> None:
    person = serve()(sam)
    cases.transact(
        lambda c: records.add_entries(c, [Listed("md5", MD5, "csam", "ncmec", "image1")], now()),
        writes=True,
    )
    match(cases, 1)
    match(cases, 2)
    first, second = case_of(cases, 1).id, case_of(cases, 2).id
    answer = person.post("/sealed/one", case=first, what="deny", why=" ", then="queue")
    assert answer.status_code == 422 and "State why" in answer.text
    person.post("/sealed/one", case=first, what="deny", why="a blank picture", then="queue")
    person.post("/sealed/one", case=second, what="deny", why="a blank picture", then="allow")
    publish(cases)
    assert "Title 1" in person.get("/queue").text
    assert person.get("/case?upload=up-1").url.path == "/case"
    assert cases.get_case("up-2").verdict.action is Action.ALLOW
    said = {(one.kind, one.value): one.standing for one in cases.transact(records.standings_of)}
    assert said["md5", MD5] == "denied" and said["sha256", f"{1:064x}"] == "denied"
    waiting = cases.transact(lambda c: records.waiting_opinions(c, "ncmec", 10))
    assert [one.opinion for one in waiting] == ["deny", "deny"]
    # A replay of what was predicted before opens nothing; a new match does.
    match(cases, 1, at=now() - timedelta(hours=1))
    assert case_of(cases, 1).state == "denied"
    match(cases, 1, "md5:" + 32 * "b", at=now() + timedelta(seconds=30))
    assert case_of(cases, 1).state == "open"
    assert cases.forget("by-2", dry_run=True).rows.held == ()
    assert audit.verify(cases).broken is None


def test_a_reviewer_seals_what_they_suspect(cases: Ledger, serve: Any, sam: str) -> None:
    people = serve()
    ana = people("ana")
    ana.post("/next")
    held = cases.transact(
        lambda c: c.execute(
            select(task_table.c.upload_id).where(task_table.c.claimed_by == "ana")
        ).scalar()
    )
    assert "Seal the case" in ana.get(f"/case?upload={held}").text
    assert people("eve").post("/sealed/seal", upload=held).status_code == 403
    assert ana.post("/sealed/seal", upload="nothing").status_code == 422
    assert ana.post("/sealed/seal", upload=held).status_code == 200
    assert ana.get(f"/case?upload={held}").status_code == 403
    assert ana.post("/sealed/seal", upload=held).status_code == 403
    number = int(held.removeprefix("up-"))
    assert (case_of(cases, number).how, case_of(cases, number).sealed_by) == ("person", "ana")
    assert "sealed by ana" in people(sam).get("/sealed").text


def waiting_on(ledger: Ledger, number: int) -> dict[str, datetime]:
    """The open tasks of an upload by kind, with when each is due."""
    t = task_table.c
    query = select(t.kind, t.due_at).where(t.upload_id == f"up-{number}", t.state == "open")
    return {row.kind: row.due_at for row in ledger.transact(lambda c: c.execute(query).all())}


def state_of(ledger: Ledger, table: Any, number: int) -> Any:
    query = select(table).where(table.c.upload_id == f"up-{number}")
    return ledger.transact(lambda c: c.execute(query).one())


def sync(ledger: Ledger) -> None:
    publish(ledger)
    reported.sync(ledger)
    noticed.sync(ledger, notes.RULES)


def test_what_others_send_about_a_sealed_upload_is_a_specialists_with_its_clock(
    cases: Ledger, serve: Any, sam: str
) -> None:
    """One was sent before the seal, one after it; one is confirmed, one denied."""
    for number in (60, 61, 62):
        record_case(cases, number, title="Secret words", action=Action.ALLOW)
    for number in (60, 61):
        report(cases, f"up-{number}", text=f"They hurt a child {number}")
        notes.send(cases, number)
    sync(cases)
    before = waiting_on(cases, 60)
    assert before.keys() == waiting_on(cases, 61).keys() == {"report", "notice"}
    for number in (60, 61, 62):
        match(cases, number)
    report(cases, "up-62", text="Late words")
    notice = notes.send(cases, 62)
    sync(cases)
    assert [waiting_on(cases, number) for number in (60, 61, 62)] == [{}] * 3
    people = serve()
    where = (f"/reports/case?case={state_of(cases, report_cases, 62).id}",
             f"/notices/one?notice={notice.id}")  # fmt: skip
    for name in ("ana", "lea"):
        person = people(name)
        assert [person.get(page).status_code for page in where] == [403, 403], name
        listed = "".join(person.get(page).text for page in ("/queue", "/reports", "/notices"))
        assert "Secret words" not in listed and "Late words" not in listed
    lea, person = people("lea"), people(sam)
    refused = lea.post("/notices/one", notice=notice.id, what="reject", why="no")
    assert refused.status_code == 403 and notes.state(cases, notice) == "received"
    assert [person.get(page).url.path for page in where] == ["/sealed/one"] * 2
    first, second, third = (case_of(cases, number).id for number in (60, 61, 62))
    page = person.get(f"/sealed/one?case={third}").text
    assert "Late words" in page and "Copyright notice" in page and page.count("left</span>") == 2

    def answers(what: str, why: str) -> int:
        matter = state_of(cases, report_cases, 62).id
        given = {"case": third, "matter": matter, "what": what, "why": why}
        return int(person.post("/sealed/one", **given).status_code)

    assert (answers("agree", ""), answers("refuse", " ")) == (422, 422)
    assert answers("refuse", "a lawful film") == 200
    assert answers("refuse", "again") == 422
    assert state_of(cases, report_cases, 62).outcome == "rejected"

    person.post("/sealed/one", case=first, what="confirm", viewed="no")
    done = state_of(cases, report_cases, 60)
    assert (done.state, done.outcome, done.action) == ("closed", "upheld", "remove")
    assert state_of(cases, notices, 60).state == "removed"
    for case, then in ((second, "queue"), (third, "queue")):
        person.post("/sealed/one", case=case, what="deny", why="no child", then=then)
    sync(cases)
    assert waiting_on(cases, 60) == {}
    assert cases.get_case("up-60").verdict.action is Action.REMOVE
    again = waiting_on(cases, 61)
    assert again.keys() == {"review", "report", "notice"}
    assert again["report"] == state_of(cases, report_cases, 61).due_at
    assert again["notice"] == state_of(cases, notices, 61).due_at
    assert waiting_on(cases, 62)["notice"] == state_of(cases, notices, 62).due_at
    assert "Secret words" in lea.get("/queue?kind=notice").text
    assert audit.verify(cases).broken is None


def test_the_clock_puts_nothing_back_that_is_sealed(cases: Ledger, sam: str) -> None:
    record_case(cases, 60, action=Action.ALLOW, uploader="by-2")
    notes.send(cases, 60)
    notes.take_down(cases, 60)
    counter = notes.send(cases, 60, "by-2", kind="counter")
    noticed.accept(cases, counter.id, notes.RULES, "lea")
    n = notices.c
    over = notices.update().where(n.id == counter.id).values(earliest_at=now(), due_at=now())
    cases.transact(lambda c: c.execute(over), writes=True)
    removed = cases.get_case("up-60").verdict
    appeals.appeal(cases, "up-60", removed.id, "It is mine.", "letter")
    match(cases, 60)
    sync(cases)
    sync(cases)
    assert cases.get_case("up-60").verdict.action is Action.REMOVE
    assert notes.state(cases, counter) == "waiting"
    sealed.confirm(cases, case_of(cases, 60).id, sam, viewed=False)
    assert notes.state(cases, counter) == "rejected"
    assert state_of(cases, appeal_table, 60).state == "upheld"
    sync(cases)
    assert waiting_on(cases, 60) == {}
    assert audit.verify(cases).broken is None


def test_two_specialists_decide_one_case_once(cases: Ledger, sam: str) -> None:
    match(cases, 1)
    case = case_of(cases, 1).id
    sealed.deny(cases, case, "no child", "sam", then="queue")
    with pytest.raises(InputError, match="is denied cannot become confirmed"):
        sealed.confirm(cases, case, "tom", viewed=False)
    with pytest.raises(InputError, match="quorum sealed list"):
        sealed.confirm(cases, "nothing", "tom", viewed=False)


def test_a_hash_that_floods_is_quarantined_and_told(cases: Ledger, serve: Any, sam: str) -> None:
    person = serve(child_safety=ChildSafetySettings(flood_matches=3))(sam)
    rules = SealedRules(flood=3)
    for number in (1, 2):
        match(cases, number)
    sealed.sync(cases, rules)
    assert cases.transact(lambda c: records.standing_of(c, "md5", MD5)) is None
    match(cases, 3)
    sealed.sync(cases, rules)
    assert cases.transact(lambda c: records.standing_of(c, "md5", MD5)) == "flooded"
    assert [case_of(cases, number).flooded for number in (1, 2, 3)] == [True] * 3
    page = person.get("/sealed?show=flooded").text
    assert "it matched 3 uploads in 60 min" in page and case_of(cases, 3).id[:16] in page
    # What the detector holds because of it is in the queue as such.
    match(cases, 4, label="flooded")
    assert case_of(cases, 4).flooded
    person.post("/sealed/hash", hash=f"md5:{MD5}", what="trust", why="a wave, all real")
    assert not case_of(cases, 4).flooded
    match(cases, 5)
    sealed.sync(cases, rules)
    assert cases.transact(lambda c: records.standing_of(c, "md5", MD5)) == "trusted"
    assert person.post("/sealed/hash", hash="md5:x", what="deny", why="y").status_code == 422
    assert audit.verify(cases).broken is None


def test_an_event_that_was_changed_breaks_the_audit(cases: Ledger) -> None:
    from quorum.store.ledger.sealed_schema import sealed_events

    match(cases, 1)
    sealed.sync(cases, RULES)
    cases.transact(lambda c: c.execute(sealed_events.update().values(actor="x")), writes=True)
    assert "was changed" in str(audit.verify(cases).broken)


def test_a_package_needs_a_reporter(cases: Ledger, sam: str, tmp_path: Path) -> None:
    from quorum.core.errors import ConfigurationError

    match(cases, 1)
    case = case_of(cases, 1).id
    sealed.confirm(cases, case, "sam", viewed=True)
    with pytest.raises(ConfigurationError, match=r"child_safety\.reporter"):
        sealed.write_package(cases, case, ChildSafetySettings(), tmp_path, "sam")
    assert list(tmp_path.rglob("*.xml")) == []
