"""What a person decides on an account itself, with a reason: what ends it, and what does not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from quorum.aggregator.case.case import Case
from quorum.aggregator.case.history import FADED, known_uploader, strikes_of
from quorum.aggregator.policy.policy import Policy
from quorum.core.errors import PolicyError
from quorum.core.messages import Action, Review, Verdict
from tests.aggregator.aggregator_cases import START, after, said, upload
from tests.aggregator.decision.test_accounts import POLICY, policy

WEEK = after(7 * 86400.0)


def order(given: Verdict, action: str, at: float, **more: Any) -> Review:
    return Review(
        upload_id=given.upload_id,
        verdict_id=given.id,
        action=more.pop("upload_action", given.action),
        reviewer="ana",
        at=after(at),
        account=action,
        account_reason=more.pop("reason", "Spam in every upload."),
        **more,
    )


def kept(case: Case) -> Case:
    return Case.restore(policy(), case.snapshot())


def emitted(effects: Any) -> Verdict:
    (one,) = [effect.verdict for effect in effects if hasattr(effect, "verdict")]
    return one


def removed() -> tuple[Case, Verdict, list[Any], list[Any]]:
    case = Case(policy())
    content, said_ = upload(), [said("spam", 0.95)]
    case.on_upload(content, START)
    found = emitted(case.on_prediction(said_[0], after(1)))
    assert found.action is Action.REMOVE
    return case, found, [content], said_


@pytest.mark.parametrize("stored", [False, True], ids=["in memory", "from its snapshot"])
def test_a_suspension_has_its_own_reason_end_and_statement_and_can_be_changed(stored: bool) -> None:
    case, first, _, _ = removed()
    case = kept(case) if stored else case
    second = emitted(case.on_review(order(first, "suspend", 10, account_until=WEEK), after(11)))
    told = second.account
    assert told is not None
    assert (second.action, told.action, told.state, told.until) == (
        Action.REMOVE, "suspend", "holds", WEEK,
    )  # fmt: skip
    assert told.reason == "Spam in every upload."
    assert told.reason in (told.statement or "")
    assert WEEK.date().isoformat() in (told.statement or "")
    case = kept(case) if stored else case
    longer = order(second, "suspend", 20, account_until=WEEK + timedelta(days=7))
    third = emitted(case.on_review(longer, after(21)))
    assert third.account is not None
    assert third.account.until == WEEK + timedelta(days=7)
    case = kept(case) if stored else case
    fourth = emitted(case.on_review(order(third, "none", 30, reason="An error."), after(31)))
    assert (fourth.action, fourth.account) == (Action.REMOVE, None)
    assert fourth.revision == 4


def test_two_warnings_are_two_and_one_that_comes_twice_is_one() -> None:
    case, first, _, _ = removed()
    warned = order(first, "warn", 10)
    second = emitted(case.on_review(warned, after(11)))
    assert [one for one in case.on_review(warned, after(12)) if hasattr(one, "verdict")] == []
    again = emitted(case.on_review(order(second, "warn", 20, reason="Once more."), after(21)))
    assert again.account is not None
    assert again.account.id != second.account.id  # type: ignore[union-attr]


def test_an_edit_of_the_upload_lifts_no_ban() -> None:
    case, first, _, _ = removed()
    banned = emitted(case.on_review(order(first, "ban", 10), after(11)))
    case = kept(case)
    edit = replace_title(upload(), "another title", 60)
    case.on_upload(edit, after(60))
    later = [
        effect.verdict
        for effect in case.on_prediction(
            said("spam", 0.01).model_copy(update={"digest": edit.digest}), after(61)
        )
        if hasattr(effect, "verdict")
    ]
    assert later
    assert later[-1].account is not None
    assert later[-1].account.action == "ban"
    assert later[-1].account.review == banned.account.review  # type: ignore[union-attr]
    assert "a person decided" in (later[-1].account.statement or "")


def replace_title(given: Any, title: str, seconds: float) -> Any:
    return type(given).model_validate(
        {**given.model_dump(), "title": title, "published_at": after(seconds)}
    )


@pytest.mark.parametrize(
    ("later", "stays"), [("remove", True), ("restrict", False), ("allow", False)]
)
def test_a_milder_decision_on_the_upload_lifts_it_and_another_does_not(
    later: str, stays: bool
) -> None:
    case, first, _, _ = removed()
    banned = emitted(case.on_review(order(first, "ban", 10), after(11)))
    review = Review(
        upload_id=banned.upload_id,
        verdict_id=banned.id,
        action=Action(later),
        reviewer="ben",
        at=after(20),
    )
    found = [one.verdict for one in case.on_review(review, after(21)) if hasattr(one, "verdict")]
    account = (found[-1] if found else banned).account
    assert (account is not None and account.action == "ban") is stays


def test_the_ledger_s_record_gives_the_same_as_the_case_itself() -> None:
    case, first, (content,), predictions = removed()
    ban = order(first, "ban", 10)
    banned = emitted(case.on_review(ban, after(11)))
    resumed = Case.resume(policy(), content, predictions, [ban], banned, earlier=[first])
    assert [one for one in resumed.on_replay(after(100)) if hasattr(one, "verdict")] == []
    lifted = order(banned, "none", 30)
    assert emitted(resumed.on_review(lifted, after(31))).account is None
    assert emitted(case.on_review(lifted, after(31))).account is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"account": None},
        {"account": "warn", "account_until": WEEK},
        {"account": "suspend", "account_until": START},
        {"account": "suspend", "account_until": WEEK, "account_reason": None},
    ],
    ids=["no decision", "a warning that ends", "ended before", "no reason"],
)
def test_what_makes_no_sense_is_malformed(wrong: dict[str, Any]) -> None:
    _, first, _, _ = removed()
    given = order(first, "suspend", 10).model_dump() | wrong
    with pytest.raises(ValidationError):
        Review.model_validate(given)


def test_no_rule_bans() -> None:
    with pytest.raises(PolicyError, match="warn"):
        Policy.from_text(POLICY.replace("ACCOUNT", "{action: ban, reason: Three removals.}"))


def test_strikes_are_listed_with_what_they_count_and_their_days() -> None:
    chosen = policy()
    half = chosen.strikes.half_life
    now = after(0)
    verdicts = [
        ("new", Action.REMOVE, now),
        ("old", Action.REMOVE, now - timedelta(seconds=half)),
        ("mild", Action.RESTRICT, now),
        ("faded", Action.REMOVE, now - timedelta(seconds=half * 10)),
        ("allowed", Action.ALLOW, now),
    ]
    found = strikes_of(chosen, verdicts, now)
    assert [one.upload_id for one in found] == ["new", "old", "mild"]
    assert [round(one.worth, 6) for one in found] == [1.0, 0.5, 0.25]
    total = known_uploader(chosen, [(a, at) for _, a, at in verdicts], now).strikes
    assert 0 <= total - sum(one.worth for one in found) < FADED
    (later,) = strikes_of(chosen, [verdicts[0]], found[0].halves_at)
    assert later.worth == pytest.approx(0.5)
    assert strikes_of(chosen, [verdicts[0]], found[0].fades_at + timedelta(seconds=1)) == []
