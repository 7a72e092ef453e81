"""The policy console: checks and words as one types, trials in the background, the history."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from quorum.aggregator.decider import Decider
from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.apps.console.desk import drafts, trials
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.policy_history import golden_of, past_releases
from quorum.apps.console.desk.rollouts import compare_rollouts
from quorum.apps.console.pages.policy_edit import Turns
from quorum.core.errors import PolicyError
from quorum.core.messages import Action, PolicyRelease, Upload, now
from quorum.store.ledger import Ledger, SignedRelease
from quorum.store.ledger.console_schema import drafts as table
from quorum.store.ledger.sealing import seal
from tests.apps.console.cases_for_console import record_case

POLICY = load_policy("balanced")
TEXT = POLICY.text
STRICTER = TEXT.replace('score("violence") >= 0.75', 'score("violence") >= 0.55')
LINE = "rule violence-likely: threshold 0.75 -> 0.55"


def test_mistakes_come_back_at_their_lines(console):
    lea = console("lea")
    broken = TEXT.replace('score("violence")', 'score("violance")', 1)
    found = lea.post("/policy/check", text=broken, golden="").json()
    assert found["version"] is None
    (mistake,) = found["mistakes"]
    assert "violance" in broken.split("\n")[mistake["line"] - 1]
    assert "did you mean `violence`?" in mistake["message"]
    found = lea.post("/policy/check", text=STRICTER, golden="").json()
    assert found["changes"] == [LINE]
    assert found["version"] == Policy.from_text(STRICTER).version


def test_the_editor_begins_with_the_policy_in_force_and_its_golden_cases(console):
    page = console("lea").get("/policy/edit").text
    assert "28 of 28 are decided as expected" in page
    assert "name: balanced" in page
    assert console("ana").get("/policy/edit").status_code == 403
    assert console("lea").get("/policy/edit?id=none").status_code == 404


def test_words_that_may_come(console):
    text = "detectors:\n  spam:\n    mis"
    found = console("lea").post("/policy/words", text=text, at=str(len(text))).json()
    assert found["items"][0]["text"] == "missing: "
    assert text[found["start"] :] == "mis"
    for at in ("-1", "x", "9999999", ""):
        assert console("lea").post("/policy/words", text=text, at=at).status_code == 413
    assert console("lea").post("/policy/words", text=text, at="9999").json()["items"]


def test_checks_are_bounded_in_size_and_rate_and_need_a_lead(console, monkeypatch):
    lea = console("lea")
    assert lea.post("/policy/check", text="x" * 65_537, golden="").status_code == 413
    assert lea.post("/policy/check", text="", golden="x" * 65_537).status_code == 413
    for url in ("/policy/check", "/policy/words"):
        assert console("ana").post(url, text=TEXT, at="1").status_code == 403
        assert lea.client.post(url, data={"text": TEXT}).status_code == 403, "no token"
    turns = Turns(most=3, seconds=10)
    monkeypatch.setattr("quorum.apps.console.pages.policy_edit._CHECKS", turns)
    answers = [lea.post("/policy/check", text="name: x", golden="") for _ in range(4)]
    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert answers[3].headers["retry-after"]
    assert console("max").post("/policy/check", text="name: x", golden="").status_code == 200


def test_turns_come_back_with_time_and_are_few_at_once():
    turns = Turns(most=2, seconds=10, together=2)
    assert turns.take("lea", 0.0)
    assert turns.take("lea", 1.0)
    turns.give()
    assert not turns.take("lea", 9.0)
    assert turns.take("lea", 10.5)
    turns.give()
    turns.give()


def test_a_draft_needs_a_reason_and_readable_golden_cases(console, ledger: Ledger):
    lea = console("lea")
    page = lea.post("/policy", text=STRICTER, name="n", reason="  ", golden="")
    assert page.status_code == 422
    assert "Say why the policy changes" in page.text
    assert "&gt;= 0.55" in page.text, "what was typed is kept"
    page = lea.post("/policy", text=STRICTER, name="n", reason="r", golden="- {name: x")
    assert page.status_code == 422
    assert "not valid YAML" in page.text
    with pytest.raises(PolicyError):
        drafts.save(ledger, "n", STRICTER, "lea", "r", "- {name: x, scores: {spma: 1}}")
    assert drafts.newest(ledger) == []


def test_a_draft_whose_golden_case_fails_gets_no_approval(cases: Ledger):
    golden = "- {name: Never, scores: {spam: 1.0, violence: 0, copyright: 0}, expect: allow}"
    draft = drafts.save(cases, "n", STRICTER, "lea", "r", golden)
    with pytest.raises(Conflict, match="backtested"):
        drafts.propose(cases, draft, "lea")
    trials.run_backtest(cases, draft, "lea", POLICY)
    with pytest.raises(Conflict, match=r"1 golden cases fail.*Never"):
        drafts.propose(cases, draft, "lea")
    report = json.loads(drafts.get(cases, draft).report)
    assert report["against"] == POLICY.version
    assert report["radius"]["of"] == {"uploads": 10, "uploaders": 3}
    assert report["radius"]["sampled"] is False


def test_a_week_beyond_the_bound_is_sampled_with_intervals(
    cases: Ledger, serve, monkeypatch: pytest.MonkeyPatch
):
    for number in range(10, 50):
        record_case(cases, number, uploader=f"one-{number}", views=100)
    monkeypatch.setattr(trials, "MOST_CASES", 25)
    draft = drafts.save(cases, "n", STRICTER, "lea", "r")
    trials.run_backtest(cases, draft, "lea")
    report = json.loads(drafts.get(cases, draft).report)
    assert report["cases"] <= 25
    assert report["radius"]["sampled"] is True
    assert report["radius"]["of"] == {"uploads": 50, "uploaders": 43}
    page = serve()("eve").get(f"/policy/draft?id={draft}").text
    assert "Whole uploaders were drawn" in page
    assert " to " in page


def test_the_title_of_a_sealed_upload_is_no_example(cases: Ledger, serve):
    record_case(cases, 20, action=Action.ALLOW)
    draft = drafts.save(cases, "n", STRICTER, "lea", "r")
    trials.run_backtest(cases, draft, "lea")
    eve = serve()("eve")
    title = ">Title 20<"
    assert title in eve.get(f"/policy/draft?id={draft}").text
    cases.transact(
        lambda c: seal(c, "up-20", how="person", by="ana", at=now()),
        writes=True,
    )
    page = eve.get(f"/policy/draft?id={draft}").text
    assert title not in page
    assert "(no title)" in page


def test_a_trial_that_fails_or_whose_console_went_away(cases: Ledger, monkeypatch):
    draft = drafts.save(cases, "n", STRICTER, "lea", "r")
    runner = trials.TrialRunner(cases, lambda: POLICY)
    assert runner.step() is False
    trials.ask_for_trial(cases, draft, "lea")

    def broken(*_: Any) -> None:
        raise PolicyError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(trials, "draw_sample", broken)
        assert runner.step() is True
    row = drafts.get(cases, draft)
    assert (row.trial, row.trial_error) == ("failed", "the disk is full")
    trials.ask_for_trial(cases, draft, "lea")
    lost = {"trial": "running", "trial_at": now() - timedelta(minutes=2)}
    cases.transact(lambda c: c.execute(update(table).values(**lost)), writes=True)
    assert runner.step() is True
    assert drafts.get(cases, draft).trial == "done"
    cases.transact(
        lambda c: c.execute(update(table).values(trial="running", trial_at=now())), writes=True
    )
    assert runner.step() is False, "another console is at it"
    with pytest.raises(Conflict):
        trials.ask_for_trial(cases, "none", "lea")


def test_a_console_that_ends_leaves_its_trial_to_another(cases: Ledger):
    draft = drafts.save(cases, "n", STRICTER, "lea", "r")
    trials.ask_for_trial(cases, draft, "lea")
    ended = trials.TrialRunner(cases, lambda: POLICY)
    ended._stopping.set()
    assert ended.step() is True
    assert drafts.get(cases, draft).trial == "waiting"
    assert trials.TrialRunner(cases, lambda: POLICY).step() is True
    assert drafts.get(cases, draft).trial == "done"


def test_how_far_a_trial_is_is_shown(cases: Ledger, serve):
    draft = drafts.save(cases, "n", STRICTER, "lea", "r")
    running = {"trial": "running", "trial_at": now(), "trial_done": 400, "trial_total": 1000}
    cases.transact(lambda c: c.execute(update(table).values(**running)), writes=True)
    lea = serve()("lea")
    part = lea.get(f"/policy/draft/trial?id={draft}").text
    assert "400 of 1,000 cases are decided again." in part
    assert 'hx-trigger="every 1s"' in part
    assert "Ask for approval" not in part
    assert lea.get("/policy/draft/trial?id=none").status_code == 404


def test_the_history_says_who_changed_what_and_why(cases: Ledger, serve):
    first = PolicyRelease(
        policy_version=POLICY.version, text=TEXT, by="ops", at=now() - timedelta(days=1), note="go"
    )
    cases.record([SignedRelease(first, first.to_bytes())])
    draft = drafts.save(cases, "stricter", STRICTER, "lea", "fights <b>slip</b> through")
    trials.run_backtest(cases, draft, "lea", POLICY)
    drafts.propose(cases, draft, "lea")
    drafts.activate(cases, draft, "max", None)
    newest, oldest = past_releases(cases)
    assert (newest.author, newest.by, newest.draft) == ("lea", "max", draft)
    assert newest.note == "fights <b>slip</b> through"
    assert newest.changes == (LINE,)
    assert (oldest.author, oldest.by, oldest.note, oldest.changes) == (None, "ops", "go", None)
    (only,) = past_releases(cases, 1)
    assert only.changes == (LINE,), "the one before is not shown, but compared with"
    page = serve()("eve").get("/policy/history").text
    assert "fights &lt;b&gt;slip" in page
    assert "threshold 0.75 -&gt; 0.55" in page
    assert "written by lea, activated by max" in page


def test_both_sides_of_a_rollout_are_shown(console, cases: Ledger):
    assert "Nothing was rolled out" in console("eve").get("/policy/rollouts").text
    always = "rules:\n  - {name: all, when: 'true', action: remove, reason: All.}\n"
    candidate = Policy.from_text(TEXT.replace("rules:\n", always, 1))
    decider, at = Decider(POLICY.with_candidate(candidate, 50)), now()
    uploads = [Upload(id=f"r{each}", uploader=f"by-{each}", published_at=at) for each in range(200)]
    made = [decider.first(one, (), arrived=at, at=at).verdict for one in uploads]
    cases.record([*uploads, *made])
    page = console("eve").get("/policy/rollouts").text
    (row,) = re.findall(r'<th scope="row">remove</th>.*?</tr>', page)
    assert f"<bdi>{candidate.version}</bdi>" in page
    assert "100.00%" in row
    assert "<b>yes</b>" in row
    few = compare_rollouts(cases, most=50)
    assert few.read <= 50 < few.of
    report = few.reports[candidate.version]
    assert report.taken.uploads + report.others.uploads <= 50
    assert (report.taken.values["remove"], report.others.values["remove"]) == (1.0, 0.0)


def test_golden_cases_follow_their_policy(cases: Ledger):
    assert "expect" in golden_of(cases, POLICY)
    mine = Policy.from_text(TEXT.replace("name: balanced", "name: mine"))
    assert golden_of(cases, mine) == ""
    golden = "- {name: x, scores: {spam: 0, violence: 0, copyright: 0}, expect: allow}"
    drafts.save(cases, "n", mine.text, "lea", "r", golden)
    assert golden_of(cases, mine) == golden
