"""Warnings and suspensions: what a rule asks, what a human says, and what is never automatic."""

from __future__ import annotations

from typing import Any

import pytest

from quorum.aggregator.case.case import Case
from quorum.aggregator.decider import Decider
from quorum.aggregator.decision.facts import Uploader
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.golden import read_golden, run_golden
from quorum.core.errors import PolicyError
from quorum.core.messages import Review, Verdict
from tests.aggregator.aggregator_cases import START, after, reviewed, said, upload

SUSPEND = "{action: suspend, for: 7 d, reason: Three removals.}"
POLICY = """
name: accounts
deadline: 10 s
detectors: {spam: {required: true}}
caps: {total: {removals: 2, per: 1 d}}
rules:
  - name: again
    when: uploader.strikes >= 2.5 && score("spam") >= 0.9
    action: remove
    reason: Spam again ({spam}).
    account: ACCOUNT
  - name: once
    when: score("spam") >= 0.9
    action: remove
    reason: Spam ({spam}).
    account: {action: warn, reason: Spam was removed., automatic: true}
  - name: perhaps
    when: score("spam") >= 0.5
    action: review
    reason: Perhaps spam.
    account: warn
"""
STRUCK = Uploader(strikes=2.6, removals=3, verdicts=9)


def policy(account: str = SUSPEND) -> Policy:
    return Policy.from_text(POLICY.replace("ACCOUNT", account))


def verdict(
    score: float, uploader: Uploader | None = None, chosen: Policy | None = None
) -> Verdict:
    return (
        Decider(chosen or policy())
        .first(
            upload(language="de"), [said("spam", score)], arrived=START, at=after(1),
            uploader=uploader,
        )
        .verdict
    )  # fmt: skip


def test_the_rule_that_decides_says_what_happens_to_the_account() -> None:
    assert verdict(0.1).account is None
    warned = verdict(0.95).account
    assert warned is not None
    assert (warned.action, warned.state, warned.rule, warned.until) == (
        "warn", "holds", "once", None
    )  # fmt: skip
    assert warned.statement is not None and warned.statement.startswith("Wir verwarnen Sie.")
    assert "Spam was removed." in warned.statement
    held = verdict(0.95, STRUCK).account
    assert held is not None
    # A human confirms it by default: nothing holds, so that nothing is told.
    assert (held.action, held.state, held.uploader, held.strikes) == (
        "suspend", "proposed", "ann", 2.6
    )  # fmt: skip
    assert (held.until, held.statement) == (after(1 + 7 * 86_400), None)
    waiting = verdict(0.6).account
    assert waiting is not None and (waiting.action, waiting.state) == ("warn", "proposed")
    assert waiting.reason == "Perhaps spam."


def test_the_same_inputs_give_the_same_id_and_other_policies_keep_their_verdicts() -> None:
    first, second = verdict(0.95, STRUCK).account, verdict(0.96, STRUCK).account
    assert first is not None and second is not None
    assert first.id == second.id
    other = verdict(0.95, STRUCK, policy(SUSPEND.replace("7 d", "8 d"))).account
    assert other is not None and other.id != first.id
    without = Verdict.from_bytes(verdict(0.1).to_bytes())
    assert without.account is None
    assert Verdict.from_bytes(verdict(0.95).to_bytes()).account == verdict(0.95).account


def case_of(score: float, uploader: Uploader | None, chosen: Policy) -> tuple[Case, Verdict]:
    decided = Decider(chosen).first(
        upload(), [said("spam", score)], arrived=START, at=after(1), uploader=uploader
    )
    assert decided.case is not None
    return decided.case, decided.verdict


@pytest.mark.parametrize("action", ["remove", "restrict", "allow"])
@pytest.mark.parametrize("spoken", [None, "none", "warn", "suspend"])
@pytest.mark.parametrize("kept", [False, True], ids=["in memory", "from its snapshot"])
def test_a_human_decides(action: str, spoken: str | None, kept: bool) -> None:
    case, before = case_of(0.95, STRUCK, policy())
    if kept:
        case = Case.restore(policy(), case.snapshot())
    given = reviewed(action, of=before).model_copy(update={"account": spoken})
    review = Review.from_bytes(given.to_bytes())
    effects = case.on_review(review, after(100))
    made = [one.verdict for one in effects if hasattr(one, "verdict")]
    (found,) = made
    # Who says nothing of the account leaves the proposal, unless the upload is treated more mildly.
    proposal = ("suspend", "proposed") if action == "remove" else None
    expected: Any = {
        None: proposal, "none": None, "warn": ("warn", "holds"), "suspend": ("suspend", "holds")
    }[spoken]  # fmt: skip
    account = found.account
    assert (None if account is None else (account.action, account.state)) == expected
    if account is not None and spoken is not None:
        assert account.rule == "review" and account.revision == found.revision == 2
        assert account.statement is not None
        ends = spoken == "suspend"
        assert account.until == (after(100 + 7 * 86_400) if ends else None)
        assert ("until 2026-03-08" in account.statement) is ends
    # The same review again changes nothing, in a case resumed from the ledger either.
    assert not case.on_review(review, after(101))
    again = Decider(policy()).again(
        upload(), [said("spam", 0.95)], [review], found, at=after(200), uploader=STRUCK
    )
    assert again is None


def test_a_removal_under_the_cap_decides_on_no_account() -> None:
    decider = Decider(policy())
    made = [
        decider.first(
            upload(f"u{n}"), [said("spam", 0.95, upload_id=f"u{n}")], arrived=START, at=after(1)
        ).verdict
        for n in range(3)
    ]
    states = [one.account.state for one in made if one.account is not None]
    assert states == ["holds", "holds", "proposed"]
    assert made[-1].decided_by == "cap"
    assert made[-1].account is not None and made[-1].account.statement is None


def test_a_replay_under_another_policy_gives_a_revision_where_the_account_changes() -> None:
    before = verdict(0.95, STRUCK)
    given: dict[str, Any] = {"at": after(500), "uploader": STRUCK}
    known = [said("spam", 0.95)]
    same = upload(language="de")
    assert Decider(policy()).again(same, known, [], before, **given) is None
    softer = Decider(policy("{action: warn, reason: Softer.}"))
    after_change = softer.again(same, known, [], before, **given)
    assert after_change is not None and after_change.account is not None
    assert (after_change.action, after_change.account.action) == ("remove", "warn")
    assert after_change.supersedes == before.id


@pytest.mark.parametrize(
    ("account", "told"),
    [
        ("ban", "account"),
        ("{action: warn, for: 1 d, reason: x}", "a warning has no end"),
        ("{action: warn}", "give the account's own `reason`"),
        ("{action: suspend, reason: x, colour: red}", "colour"),
    ],
)
def test_what_says_nothing_is_refused(account: str, told: str) -> None:
    with pytest.raises(PolicyError, match=told):
        policy(account)


def test_one_upload_alone_suspends_nobody_without_a_human() -> None:
    automatic = SUSPEND.replace("}", ", automatic: true}")
    found = verdict(0.95, STRUCK, policy(automatic)).account
    assert found is not None and found.state == "holds"
    assert found.statement is not None and "gesperrt" in found.statement
    for of, to in (
        ("uploader.strikes >= 2.5 && ", ""),
        ("action: remove\n    reason: Spam again", "action: restrict\n    reason: Spam again"),
    ):
        text = POLICY.replace("ACCOUNT", automatic).replace(of, to)
        with pytest.raises(PolicyError, match="one upload alone suspends nobody"):
            Policy.from_text(text)
    # While the history is not known the rule cannot be evaluated: a human looks at the upload.
    unknown = verdict(0.95, Uploader(known=False), policy(automatic))
    assert unknown.account is None or unknown.account.action == "warn"


def test_golden_cases_may_expect_it() -> None:
    text = """
- name: a
  scores: {spam: 0.95}
  uploader: {strikes: 3}
  expect: {action: remove, account: suspend}
- {name: b, scores: {spam: 0.95}, expect: {action: remove, account: none}}
"""
    chosen = policy()
    results = run_golden(chosen, read_golden(chosen, text))
    assert [one.wrong for one in results] == [(), ("expected none for the account, is warn",)]
