from __future__ import annotations

from pathlib import Path

import pytest

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.console.desk import drafts
from quorum.apps.console.desk.active_policy import ActivePolicy
from quorum.apps.console.desk.decisions import Conflict
from quorum.core.errors import PolicyError
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import drafts as table
from tests.apps.console.cases_for_console import record_case

POLICY = load_policy("balanced")
TEXT = POLICY.text
DRAFT = TEXT.replace('score("violence") >= 0.75', 'score("violence") >= 0.55')


def test_four_eyes_from_the_page(serve, cases: Ledger, tmp_path: Path):
    assert DRAFT != TEXT
    file = tmp_path / "policy.yaml"
    people = serve(policy_file=file)
    lea, other = people("lea"), people("max")
    page = lea.post("/policy", text=DRAFT, name="<b>stricter</b>")
    assert page.url.path == "/policy/draft"
    assert "&lt;b&gt;stricter" in page.text
    draft_id = page.url.params["id"]

    def ask(person, what: str):
        return person.post("/policy/draft", id=draft_id, what=what)

    assert ask(lea, "propose").status_code == 409
    assert ask(lea, "activate").status_code == 409
    assert "of 10 actions change" in " ".join(ask(lea, "try").text.split()).replace("</b>", "")
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
    draft = drafts.save(cases, "renamed", renamed, "lea")
    drafts.run_backtest(cases, draft, "lea")
    drafts.propose(cases, draft, "lea")
    drafts.activate(cases, draft, "max", None)
    for person in (lea, other_console):
        assert "violence-doubted" in person.get("/search").text
        assert "violence-likely" not in person.get("/search").text
    assert load_policy("balanced").version not in lea.get("/policy").text


def test_an_unreadable_active_policy_falls_back_to_the_initial_one(ledger: Ledger):
    start = load_policy("balanced")
    draft = drafts.save(ledger, "old", TEXT, "lea")
    query = table.update().values(text="version: 0", state="active")
    ledger.transact(lambda connection: connection.execute(query), writes=True)
    assert draft
    assert ActivePolicy(ledger, start).current() is start


def test_reviewers_read_policies_and_leads_write_them(console):
    ana = console("ana")
    assert ana.get("/policy").status_code == 200
    assert ana.post("/policy", text=TEXT, name="x").status_code == 403
    assert ana.get("/policy/draft?id=x").status_code == 404


def test_an_invalid_policy_is_returned_with_the_line_of_the_error(console):
    broken = TEXT + "\nrules: 7\n</textarea><script>alert(1)</script>\n"
    page = console("lea").post("/policy", text=broken, name="x")
    assert page.status_code == 422
    assert "<script>alert" not in page.text
    assert "rules: 7" in page.text


def test_a_file_that_cannot_be_written_activates_nothing(ledger: Ledger, tmp_path: Path):
    record_case(ledger, 1)
    with pytest.raises(PolicyError):
        drafts.save(ledger, "x", "no: policy", "lea")
    draft_id = drafts.save(ledger, "x", DRAFT, "lea")
    drafts.run_backtest(ledger, draft_id, "lea")
    drafts.propose(ledger, draft_id, "lea")
    with pytest.raises(Conflict, match="nothing was activated"):
        drafts.activate(ledger, draft_id, "max", tmp_path / "no" / "policy.yaml")
    assert drafts.get(ledger, draft_id).state == "proposed"


def test_all_mistakes_of_a_draft_are_shown(console):
    broken = TEXT.replace("quorum: 1", "quorum: 99").replace("deadline:", "deadlin:", 1)
    page = console("lea").post("/policy", text=broken, name="x")
    assert page.status_code == 422
    assert "did you mean `deadline`?" in page.text
    assert "a quorum of 99 cannot be met" in page.text
