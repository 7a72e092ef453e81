"""Backtests: past cases are decided again, by the one decision function.

The actions of a candidate policy are compared with the recorded actions, or with those of another
policy on the same cases. Reviewers' decisions are the ground truth where there are any.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from typing import Final

from quorum.aggregator.decision.evaluate import Decision
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.record import PastCase
from quorum.core.errors import InputError
from quorum.core.messages import Action

__all__ = ["Backtest", "Retried", "Sample", "backtest_lines", "retry"]

#: Samples kept for each kind of change.
SAMPLES: Final = 20
#: Lines that one worker takes at a time: large enough to hide the cost of the transfer.
CHUNK: Final = 4000


@dataclass(frozen=True, slots=True)
class Sample:
    """One case whose action changes.

    Attributes:
        upload_id: The upload.
        title: Its title.
        before: The action before.
        after: The action under the candidate.
        before_rule: The rule that decided before.
        after_rule: The rule that decides under the candidate.
        review: The reviewer's action; None without a review.
    """

    upload_id: str
    title: str
    before: str
    after: str
    before_rule: str
    after_rule: str
    review: str | None


@dataclass(frozen=True, slots=True)
class Retried:
    """A case that was decided again.

    Attributes:
        case: The case, with the predictions under test.
        before: The action before; ``undecided`` if none was recorded.
        before_rule: The rule that decided before.
        decision: The decision of the candidate.
        earlier: The decision of the policy that it is compared with; None for the recorded one.
    """

    case: PastCase
    before: str
    before_rule: str
    decision: Decision
    earlier: Decision | None = None


def retry(
    case: PastCase,
    candidate: Policy,
    base: Policy | None = None,
    versions: Mapping[str, str] | None = None,
) -> Retried:
    """Decide one case again.

    Args:
        case: The case.
        candidate: The policy under test.
        base: The policy to compare with; by default, the recorded action.
        versions: Detector versions under test, by detector.
    """
    tried = case.under(versions) if versions else case
    decision = tried.decide(candidate)
    if base is not None:
        earlier = case.decide(base)
        return Retried(tried, earlier.action.value, earlier.rule, decision, earlier)
    if case.action is not None:
        return Retried(tried, case.action.value, case.rule or "unknown", decision)
    return Retried(tried, "undecided", "none", decision)


@dataclass
class Backtest:
    """The outcome of a backtest.

    Attributes:
        cases: Cases that were decided again.
        unreadable: Lines that are not a case.
        retried: Cases with a prediction by one of the detector versions under test.
        versions: Cases by each detector version under test that has a prediction in them.
        changes: Cases by action before and after.
        by_rule: Changed cases by the rule that decides now, action before and after.
        by_category: Changed cases by category, action before and after.
        by_territory: Changed cases by territory, action before and after.
        by_group: Changed cases by uploader group, action before and after.
        before: Reviewed cases by action before and the reviewer's action.
        after: Reviewed cases by action after and the reviewer's action.
        planned: Cases whose action time alone will change, by the rule that decides then, the
            action now and the action then.
        samples: Some changed cases, by action before and after.
    """

    cases: int = 0
    unreadable: int = 0
    retried: int = 0
    versions: Counter[tuple[str, str]] = field(default_factory=Counter)
    changes: Counter[tuple[str, str]] = field(default_factory=Counter)
    by_rule: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    by_category: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    by_territory: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    by_group: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    before: Counter[tuple[str, str]] = field(default_factory=Counter)
    after: Counter[tuple[str, str]] = field(default_factory=Counter)
    planned: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)

    @property
    def changed(self) -> int:
        """The number of cases whose action changes."""
        return sum(count for (old, new), count in self.changes.items() if old != new)

    def merge(self, other: Backtest) -> None:
        """Add the counts of another backtest."""
        self.cases += other.cases
        self.unreadable += other.unreadable
        self.retried += other.retried
        for name in (
            "versions",
            "changes",
            "by_rule",
            "by_category",
            "by_territory",
            "by_group",
            "before",
            "after",
            "planned",
        ):
            getattr(self, name).update(getattr(other, name))
        for change, samples in other.samples.items():
            kept = self.samples.setdefault(change, [])
            kept.extend(samples[: SAMPLES - len(kept)])

    def count(self, tried: Retried, candidate: Policy) -> None:
        """Count one case that was decided again.

        Args:
            tried: The case, with both decisions.
            candidate: The policy that decided it now.
        """
        case, decision = tried.case, tried.decision
        old, new = tried.before, decision.action.value
        if any(rule.then is not None for rule in candidate.rules):
            later = case.plan(candidate)
            if later is not None:
                self.planned[later.rule, new, later.action.value] += 1
        self.cases += 1
        self.changes[old, new] += 1
        if case.review is not None:
            truth = case.review.value
            self.before[old, truth] += 1
            self.after[new, truth] += 1
        if old == new:
            return
        self.by_rule[decision.rule, old, new] += 1
        self.by_category[decision.category or "none", old, new] += 1
        for code in case.facts.get("territories") or ("everywhere",):
            self.by_territory[str(code), old, new] += 1
        self.by_group[_uploader_group(case), old, new] += 1
        kept = self.samples.setdefault((old, new), [])
        if len(kept) < SAMPLES:
            kept.append(
                Sample(
                    upload_id=str(case.facts["id"]),
                    title=str(case.facts.get("title", ""))[:200],
                    before=old,
                    after=new,
                    before_rule=tried.before_rule,
                    after_rule=decision.rule,
                    review=None if case.review is None else case.review.value,
                )
            )

    def wrongful_removals(self, *, candidate: bool) -> tuple[int, int]:
        """Reviewed removals that the reviewer did not uphold, and all reviewed removals."""
        table = self.after if candidate else self.before
        removed = {truth: n for (action, truth), n in table.items() if action == Action.REMOVE}
        wrong = sum(n for truth, n in removed.items() if truth != Action.REMOVE)
        return wrong, sum(removed.values())


def _uploader_group(case: PastCase) -> str:
    """The group of a case's uploader by its history: new, clean or struck."""
    if case.uploader.strikes >= 1.0:
        return "struck"
    return "clean" if case.uploader.verdicts else "new"


def _add(
    found: Backtest,
    case: PastCase,
    candidate: Policy,
    base: Policy | None,
    versions: Mapping[str, str],
) -> None:
    tried = retry(case, candidate, base, versions)
    found.retried += tried.case is not case
    if versions:
        found.versions.update(
            {
                (one.detector, one.version)
                for one in case.predictions
                if versions.get(one.detector) == one.version
            }
        )
    found.count(tried, candidate)


def backtest_lines(
    lines: Iterable[bytes],
    candidate: Policy,
    base: Policy | None = None,
    workers: int | None = None,
    versions: Mapping[str, str] | None = None,
) -> Backtest:
    """Decide many cases again, in several processes.

    Args:
        lines: Past cases as JSON, one a line.
        candidate: The policy under test.
        base: The policy to compare with; by default, the recorded actions.
        workers: Number of processes; by default, the number of cores.
        versions: Detector versions under test, by detector.
    """
    workers = workers or os.cpu_count() or 1
    found = Backtest()
    if workers == 1:
        for chunk in _chunks(lines):
            found.merge(_chunk(chunk, candidate, base, versions or {}))
        return found
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = []
        for chunk in _chunks(lines):
            waiting.append(pool.submit(_chunk, chunk, candidate, base, dict(versions or {})))
            if len(waiting) > 2 * workers:
                found.merge(waiting.pop(0).result())
        for one in waiting:
            found.merge(one.result())
    return found


def _chunks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Join lines into chunks, which are quick to send to another process."""
    solid = (line.strip() for line in lines if line.strip())
    while chunk := list(islice(solid, CHUNK)):
        yield b"\n".join(chunk)


def _chunk(
    lines: bytes, candidate: Policy, base: Policy | None, versions: Mapping[str, str]
) -> Backtest:
    found = Backtest()
    for line in lines.split(b"\n"):
        try:
            case = PastCase.from_json(line)
        except InputError:
            found.unreadable += 1
            continue
        _add(found, case, candidate, base, versions)
    return found
