"""A policy's text while it is written: its mistakes in place, its golden cases, its changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.policy.tree import MAX_POLICY_BYTES, first_alias
from quorum.aggregator.study.check import check_policy
from quorum.aggregator.study.difference import in_short
from quorum.aggregator.study.golden import Result, read_golden, run_golden
from quorum.core.errors import PolicyError

__all__ = ["CheckedText", "Mistake", "check_text", "failed_golden"]

#: Seconds for rules that never decide, while one types.
_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Mistake:
    """What the checker says of one place.

    Attributes:
        severity: ``error``, or ``note`` for a possible mistake.
        message: The mistake, and often its mend.
        line: From 1; None if it has no place.
        column: From 1; None without.
    """

    severity: Literal["error", "note"]
    message: str
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class CheckedText:
    """What is known of a policy's text.

    Attributes:
        version: Its name and digest; None if it is not valid.
        mistakes: In the order of their lines, those without one last.
        golden: The golden cases with their results; empty if the policy or they are not valid.
        golden_mistakes: Why the golden cases cannot be read.
        changes: What changes against the policy in force, one line for each part.
    """

    version: str | None
    mistakes: tuple[Mistake, ...]
    golden: tuple[Result, ...] = ()
    golden_mistakes: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()

    @property
    def failed(self) -> int:
        """How many golden cases are decided otherwise than they expect."""
        return sum(bool(one.wrong) for one in self.golden)

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "version": self.version,
            "mistakes": [
                {
                    "severity": one.severity,
                    "message": one.message,
                    "line": one.line,
                    "column": one.column,
                }
                for one in self.mistakes
            ],
            "golden": [
                {"name": one.golden.name, "passed": not one.wrong, "wrong": list(one.wrong)}
                for one in self.golden
            ],
            "golden_mistakes": list(self.golden_mistakes),
            "changes": list(self.changes),
        }


def check_text(
    text: str, golden: str = "", base: Policy | None = None, seconds: float | None = _SECONDS
) -> CheckedText:
    """Check a policy's text, decide its golden cases, and tell what it changes.

    Args:
        text: The YAML.
        golden: Its golden cases as YAML; empty for none.
        base: The policy in force; None for no comparison.
        seconds: For the search for rules that never decide; None for no end.
    """
    try:
        policy = Policy.of_draft(text)
    except PolicyError as error:
        return CheckedText(None, _ordered([_refused(one) for one in (error, *error.others)]))
    mistakes = [
        Mistake(
            one.severity,
            f"rule `{one.rule}`: {one.message}" if one.rule else one.message,
            one.line,
            one.column,
        )
        for one in check_policy(policy, seconds)
    ]
    results: tuple[Result, ...] = ()
    wrong: tuple[str, ...] = ()
    try:
        results = _run(policy, golden)
    except PolicyError as error:
        wrong = tuple(error.lines)
    changed = () if base is None else in_short(base, policy)
    return CheckedText(policy.version, _ordered(mistakes), results, wrong, changed)


def failed_golden(policy: Policy, golden: str) -> tuple[str, ...]:
    """The names of the golden cases that a policy decides otherwise than they expect.

    Raises:
        PolicyError: If the cases cannot be read.
    """
    return tuple(one.golden.name for one in _run(policy, golden) if one.wrong)


def _run(policy: Policy, golden: str) -> tuple[Result, ...]:
    if not golden.strip():
        return ()
    if len(golden) > MAX_POLICY_BYTES:
        msg = f"the golden cases have {len(golden):,} characters; the limit is {MAX_POLICY_BYTES:,}"
        raise PolicyError(msg)
    alias = first_alias(golden)
    if alias is not None:
        msg = "anchors and aliases (& and *) are not taken; write the value out"
        raise PolicyError(msg, line=alias[0], column=alias[1])
    return run_golden(policy, read_golden(policy, golden))


def _refused(error: PolicyError) -> Mistake:
    return Mistake("error", error.message, error.line, error.column)


def _ordered(found: list[Mistake]) -> tuple[Mistake, ...]:
    return tuple(sorted(found, key=lambda one: (one.line is None, one.line or 0, one.column or 0)))
