"""What a rule's action becomes with time: ``then`` of a rule, counted from when it applies.

A rule with ``then`` has one action until its time has passed, and another one from then on, as
long as it applies without a break and no human has decided. At any time the most severe matching
rule decides, so that a restriction that ends shows an upload only where no other rule forbids it.
All times are in microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from quorum.aggregator.decision.evaluate import Decision
from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import Action

__all__ = ["Plan", "clocks", "dues", "passed", "plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The next change that time alone will bring.

    Attributes:
        action: What will happen to the upload then.
        at: When.
        rule: What will decide.
        reason: Its sentence.
    """

    action: Action
    at: int
    rule: str
    reason: str

    @property
    def effect(self) -> str:
        """The same text means the same plan."""
        return f"{self.action.value}@{self.at}"


def clocks(
    policy: Policy, since: Mapping[str, int], matched: Iterable[str], at: int
) -> dict[str, int]:
    """Since when each rule with ``then`` applies.

    Args:
        policy: The rules.
        since: The same, before; a rule that applies no longer loses its place.
        matched: The rules that apply now.
        at: The time.
    """
    found = set(matched)
    if not found:
        return {}
    return {
        rule.name: since.get(rule.name, at)
        for rule in policy.rules
        if rule.then is not None and rule.name in found
    }


def dues(policy: Policy, since: Mapping[str, int]) -> dict[str, int]:
    """When the action of each rule that applies changes, or changed."""
    if not since:
        return {}
    return {
        rule.name: since[rule.name] + round(rule.then.after * 1e6)
        for rule in policy.rules
        if rule.then is not None and rule.name in since
    }


def passed(policy: Policy, since: Mapping[str, int], at: int) -> frozenset[str]:
    """The rules whose time has passed."""
    if not since:
        return frozenset()
    return frozenset(name for name, due in dues(policy, since).items() if due <= at)


def plan(
    policy: Policy,
    since: Mapping[str, int],
    at: int,
    now: str,
    decide: Callable[[frozenset[str]], Decision],
    effect: Callable[[Decision], str],
) -> Plan | None:
    """The next change that time alone brings, if nothing else arrives; None without one.

    Args:
        policy: The rules.
        since: From ``clocks``.
        at: The time.
        now: The effect on the upload now.
        decide: Decides with the rules whose time has passed, and all else as now.
        effect: The effect of a decision; the same text means that nothing changes.
    """
    for due in sorted({one for one in dues(policy, since).values() if one > at}):
        decision = decide(passed(policy, since, due))
        if effect(decision) != now:
            return Plan(decision.action, due, decision.rule, decision.reasons[0])
    return None
