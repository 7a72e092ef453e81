"""The checker: reads a history afterwards and says what it breaks.

Each invariant is a function over the facts; ``INVARIANTS`` names them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Final

from benchmarks.soak.expectation import Expectation, Plain, is_innocent
from benchmarks.soak.facts import Content, Facts, Seen
from benchmarks.soak.scenarios import scenario_of
from quorum.aggregator.decision.evaluate import Uploader, evaluate
from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import Review, Upload

__all__ = ["INVARIANTS", "Broken", "Checked", "Latencies", "check", "latencies"]

_OWN: Final = ("words", "frames", "odd")


@dataclass(frozen=True, slots=True)
class Broken:
    """One thing that breaks an invariant.

    Attributes:
        invariant: Its name.
        scenario: Of the message, or the fault.
        at: When, in seconds since 1970.
        text: What is wrong.
    """

    invariant: str
    scenario: str
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What the checker found.

    Attributes:
        counts: How many things each invariant looked at.
        broken: All that breaks one.
    """

    counts: Mapping[str, int]
    broken: tuple[Broken, ...]


@dataclass(slots=True)
class _Judge:
    """What the invariants share."""

    facts: Facts
    policy: Policy
    expectation: Expectation
    counts: dict[str, int] = field(default_factory=dict)


#: ``None`` for something that was looked at and holds, else what is wrong.
_Judged = Iterator[Broken | None]


def _broken(name: str, content: Content, text: str, at: float | None = None) -> Broken:
    told = f"{content.upload.id} ({content.kind}): {text}"
    return Broken(name, content.scenario, content.published if at is None else at, told)


def each_upload_ends(judge: _Judge) -> _Judged:
    """Each accepted upload has a verdict or a dead letter, and not both."""
    for content in judge.facts.contents:
        dead = judge.facts.dead.get(content.key)
        decided = judge.facts.verdicts_on(content, or_later=True)
        if decided and dead:
            yield _broken("ended", content, f"has a verdict and a dead letter: {dead[0].error}")
        elif not decided and not dead:
            yield _broken("ended", content, "has neither a verdict nor a dead letter")
        else:
            yield None


def malformed_is_dead(judge: _Judge) -> _Judged:
    """What must count for nothing becomes a dead letter with its bytes."""
    for event in judge.facts.null:
        if judge.facts.dead.get(event.key):
            yield None
        else:
            told = f"{event.stream} ({event.kind}) {event.data[:60]!r} became no dead letter"
            yield Broken("dead", scenario_of(event.kind), event.at, told)


def one_current_verdict(judge: _Judge) -> _Judged:
    """Revisions increase one by one, name what they supersede, and one holds.

    Two verdicts at one revision are allowed where the worker's memory was lost between them, and
    one is not missed that a broker confirmed and then lost.
    """
    for content in judge.facts.latest.values():
        seen = judge.facts.verdicts.get(content.upload.id)
        if seen:
            yield from _one_current(judge.facts, content, seen)


def _one_current(facts: Facts, content: Content, seen: list[Seen]) -> _Judged:
    by_revision: dict[int, dict[str, Seen]] = {}
    for one in seen:
        by_revision.setdefault(one.verdict.revision, {})[one.verdict.id] = one
    fine = True
    for revision, verdicts in by_revision.items():
        times = sorted(one.verdict.at.timestamp() for one in verdicts.values())
        for before, after in pairwise(times):
            if before == after or not facts.lost_state(before, after):
                fine = False
                yield _broken("one", content, f"has several verdicts of revision {revision}")
        if revision > 1:
            known = by_revision.get(revision - 1, {})
            for one in verdicts.values():
                lost = facts.broker_lost("verdicts", content.upload.id, one.at)
                if one.verdict.supersedes not in known and not lost:
                    fine = False
                    yield _broken(
                        "one",
                        content,
                        f"revision {revision} supersedes a verdict that is not there",
                    )
    if fine:
        yield None


def deadlines_hold(judge: _Judge) -> _Judged:
    """Each outcome comes by the policy's deadline and the slack after its clock began.

    See ``Facts.clock``.
    """
    facts, started = judge.facts, judge.facts.started
    for content in facts.contents:
        seen = facts.outcome(content)
        if seen is None:
            continue
        began = facts.clock(content.key, content.published, seen)
        late = seen - began - started.deadline - started.slack
        if late > 0:
            text = f"was decided {seen - began:.1f} s after its clock began"
            yield _broken("deadline", content, text)
        else:
            yield None


def inputs_agree(judge: _Judge) -> _Judged:
    """No verdict contradicts what it lists: the policy gives the same action and rule again."""
    contents = {(one.upload.id, one.upload.digest): one for one in judge.facts.contents}
    for upload_id, seen in judge.facts.verdicts.items():
        for one in {each.verdict.id: each for each in seen}.values():
            content = contents.get((upload_id, one.verdict.digest or ""))
            if content is None:
                text = f"{upload_id}: a verdict on a content that nobody published"
                yield Broken("inputs", "text", one.at, text)
            else:
                yield _agrees(judge, content, one)


def _agrees(judge: _Judge, content: Content, one: Seen) -> Broken | None:
    verdict = one.verdict
    if verdict.decided_by == "reviewer":
        reviews = [
            Review.from_bytes(each.data)
            for each in judge.facts.others[verdict.upload_id]
            if each.stream == "reviews"
        ]
        if any(review.action == verdict.action for review in reviews):
            return None
        return _broken("inputs", content, "no reviewer decided so", one.at)
    why = {missing.detector: missing.why for missing in verdict.missing}
    decision = evaluate(
        judge.policy, partial(_upload, content), verdict.predictions, why, uploader=Uploader()
    ).decision
    if (decision.action, decision.rule) == (verdict.action, verdict.rule):
        return None
    text = f"{verdict.action} by {verdict.rule}, though its inputs give {decision.action} by "
    return _broken("inputs", content, text + decision.rule, one.at)


def _upload(content: Content) -> Upload:
    return content.upload


def acks_come_after(judge: _Judge) -> _Judged:
    """A message is acknowledged only after its verdict or its dead letter is at the broker.

    Flink acknowledges at its checkpoint instead, which is not looked at here: that nothing which
    was acknowledged is lost is what ``ended`` says.
    """
    facts = judge.facts
    if facts.started.engine == "flink":
        return
    about = {content.key: content.upload.id for content in facts.contents}
    kinds = {content.key: content.kind for content in facts.contents}
    for events in facts.others.values():
        about |= {event.key: event.upload_id for event in events}
        kinds |= {event.key: event.kind for event in events}
    for ack in facts.acked:
        stored = [facts.stored.get(("dead-letters", ack.key))]
        if ack.key in about:
            stored.append(facts.stored.get(("verdicts", about[ack.key])))
        if any(at is not None and at <= ack.at for at in stored):
            yield None
        else:
            scenario = scenario_of(kinds.get(ack.key, "malformed"))
            told = f"a message of {ack.stream} ({about.get(ack.key, ack.key)}) was acknowledged"
            yield Broken("acks", scenario, ack.at, f"{told} before its outcome was durable")


def innocents_are_unhurt(judge: _Judge) -> _Judged:
    """What our detectors say of an innocent upload is what they say of it alone.

    An upload whose wait overlaps a fault may have been decided by its deadline instead.
    """
    facts = judge.facts
    for content in facts.contents:
        if not is_innocent(content):
            continue
        plain = {one.detector: one for one in judge.expectation.plain[content.key]}
        for one in facts.verdicts_on(content):
            found = {each.detector: each for each in one.verdict.predictions}
            excused = bool(facts.during(content.published, one.at))
            wrong = [
                f"{name} is {_told(found.get(name))}, not {_told(plain[name])}"
                for name in _OWN
                if name in plain and _told(found.get(name)) != _told(plain[name])
                and not (name not in found and excused)
            ]  # fmt: skip
            yield _broken("innocent", content, "; ".join(wrong), one.at) if wrong else None


def _told(prediction: object) -> str:
    if prediction is None:
        return "missing"
    score, status = getattr(prediction, "score", None), getattr(prediction, "status", "")
    reason = getattr(prediction, "reason", None)
    return f"scored {score}" if score is not None else f"{status} ({reason})"


def outcome_is_right(judge: _Judge) -> _Judged:
    """The verdict that holds is what the plain decider makes of all that was published."""
    for upload_id, content in judge.facts.latest.items():
        current = judge.facts.current(upload_id)
        if current is None:
            continue
        allowed = judge.expectation.actions(content)
        if str(current.action) in allowed:
            yield None
        else:
            text = f"ends as {current.action} ({current.rule}), not {' or '.join(sorted(allowed))}"
            yield _broken("outcome", content, text, current.at.timestamp())


def job_goes_on(judge: _Judge) -> _Judged:
    """The job ends only when it is killed or asked, drains with 0, and leaves nothing behind."""
    for ended in judge.facts.ended:
        if not ended.by:
            text = f"the job ended with {ended.code}: {ended.tail[-400:]}"
            yield Broken("alive", _near(judge.facts, ended.at), ended.at, text)
        elif ended.by == "drain" and ended.code != 0:
            yield Broken("alive", "text", ended.at, f"the drain ended with {ended.code}")
        else:
            yield None
    for left in judge.facts.left:
        if left.keys:
            text = f"{len(left.keys)} messages of {left.stream} were left unacknowledged"
            yield Broken("alive", "text", left.at, text)
        else:
            yield None


def nothing_survives(judge: _Judge) -> _Judged:
    """When the worker is killed, its child processes end with it; Prism is the engine's."""
    for one in judge.facts.survivors:
        ours = [name for name in one.names if name != "Prism"]
        if ours:
            text = f"{len(ours)} child processes lived on: {ours[0]}"
            yield Broken("children", _near(judge.facts, one.at), one.at, text)
        else:
            yield None


def _near(facts: Facts, at: float) -> str:
    """The fault during which, or the odd upload after which, something happened."""
    if during := facts.during(at - 1.0, at):
        return during[-1].kind
    odd = [one for one in facts.contents if not is_innocent(one) and one.published <= at]
    return odd[-1].scenario if odd else "text"


#: By name. Each yields, for each thing that it looks at, None or what is broken.
INVARIANTS: Final[dict[str, Callable[[_Judge], _Judged]]] = {
    "ended": each_upload_ends,
    "dead": malformed_is_dead,
    "one": one_current_verdict,
    "deadline": deadlines_hold,
    "inputs": inputs_agree,
    "acks": acks_come_after,
    "innocent": innocents_are_unhurt,
    "outcome": outcome_is_right,
    "alive": job_goes_on,
    "children": nothing_survives,
}


def check(facts: Facts, plain: Plain) -> Checked:
    """Judge a history.

    Args:
        facts: The history.
        plain: What the detectors say of each content alone; see ``plain_predictions``.
    """
    policy = Policy.from_text(facts.started.policy)
    judge = _Judge(facts, policy, Expectation(facts, policy, plain))
    counts, broken = {}, []
    for name, invariant in INVARIANTS.items():
        judged = list(invariant(judge))
        counts[name] = len(judged)
        broken += [one for one in judged if one is not None]
    return Checked(counts, tuple(sorted(broken, key=lambda one: one.at)))


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds from publication to the first outcome of a scenario's uploads.

    Attributes:
        median: The median.
        worst: The longest.
        worst_clock: The longest by the clock of the deadline; see ``Facts.clock``.
    """

    median: float
    worst: float
    worst_clock: float


def latencies(facts: Facts) -> dict[str, Latencies]:
    """By scenario."""
    found: dict[str, list[tuple[float, float]]] = {}
    for content in facts.contents:
        seen = facts.outcome(content)
        if seen is not None:
            began = facts.clock(content.key, content.published, seen)
            found.setdefault(content.scenario, []).append((seen - content.published, seen - began))
    return {
        name: Latencies(
            sorted(plain for plain, _ in values)[len(values) // 2],
            max(plain for plain, _ in values),
            max(clock for _, clock in values),
        )
        for name, values in found.items()
    }
