"""Describe the changes between two policies in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.policy.values import (
    AccountRule,
    Budget,
    DetectorPolicy,
    Meaning,
    PolicyRollout,
    ReviewBudget,
    Rule,
)
from quorum.aggregator.study.thresholds import threshold_changes
from quorum.core.errors import PolicyError
from quorum.core.messages import Action

__all__ = ["Change", "changes", "differences", "in_short", "texts_in_short"]

#: Members of a list that are named; of more, the number is told.
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Change:
    """One change of content.

    Attributes:
        of: What changes, such as ``rule spam-sure`` or ``detector nsfw``; ``policy`` for the rest.
        what: The change in short, such as ``threshold 0.95 -> 0.97``.
        sentence: The change as a sentence.
    """

    of: str
    what: str
    sentence: str


def differences(old: Policy, new: Policy) -> tuple[str, ...]:
    """One sentence for each change of content; none if only comments differ."""
    return tuple(one.sentence for one in changes(old, new))


def in_short(old: Policy, new: Policy) -> tuple[str, ...]:
    """One line for each part that changes; none if only comments differ.

    Such as ``rule spam-sure: threshold 0.95 -> 0.97; action remove -> restrict``.
    """
    parts: dict[str, list[str]] = {}
    for one in changes(old, new):
        parts.setdefault(one.of, []).append(one.what)
    return tuple(f"{of}: {'; '.join(what)}" for of, what in parts.items())


def texts_in_short(texts: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """What each policy of a history changes against the one before it.

    Args:
        texts: The policies' texts, the newest first.

    Returns:
        The lines of ``in_short`` for each text but the last, which has none before it.
    """
    return tuple(_texts(before, after) for after, before in pairwise(texts))


def _texts(before: str, after: str) -> tuple[str, ...]:
    try:
        return in_short(Policy.from_text(before), Policy.from_text(after))
    except PolicyError as error:
        return (f"this version of Quorum cannot read one of both: {error.message}",)


def changes(old: Policy, new: Policy) -> tuple[Change, ...]:
    """The changes of content between two policies; none if only comments differ."""
    return tuple(_changes(old, new))


def _changes(old: Policy, new: Policy) -> Iterator[Change]:
    if old.name != new.name:
        sentence = f"The policy is called {new.name} instead of {old.name}."
        yield Change("policy", f"name {old.name} -> {new.name}", sentence)
    if old.description != new.description:
        yield Change("policy", "another description", f"It is described as: {new.description}")
    for field, words in (
        ("deadline", "Uploads are decided after at most"),
        ("retention", "Late messages are taken for"),
        ("orphan_wait", "Predictions wait for their upload for"),
    ):
        before, after = getattr(old, field), getattr(new, field)
        if before != after:
            what = f"{field} {before:g} s -> {after:g} s"
            yield Change("policy", what, f"{words} {after:g} s instead of {before:g} s.")
    if old.quorum != new.quorum:
        sentence = (
            f"At least {new.quorum} detectors must have scored before an upload is allowed, "
            f"instead of {old.quorum}."
        )
        yield Change("policy", f"quorum {old.quorum} -> {new.quorum}", sentence)
    if old.rollout != new.rollout:
        told = _candidate(new.rollout)
        yield Change("rollout", told, f"Of the uploaders, {told}.")
    yield from _detectors(old, new)
    yield from _rules(old, new)
    yield from _caps(old, new)
    yield from _others(old, new)


def _candidate(rollout: PolicyRollout | None) -> str:
    if rollout is None:
        return "no candidate decides any more"
    share = rollout.share
    return f"{rollout.policy.version} decides {share.percent:g} % (salt {share.salt})"


def _detectors(old: Policy, new: Policy) -> Iterator[Change]:
    for name in old.detectors:
        if name not in new.detectors:
            yield Change(f"detector {name}", "gone", f"The detector {name} no longer counts.")
    for name, after in new.detectors.items():
        before = old.detectors.get(name)
        if before is None:
            kind = "in shadow" if after.shadow else "required" if after.required else "optional"
            sentence = f"The detector {name} is new ({kind})."
            yield Change(f"detector {name}", f"new, {kind}", sentence)
            if after.rollout is not None:
                what = _version(after)
                yield Change(f"detector {name}", what, f"The detector {name} {what}.")
            continue
        yield from _detector(before, after)


def _version(detector: DetectorPolicy) -> str:
    rollout = detector.rollout
    if rollout is None:
        return "counts for all uploaders"
    share = f"{rollout.share.percent:g} % of uploaders (salt {rollout.share.salt})"
    return f"is replaced by {rollout.to} for {share}"


def _detector(before: DetectorPolicy, after: DetectorPolicy) -> Iterator[Change]:
    name, of = after.name, f"detector {after.name}"
    if before.shadow != after.shadow:
        what = "goes into shadow" if after.shadow else "now counts"
        yield Change(of, what, f"The detector {name} {what}.")
    if before.rollout != after.rollout:
        what = _version(after)
        yield Change(of, what, f"The detector {name} {what}.")
    if before.required != after.required:
        words = ("optional", "required")
        what = f"{words[before.required]} -> {words[after.required]}"
        yield Change(of, what, f"The detector {name} is {words[after.required]} now.")
    if before.deadline != after.deadline:
        sentence = (
            f"The detector {name} is waited for {after.deadline:g} s instead of "
            f"{before.deadline:g} s."
        )
        yield Change(of, f"deadline {before.deadline:g} s -> {after.deadline:g} s", sentence)
    for status in ("missing", "failed", "abstained"):
        then, now = _meaning(getattr(before, status)), _meaning(getattr(after, status))
        if then != now:
            sentence = f"When {name} is {status}, that means {now} instead of {then}."
            yield Change(of, f"{status} {then} -> {now}", sentence)


def _meaning(meaning: Meaning) -> str:
    if meaning is None:
        return "nothing"
    return str(meaning) if isinstance(meaning, Action) else f"a score of {meaning:g}"


def _rules(old: Policy, new: Policy) -> Iterator[Change]:
    before = {rule.name: rule for rule in old.rules}
    after = {rule.name: rule for rule in new.rules}
    for name, rule in before.items():
        if name not in after:
            sentence = f"The rule {name} ({rule.action}, when {_text(rule)}) is gone."
            yield Change(f"rule {name}", f"gone ({rule.action})", sentence)
    for name, rule in after.items():
        if name not in before:
            yield from _new_rule(rule)
        else:
            yield from _rule(before[name], rule)
    common = [name for name in before if name in after]
    if common != [name for name in after if name in before]:
        sentence = "The order of the rules changes; the first of the most severe names the harm."
        yield Change("rules", "another order", sentence)


def _new_rule(rule: Rule) -> Iterator[Change]:
    of, shadow = f"rule {rule.name}", " in shadow" if rule.shadow else ""
    sentence = f"The rule {rule.name} is new{shadow}: {rule.action}, when {_text(rule)}."
    yield Change(of, f"new{shadow}: {rule.action} when {_text(rule)}", sentence)
    if rule.rollout is not None:
        yield Change(of, _share(rule), f"The rule {rule.name} {_share(rule)}.")
    if rule.then is not None:
        yield Change(of, _then(rule), f"The rule {rule.name} {_then(rule)}.")
    if rule.account is not None:
        told = _account(rule.account)
        yield Change(of, f"account: {told}", f"The rule {rule.name} {_on_account(rule)}.")


def _rule(before: Rule, after: Rule) -> Iterator[Change]:
    name, of = after.name, f"rule {after.name}"
    if _text(before) != _text(after):
        thresholds = threshold_changes(_text(before), _text(after))
        short = "; ".join(thresholds) or f"when {_text(before)} -> {_text(after)}"
        told = f" ({short})" if thresholds else ""
        sentence = (
            f"The rule {name} applies when {_text(after)}, instead of when {_text(before)}{told}."
        )
        yield Change(of, short, sentence)
    if before.action is not after.action:
        kind = "more severe" if after.action.severity > before.action.severity else "milder"
        sentence = f"The rule {name} asks for {after.action} instead of {before.action} ({kind})."
        yield Change(of, f"action {before.action} -> {after.action}", sentence)
    if before.category != after.category:
        sentence = f"The rule {name} names the harm {after.category} instead of {before.category}."
        yield Change(of, f"category {before.category} -> {after.category}", sentence)
    if before.territories != after.territories:
        then, now = _places(before), _places(after)
        sentence = f"The rule {name} applies in {now} instead of {then}."
        yield Change(of, f"territories {then} -> {now}", sentence)
    if before.rollout != after.rollout:
        yield Change(of, _share(after), f"The rule {name} {_share(after)}.")
    if before.then != after.then:
        yield Change(of, _then(after), f"The rule {name} {_then(after)}.")
    if before.account != after.account:
        what = f"account: {_account(before.account)} -> {_account(after.account)}"
        yield Change(of, what, f"The rule {name} {_on_account(after)}.")
    if before.shadow != after.shadow:
        what = "goes into shadow" if after.shadow else "now acts"
        yield Change(of, what, f"The rule {name} {what}.")
    if before.reason != after.reason:
        yield Change(of, "another reason", f"The rule {name} gives another reason: {after.reason}")


def _text(rule: Rule) -> str:
    when = " ".join(rule.when.source.split())
    if rule.unless is None:
        return when
    return f"{when}, unless {' '.join(rule.unless.source.split())}"


def _share(rule: Rule) -> str:
    if rule.rollout is None:
        return "applies to all uploaders"
    share = f"{rule.rollout.percent:g} % of uploaders"
    return f"applies to {share} (salt {rule.rollout.salt})"


def _then(rule: Rule) -> str:
    if rule.then is None:
        return "keeps its action, however long nothing comes"
    return (
        f"turns from {rule.action} into {rule.then.action} after {rule.then.after:g} s without a "
        "human's decision"
    )


def _account(given: AccountRule | None) -> str:
    if given is None:
        return "nothing"
    span = "" if given.seconds is None else f" for {given.seconds:g} s"
    return f"{given.action}{span}{', without a human' if given.automatic else ''}"


def _on_account(rule: Rule) -> str:
    if rule.account is None:
        return "leaves the account alone"
    return f"decides on the account: {_account(rule.account)} ({rule.account.reason})"


def _places(rule: Rule) -> str:
    return ", ".join(rule.territories) or "all territories"


def _caps(old: Policy, new: Policy) -> Iterator[Change]:
    before, after = old.caps, new.caps
    if before.each_match != after.each_match:
        what = _budgets({"each match": before.each_match}, {"each match": after.each_match})
        yield Change("caps", what, f"The cap on removals by one work or hash changes: {what}.")
    removals = [
        {"total": one.total, "each rule": one.each_rule, **one.rules} for one in (before, after)
    ]
    if removals[0] != removals[1]:
        what = _budgets(*removals)
        yield Change("caps", what, f"The caps on removals change: {what}.")
    reviews = [
        {}
        if one is None
        else {"reviews": one.total, "reviews of each rule": one.each_rule, **one.rules}
        for one in (before.reviews, after.reviews)
    ]
    if before.reviews != after.reviews:
        what = _budgets(*reviews)
        yield Change("caps on reviews", what, f"The caps on reviews change: {what}.")


def _budgets(
    old: Mapping[str, Budget | ReviewBudget | None], new: Mapping[str, Budget | ReviewBudget | None]
) -> str:
    found = []
    for name in dict.fromkeys((*old, *new)):
        then, now = _budget(old.get(name)), _budget(new.get(name))
        if then != now:
            found.append(f"{name} {then} -> {now}")
    return ", ".join(found) or "another form"


def _budget(one: Budget | ReviewBudget | None) -> str:
    if one is None:
        return "none"
    return f"{one.removals if isinstance(one, Budget) else one.reviews} in {one.per:g} s"


def _others(old: Policy, new: Policy) -> Iterator[Change]:
    if old.strikes != new.strikes:
        sentence = "Past verdicts count differently against an uploader."
        yield Change("strikes", "count differently", sentence)
    for name in sorted(old.fields.keys() | new.fields.keys()):
        kind = new.fields.get(name)
        if kind is None:
            sentence = f"The field {name} of an upload is no longer declared."
            yield Change(f"field {name}", "gone", sentence)
        elif old.fields.get(name) != kind:
            sentence = f"The field {name} of an upload is declared as {kind}."
            yield Change(f"field {name}", f"{old.fields.get(name, 'none')} -> {kind}", sentence)
    yield from _named("feature", "counts differently", old.features, new.features)
    for name in sorted(old.lists.keys() | new.lists.keys()):
        gone = sorted(set(old.lists.get(name, ())) - set(new.lists.get(name, ())))
        come = sorted(set(new.lists.get(name, ())) - set(old.lists.get(name, ())))
        if gone or come:
            sentence = f"The list {name} gains {len(come)} and loses {len(gone)}."
            yield Change(f"list {name}", _members(come, gone), sentence)
        elif old.lists.get(name) != new.lists.get(name):
            sentence = f"The list {name} is written in another order, or is empty now."
            yield Change(f"list {name}", "another order", sentence)
    yield from _named("combiner", "weighs differently", old.combiners, new.combiners)
    told = "reads differently in statements of reasons"
    yield from _named("category", told, old.categories, new.categories)


def _named(
    kind: str, otherwise: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[Change]:
    """Changes of what a policy defines by name."""
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) == new.get(name):
            continue
        what = "is gone" if name not in new else otherwise if name in old else "is new"
        yield Change(f"{kind} {name}", what.removeprefix("is "), f"The {kind} {name} {what}.")


def _members(come: Sequence[str], gone: Sequence[str]) -> str:
    told = []
    for sign, members in (("+", come), ("-", gone)):
        named = [f"{sign}{one}" for one in members[:_NAMED]]
        told += [*named, *([f"{sign}{len(members) - _NAMED} more"] if members[_NAMED:] else [])]
    return ", ".join(told)
