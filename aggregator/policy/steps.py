"""The mistakes that ``then`` of a rule may have, and the sentence that it has by default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from quorum.aggregator.policy.text import PolicyText, RuleText, ThenText
from quorum.core.messages import Action

__all__ = ["Mistake", "asks_for", "usual_reason", "wrong_steps"]


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake in ``then``.

    Attributes:
        message: What is wrong, with its mend.
        at: The field below ``then``; empty for all of it.
    """

    message: str
    at: tuple[str, ...] = ()


def asks_for(rule: RuleText, action: Action) -> bool:
    """Whether a rule asks for an action, now or with time."""
    return rule.action is action or (rule.then is not None and rule.then.action is action)


def usual_reason(rule: RuleText, then: ThenText) -> str:
    """The sentence of a change that time brings, where the policy gives none."""
    if then.action is Action.ALLOW:
        return f"The limits of the rule {rule.name} ended after {told(then.after)}."
    return f"{rule.reason} No human decided within {told(then.after)}."


def wrong_steps(policy: PolicyText, rule: RuleText, then: ThenText) -> Iterator[Mistake]:
    """The mistakes of ``then``.

    A hold and a removal never end by themselves, for what nobody has seen would then be shown.
    """
    ends = rule.action is Action.RESTRICT and then.action is Action.ALLOW
    if not ends and then.action.severity <= rule.action.severity:
        message = f"time does not turn {rule.action} into {then.action}: "
        if rule.action is Action.REMOVE:
            message += "a removal stays until a human decides; let the rule `restrict` instead"
        elif rule.action is Action.REVIEW:
            message += (
                "a hold stays until a human decides; only `remove` follows `review`, and limits "
                "that end are `action: restrict`"
            )
        else:
            message += "after `restrict` come `allow`, `review` and `remove`"
        yield Mistake(message, ("action",))
    if then.after > policy.retention:
        yield Mistake(
            f"after {told(then.after)} the case is forgotten: `retention` is "
            f"{told(policy.retention)}; let it be {told(then.after)} or more, or `after` less",
            ("after",),
        )
    if then.after < policy.deadline:
        yield Mistake(
            f"`after` ({told(then.after)}) is less than the policy's `deadline` "
            f"({told(policy.deadline)}), by which all predictions are there; make it longer",
            ("after",),
        )
    if rule.territories:
        yield Mistake("a rule for some territories has no `then`; write one for everywhere")
    if rule.account is not None:
        yield Mistake("a rule that decides on an account has no `then`; let two rules do it")


def told(seconds: float) -> str:
    """A duration in the largest unit that is whole."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
