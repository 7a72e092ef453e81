"""Describe the changes between two policies in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.policy.values import DetectorPolicy, Meaning, Rule
from quorum.core.messages import Action

__all__ = ["differences"]


def differences(old: Policy, new: Policy) -> tuple[str, ...]:
    """One sentence for each change of content; none if only comments differ."""
    return tuple(_differences(old, new))


def _differences(old: Policy, new: Policy) -> Iterator[str]:
    for field, words in (
        ("deadline", "Uploads are decided after at most"),
        ("retention", "Late messages are taken for"),
        ("orphan_wait", "Predictions wait for their upload for"),
    ):
        before, after = getattr(old, field), getattr(new, field)
        if before != after:
            yield f"{words} {after:g} s instead of {before:g} s."
    if old.quorum != new.quorum:
        yield (
            f"At least {new.quorum} detectors must have scored before an upload is allowed, "
            f"instead of {old.quorum}."
        )
    yield from _detectors(old, new)
    yield from _rules(old, new)
    yield from _others(old, new)


def _detectors(old: Policy, new: Policy) -> Iterator[str]:
    for name in old.detectors.keys() - new.detectors.keys():
        yield f"The detector {name} no longer counts."
    for name, after in new.detectors.items():
        before = old.detectors.get(name)
        if before is None:
            kind = "in shadow" if after.shadow else "required" if after.required else "optional"
            yield f"The detector {name} is new ({kind})."
            continue
        yield from _detector(before, after)


def _detector(before: DetectorPolicy, after: DetectorPolicy) -> Iterator[str]:
    name = after.name
    if before.shadow != after.shadow:
        yield f"The detector {name} {'goes into shadow' if after.shadow else 'now counts'}."
    if before.deadline != after.deadline:
        yield (
            f"The detector {name} is waited for {after.deadline:g} s instead of "
            f"{before.deadline:g} s."
        )
    for status in ("missing", "failed", "abstained"):
        then, now = getattr(before, status), getattr(after, status)
        if then != now:
            change = f"{_meaning(now)} instead of {_meaning(then)}"
            yield f"When {name} is {status}, that means {change}."


def _meaning(meaning: Meaning) -> str:
    if meaning is None:
        return "nothing"
    return str(meaning) if isinstance(meaning, Action) else f"a score of {meaning:g}"


def _rules(old: Policy, new: Policy) -> Iterator[str]:
    before = {rule.name: rule for rule in old.rules}
    after = {rule.name: rule for rule in new.rules}
    for name, rule in before.items():
        if name not in after:
            yield f"The rule {name} ({rule.action}, when {_text(rule)}) is gone."
    for name, rule in after.items():
        if name not in before:
            shadow = " in shadow" if rule.shadow else ""
            yield f"The rule {name} is new{shadow}: {rule.action}, when {_text(rule)}."
            if rule.rollout is not None:
                yield f"The rule {name} {_share(rule)}."
            if rule.then is not None:
                yield f"The rule {name} {_then(rule)}."
        else:
            yield from _rule(before[name], rule)
    common = [name for name in before if name in after]
    if common != [name for name in after if name in before]:
        yield "The order of the rules changes; the first of the most severe names the harm."


def _rule(before: Rule, after: Rule) -> Iterator[str]:
    name = after.name
    if before.action is not after.action:
        kind = "more severe" if after.action.severity > before.action.severity else "milder"
        yield f"The rule {name} asks for {after.action} instead of {before.action} ({kind})."
    if _text(before) != _text(after):
        yield f"The rule {name} applies when {_text(after)}, instead of when {_text(before)}."
    if before.category != after.category:
        yield f"The rule {name} names the harm {after.category} instead of {before.category}."
    if before.territories != after.territories:
        yield f"The rule {name} applies in {_places(after)} instead of {_places(before)}."
    if before.rollout != after.rollout:
        yield f"The rule {name} {_share(after)}."
    if before.then != after.then:
        yield f"The rule {name} {_then(after)}."
    if before.shadow != after.shadow:
        yield f"The rule {name} {'goes into shadow' if after.shadow else 'now acts'}."
    if before.reason != after.reason:
        yield f"The rule {name} gives another reason: {after.reason}"


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


def _places(rule: Rule) -> str:
    return ", ".join(rule.territories) or "all territories"


def _others(old: Policy, new: Policy) -> Iterator[str]:
    for field, words in (("strikes", "Past verdicts count differently against an uploader."),):
        if getattr(old, field) != getattr(new, field):
            yield words
    if old.caps.each_match != new.caps.each_match:
        yield "The cap on removals by one work or hash changes."
    if replace(old.caps, reviews=None, each_match=None) != replace(
        new.caps, reviews=None, each_match=None
    ):
        yield "The caps on removals change."
    if old.caps.reviews != new.caps.reviews:
        yield "The caps on reviews change."
    for name in sorted(old.fields.keys() | new.fields.keys()):
        kind = new.fields.get(name)
        if kind is None:
            yield f"The field {name} of an upload is no longer declared."
        elif old.fields.get(name) != kind:
            yield f"The field {name} of an upload is declared as {kind}."
    for name in sorted(old.features.keys() | new.features.keys()):
        if old.features.get(name) != new.features.get(name):
            told = (
                "is gone"
                if name not in new.features
                else "counts differently"
                if name in old.features
                else "is new"
            )
            yield f"The feature {name} {told}."
    for name in sorted(old.lists.keys() | new.lists.keys()):
        gone = set(old.lists.get(name, ())) - set(new.lists.get(name, ()))
        come = set(new.lists.get(name, ())) - set(old.lists.get(name, ()))
        if gone or come:
            yield f"The list {name} gains {len(come)} and loses {len(gone)}."
    for name in sorted(old.combiners.keys() | new.combiners.keys()):
        if old.combiners.get(name) != new.combiners.get(name):
            new_or_gone = "is gone" if name in old.combiners else "is new"
            both = name in old.combiners and name in new.combiners
            yield f"The combiner {name} {'weighs differently' if both else new_or_gone}."
    for name in sorted(new.categories):
        if old.categories.get(name) != new.categories[name]:
            yield f"The category {name} reads differently in statements of reasons."
