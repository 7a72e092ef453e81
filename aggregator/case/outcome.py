"""What a decision does to the upload, and whether that needs another verdict."""

from __future__ import annotations

from typing import Final

from quorum.aggregator.case.clock import at_micros
from quorum.aggregator.case.state import CaseState, KeptOrder
from quorum.aggregator.decision.accounts import AccountChoice, account_choice, account_effect
from quorum.aggregator.decision.compact import micros
from quorum.aggregator.decision.evaluate import Decision
from quorum.aggregator.decision.verdicts import local_actions
from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import AccountAction, AccountState, Action, Verdict

__all__ = [
    "account_of",
    "changes",
    "effect_of",
    "recorded_account",
    "recorded_effect",
    "recorded_plan",
]

_REMOVE: Final = Action.REMOVE.value


def effect_of(state: CaseState, decision: Decision) -> str:
    """What happens to the upload, as ``KeptVerdict.effect``."""
    if state.review is not None:
        return state.review.action
    if not decision.territories:
        return decision.action.value
    local = "".join(f" {code}:{action}" for code, action in decision.territories)
    return f"{decision.action.value}{local}"


def account_of(state: CaseState, policy: Policy, decision: Decision) -> AccountChoice | None:
    """What happens to the uploader's account: a person's own decision on it stands first."""
    order = state.order
    if order is not None:
        return None if order.action == "none" else _ordered(order)
    review = state.review
    if review is None:
        return account_choice(policy, decision.rule, decision.action)
    return account_choice(
        policy,
        decision.rule,
        decision.action,
        reviewed=Action(review.action),
        said=review.account,
    )


def _ordered(order: KeptOrder) -> AccountChoice:
    return AccountChoice(
        action=AccountAction(order.action),
        state=AccountState.HOLDS,
        rule="review",
        reason=order.reason,
        seconds=None,
        until=None if order.until is None else at_micros(order.until),
        review=order.review,
    )


def changes(state: CaseState, effect: str, account: str = "", plan: str = "") -> bool:
    """Whether an effect needs a verdict: it differs from the last one, or upholds it.

    Args:
        state: The case.
        effect: On the upload, as ``effect_of`` gives it.
        account: On the uploader's account, as ``AccountChoice.effect``; empty for nothing.
        plan: What time alone will bring, as ``Plan.effect``; empty for nothing.
    """
    past, review = state.verdict, state.review
    if past is None or not state.decided:
        return True
    if review is None and past.decided_by == "cap" and past.effect == _REMOVE:
        # A removal that a cap turned into a review stays one, until a human decides.
        return effect != Action.REVIEW.value and _REMOVE not in effect
    if past.effect != effect or past.account != account or past.plan != plan:
        return True
    # The cap acts behind the case. It may have turned the removal into a review, so that a
    # reviewer's removal is emitted even if the case's action stays the same.
    return (
        past.decided_by != "reviewer"
        and past.effect == _REMOVE
        and review is not None
        and review.action == _REMOVE
    )


def recorded_account(verdict: Verdict) -> str:
    """The decision on the account of a verdict that was recorded, as ``KeptVerdict.account``."""
    one = verdict.account
    return "" if one is None else account_effect(one.action, one.state, one.review)


def recorded_plan(verdict: Verdict) -> str:
    """What time alone was to bring after a verdict that was recorded, as ``KeptVerdict.plan``."""
    one = verdict.plan
    return "" if one is None else f"{one.action.value}@{micros(one.at)}"


def recorded_effect(verdict: Verdict) -> str:
    """The effect of a verdict that was recorded, as ``KeptVerdict.effect``."""
    if verdict.decided_by == "cap":
        return _REMOVE if verdict.action is Action.REVIEW else Action.REVIEW.value
    local = local_actions(verdict)
    if verdict.decided_by == "reviewer":
        return verdict.action.value
    return verdict.action.value + "".join(f" {code}:{local[code]}" for code in sorted(local))
