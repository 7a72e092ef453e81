from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from quorum.aggregator.decider import Decider
from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.apps.console.desk import drafts, releasing, trials
from quorum.apps.console.desk.active_policy import ActivePolicy
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.rollback import propose_rollback
from quorum.core.errors import EngineUnavailable, PolicyError
from quorum.core.messages import PolicyRelease, Upload, now
from quorum.store.ledger import Ledger, SignedRelease
from quorum.store.ledger.releases import in_force
from tests.apps.console.cases_for_console import record_case
from tests.apps.console.conftest import soon

POLICY = load_policy("balanced")
TEXT = POLICY.text
DRAFT = TEXT.replace('score("violence") >= 0.75', 'score("violence") >= 0.55')


def test_four_eyes_from_the_page(serve, cases: Ledger, tmp_path: Path):
    assert DRAFT != TEXT
    file = tmp_path / "policy.yaml"
    people = serve(policy_file=file)
    lea, other = people("lea"), people("max")
    page = lea.post("/policy", text=DRAFT, name="<b>stricter</b>", reason="less <i>spam</i>")
    assert page.url.path == "/policy/draft"
    assert "&lt;b&gt;stricter" in page.text
    draft_id = page.url.params["id"]

    def ask(person, what: str):
        return person.post("/policy/draft", id=draft_id, what=what)

    assert ask(lea, "propose").status_code == 409
    assert ask(lea, "activate").status_code == 409
    assert ask(lea, "try").status_code == 200
    soon(lambda: drafts.get(cases, draft_id).trial == "done")
    page = lea.get(f"/policy/draft?id={draft_id}").text
    assert "of 10 actions change" in " ".join(page.split()).replace("</b>", "")
    assert "of 10 uploads change" in page
    assert "of 3 uploaders are concerned" in page
    assert "&lt;i&gt;spam" in page
    assert "had it tried on past cases (10 cases)" in page
    assert ask(lea, "propose").status_code == 200
    assert "second person" in ask(lea, "activate").text
    assert not file.exists()
    assert ask(other, "activate").status_code == 200
    assert file.read_text() == DRAFT
    assert load_policy(file).version in other.get("/policy").text
    assert ask(other, "activate").status_code == 409
    log = people("aud").get("/audit").text
    assert all(f"policy.{what}" in log for what in ("drafted", "tried", "proposed", "activated"))


def test_an_activated_policy_is_in_force_without_a_restart(serve, cases: Ledger):
    renamed = TEXT.replace("violence-likely", "violence-doubted")
    assert renamed != TEXT
    lea = serve()("lea")
    other_console = serve()("ana")
    assert "violence-likely" in other_console.get("/search").text
    draft = drafts.save(cases, "renamed", renamed, "lea", "Why not")
    trials.run_backtest(cases, draft, "lea")
    drafts.propose(cases, draft, "lea")
    drafts.activate(cases, draft, "max", None)
    for person in (lea, other_console):
        assert "violence-doubted" in person.get("/search").text
        assert "violence-likely" not in person.get("/search").text
    page = lea.get("/policy").text
    assert f"in force: <code>{load_policy('balanced').version}" not in page
    assert f"in force: <code>{load_policy('balanced').name}" in page


def test_an_unreadable_active_policy_falls_back_to_the_initial_one(ledger: Ledger):
    start = load_policy("balanced")
    release = PolicyRelease(policy_version="mine@1", text="version: 0", by="lea", at=now())
    ledger.record([SignedRelease(release, release.to_bytes())])
    active = ActivePolicy(ledger, start)
    assert active.current() is start
    assert "mine@1" in (active.problem() or "")


def test_what_is_activated_is_released_to_jobs_and_to_the_topic(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
):
    record_case(ledger, 1)
    versions = []
    for text in (TEXT, DRAFT):
        draft = drafts.save(ledger, "x", text, "lea", "Why not")
        trials.run_backtest(ledger, draft, "lea")
        drafts.propose(ledger, draft, "lea")
        drafts.activate(ledger, draft, "max", None)
        versions.append((draft, drafts.get(ledger, draft).version))
    found = ledger.transact(in_force)
    assert found is not None
    assert found.release.policy_version == versions[1][1]
    now_in_force = Policy.from_text(found.release.text)
    with pytest.raises(Conflict, match="Only a proposed policy"):
        drafts.activate(ledger, versions[0][0], "max", None)
    back = propose_rollback(
        ledger, load_policy("balanced"), now_in_force, versions[0][0], "lea", "back"
    )
    drafts.activate(ledger, back, "max", None)
    found = ledger.transact(in_force)
    assert found is not None
    assert found.release.policy_version == versions[0][1]

    sent: list[str] = []
    away = EngineUnavailable("the broker does not answer")

    def send(one: SignedRelease, topic: str) -> None:
        if not sent:
            sent.append("tried")
            raise away
        sent.append(one.release.policy_version)

    monkeypatch.setattr(releasing, "send", send)
    sender = releasing.ReleaseSender(ledger, "projects/p/topics/policies")
    with pytest.raises(EngineUnavailable):
        sender.step()
    assert "does not answer" in (sender.problem() or "")
    for _ in range(3):
        sender.step()
    assert sent == ["tried", versions[0][1]]
    assert sender.problem() is None


def test_a_job_that_decides_by_another_policy_is_shown(serve, ledger: Ledger):
    release = PolicyRelease(
        policy_version=POLICY.version, text=TEXT, by="lea", at=now() - timedelta(minutes=5)
    )
    ledger.record([SignedRelease(release, release.to_bytes())])
    upload = Upload.model_validate(
        {"id": "u1", "uploader": "c", "title": "t", "published_at": "2026-03-01T00:00:00Z"}
    )
    at = now()
    made = Decider(Policy.from_text(DRAFT)).first(upload, (), arrived=at, at=at).verdict
    ledger.record([upload, made])
    page = serve()("lea").get("/policy").text
    assert made.policy_version in page
    assert "not in force for more than a minute" in page


def test_reviewers_read_policies_and_leads_write_them(console):
    ana = console("ana")
    assert ana.get("/policy").status_code == 200
    assert ana.post("/policy", text=TEXT, name="x", reason="y").status_code == 403
    assert ana.get("/policy/draft?id=x").status_code == 404


def test_an_invalid_policy_is_returned_with_the_line_of_the_error(console):
    broken = TEXT + "\nrules: 7\n</textarea><script>alert(1)</script>\n"
    page = console("lea").post("/policy", text=broken, name="x", reason="y")
    assert page.status_code == 422
    assert "<script>alert" not in page.text
    assert "rules: 7" in page.text


def test_a_file_that_cannot_be_written_activates_nothing(ledger: Ledger, tmp_path: Path):
    record_case(ledger, 1)
    with pytest.raises(PolicyError):
        drafts.save(ledger, "x", "no: policy", "lea", "Why not")
    draft_id = drafts.save(ledger, "x", DRAFT, "lea", "Why not")
    trials.run_backtest(ledger, draft_id, "lea")
    drafts.propose(ledger, draft_id, "lea")
    with pytest.raises(Conflict, match="nothing was activated"):
        drafts.activate(ledger, draft_id, "max", tmp_path / "no" / "policy.yaml")
    assert drafts.get(ledger, draft_id).state == "proposed"


def test_all_mistakes_of_a_draft_are_shown(console):
    broken = TEXT.replace("quorum: 1", "quorum: 99").replace("deadline:", "deadlin:", 1)
    page = console("lea").post("/policy", text=broken, name="x", reason="y")
    assert page.status_code == 422
    assert "did you mean `deadline`?" in page.text
    assert "a quorum of 99 cannot be met" in page.text


def test_rolling_back_takes_two_clicks_of_two_people(serve, cases: Ledger, tmp_path: Path):
    file = tmp_path / "policy.yaml"
    people = serve(policy_file=file)
    lea, other = people("lea"), people("max")
    draft = drafts.save(cases, "stricter", DRAFT, "lea", "Why not")
    trials.run_backtest(cases, draft, "lea")
    drafts.propose(cases, draft, "lea")
    drafts.activate(cases, draft, "max", None)
    before = load_policy("balanced").version
    page = lea.get("/policy").text
    assert "ships with Quorum" in page
    assert load_policy("cautious").version in page
    assert people("ana").post("/policy/rollback", key="start", reason="too many").status_code == 403
    assert lea.post("/policy/rollback", key="no such", reason="x").status_code == 409
    page = lea.post("/policy/rollback", key="start", reason="too many")
    assert f"Roll back to {before}" in page.text
    assert "A second person must activate it." in page.text
    (proposed,) = [row for row in drafts.newest(cases) if row.state == "proposed"]
    assert lea.post("/policy/draft", id=proposed.id, what="activate").status_code == 409
    assert lea.post("/policy/rollback", key="start", reason="too many").status_code == 200
    assert len([row for row in drafts.newest(cases) if row.state == "proposed"]) == 1
    assert other.post("/policy/draft", id=proposed.id, what="activate").status_code == 200
    assert file.read_text() == TEXT
    assert other.post("/policy/rollback", key="start", reason="too many").status_code == 409
    # What was rolled back from can be rolled forward to.
    assert "was in force: stricter" in other.get("/policy").text
    assert "policy.rollback" in people("aud").get("/audit").text
