"""Backtests: past cases decided again, by the one decision function.

What a candidate policy would have done, against what was decided or what another policy makes of
the same cases, with the reviewers' decisions as the truth where there are any.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from typing import Final

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.record import PastCase
from quorum.core.errors import InputError
from quorum.core.messages import Action

__all__ = ["Backtest", "Sample", "backtest", "backtest_lines"]

#: Samples kept for each kind of change.
SAMPLES: Final = 20
#: Lines that one worker takes at a time: large enough to hide the hand-over.
CHUNK: Final = 4000


@dataclass(frozen=True, slots=True)
class Sample:
    """One case whose action changes, to read.

    Attributes:
        upload_id: Which.
        title: Of the upload.
        before: What was decided.
        after: What would be.
        before_rule: What decided.
        after_rule: What would.
        review: What a reviewer decided, if one did.
    """

    upload_id: str
    title: str
    before: str
    after: str
    before_rule: str
    after_rule: str
    review: str | None


@dataclass
class Backtest:
    """What a candidate policy makes of past cases.

    Attributes:
        cases: How many were decided again.
        unreadable: Lines that are no case.
        retried: Cases in which a version of a detector that is tried had spoken.
        changes: By action before and after.
        by_rule: For changed cases, by the rule that decides now, and the change.
        by_category: By category and change.
        by_territory: By territory and change.
        by_group: By uploader group and change.
        before: For reviewed cases: the earlier action against the reviewer's.
        after: For reviewed cases: the candidate's action against the reviewer's.
        samples: Cases to read, by change.
    """

    cases: int = 0
    unreadable: int = 0
    retried: int = 0
    changes: Counter[tuple[str, str]] = field(default_factory=Counter)
    by_rule: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    by_category: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    by_territory: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    by_group: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    before: Counter[tuple[str, str]] = field(default_factory=Counter)
    after: Counter[tuple[str, str]] = field(default_factory=Counter)
    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)

    @property
    def changed(self) -> int:
        """How many actions change."""
        return sum(count for (old, new), count in self.changes.items() if old != new)

    def merge(self, other: Backtest) -> None:
        """Add what another one found."""
        self.cases += other.cases
        self.unreadable += other.unreadable
        self.retried += other.retried
        for name in (
            "changes",
            "by_rule",
            "by_category",
            "by_territory",
            "by_group",
            "before",
            "after",
        ):
            getattr(self, name).update(getattr(other, name))
        for change, samples in other.samples.items():
            kept = self.samples.setdefault(change, [])
            kept.extend(samples[: SAMPLES - len(kept)])

    def wrongful_removals(self, *, candidate: bool) -> tuple[int, int]:
        """How many reviewed removals a reviewer did not uphold, and of how many."""
        table = self.after if candidate else self.before
        removed = {truth: n for (action, truth), n in table.items() if action == Action.REMOVE}
        wrong = sum(n for truth, n in removed.items() if truth != Action.REMOVE)
        return wrong, sum(removed.values())


def uploader_group(case: PastCase) -> str:
    """Which group an uploader belongs to, by what is known of them: new, clean or struck."""
    if case.uploader.strikes >= 1.0:
        return "struck"
    return "clean" if case.uploader.verdicts else "new"


def backtest(
    cases: Iterable[PastCase],
    candidate: Policy,
    base: Policy | None = None,
    group: Callable[[PastCase], str] = uploader_group,
    versions: Mapping[str, str] | None = None,
) -> Backtest:
    """Decide cases again.

    Args:
        cases: Any iterable; read once.
        candidate: The policy to try.
        base: What to compare with; by default, what was decided at the time.
        group: Names the group of a case's uploader.
        versions: Versions of detectors to try, by detector.
    """
    found = Backtest()
    for case in cases:
        _add(found, case, candidate, base, group, versions or {})
    return found


def _add(
    found: Backtest,
    case: PastCase,
    candidate: Policy,
    base: Policy | None,
    group: Callable[[PastCase], str],
    versions: Mapping[str, str],
) -> None:
    tried = case.under(versions) if versions else case
    found.retried += tried is not case
    decision = tried.decide(candidate)
    if base is not None:
        earlier = case.decide(base)
        old, old_rule = earlier.action.value, earlier.rule
    elif case.action is not None:
        old, old_rule = case.action.value, case.rule or "unknown"
    else:
        old, old_rule = "undecided", "none"
    new = decision.action.value
    found.cases += 1
    found.changes[old, new] += 1
    if case.review is not None:
        truth = case.review.value
        found.before[old, truth] += 1
        found.after[new, truth] += 1
    if old == new:
        return
    found.by_rule[decision.rule, old, new] += 1
    found.by_category[decision.category or "none", old, new] += 1
    for code in case.facts.get("territories") or ("everywhere",):
        found.by_territory[str(code), old, new] += 1
    found.by_group[group(case), old, new] += 1
    kept = found.samples.setdefault((old, new), [])
    if len(kept) < SAMPLES:
        kept.append(
            Sample(
                upload_id=str(case.facts["id"]),
                title=str(case.facts.get("title", ""))[:200],
                before=old,
                after=new,
                before_rule=old_rule,
                after_rule=decision.rule,
                review=None if case.review is None else case.review.value,
            )
        )


def backtest_lines(
    lines: Iterable[bytes],
    candidate: Policy,
    base: Policy | None = None,
    workers: int | None = None,
    versions: Mapping[str, str] | None = None,
) -> Backtest:
    """Decide many cases again, in several processes.

    Args:
        lines: Past cases as JSON, one each.
        candidate: The policy to try.
        base: What to compare with; by default, what was decided at the time.
        workers: How many processes; by default, as many as there are cores.
        versions: Versions of detectors to try, by detector.
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
    """Many lines in one piece, which is quick to hand to another process."""
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
        _add(found, case, candidate, base, uploader_group, versions)
    return found
