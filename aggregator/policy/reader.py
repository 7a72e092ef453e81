"""Read a policy's YAML into checked values; errors have line and column."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError
from ruamel.yaml.comments import CommentedMap

from quorum.aggregator.policy.categories import DSA_CATEGORIES, SHIPPED_CATEGORIES, Category
from quorum.aggregator.policy.combiner import Combiner
from quorum.aggregator.policy.expression import (
    Expression,
    ExpressionError,
    UnknownNames,
    did_you_mean,
    parse,
)
from quorum.aggregator.policy.features import feature_of, wrong_feature
from quorum.aggregator.policy.fields import UPLOAD_FIELDS, FieldType
from quorum.aggregator.policy.rollout import Rollout
from quorum.aggregator.policy.steps import asks_for, usual_reason, wrong_steps
from quorum.aggregator.policy.territories import GROUPS, expand, wrong_territory
from quorum.aggregator.policy.text import (
    BudgetText,
    DetectorRolloutText,
    DetectorText,
    PolicyText,
    ReviewBudgetText,
    ReviewCapsText,
    RuleText,
    ThenText,
)
from quorum.aggregator.policy.tree import (
    place,
    read_tree,
    shape_errors,
    without_mistakes,
    write_tree,
)
from quorum.aggregator.policy.values import (
    AccountRule,
    Budget,
    Caps,
    DetectorPolicy,
    DetectorRollout,
    Feature,
    Meaning,
    PolicyContent,
    PolicyRollout,
    ReviewBudget,
    ReviewCaps,
    Rule,
    Strikes,
    Then,
)
from quorum.core.errors import PolicyError
from quorum.core.messages import AccountAction, Action, digest

__all__ = ["read_content"]

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def read_content(text: str, file: str | None = None) -> PolicyContent:
    """Read the values of a policy; see ``Policy.from_text``."""
    return _content(read_tree(text, file), text, file)


def _content(tree: CommentedMap, text: str, file: str | None) -> PolicyContent:
    try:
        values = json.loads(json.dumps(tree))
        written = PolicyText.model_validate(values)
    except ValidationError as error:
        raise PolicyError.together(_mistakes(error, values, tree, file)) from None
    except (TypeError, ValueError) as error:
        msg = f"the policy has a value that is no number, text or list: {error}"
        raise PolicyError(msg, file=file) from None
    reader = _Reader(tree, file, written)
    content = reader.content(text)
    if reader.wrong:
        raise PolicyError.together(reader.wrong)
    return content


def _mistakes(
    error: ValidationError, values: dict[str, Any], tree: CommentedMap, file: str | None
) -> list[PolicyError]:
    """What the schema refuses, and the mistakes of the rest."""
    found = shape_errors(error, tree, file)
    rest = without_mistakes(values, error)
    if rest is not None:
        reader = _Reader(tree, file, rest)
        reader.content("")
        found += reader.wrong
    return found


class _Reader:
    """Checks the parts of a policy and builds their values.

    Attributes:
        wrong: The mistakes so far; the values are of use only if there are none.
    """

    def __init__(self, tree: CommentedMap, file: str | None, written: PolicyText) -> None:
        self._tree = tree
        self._file = file
        self._written = written
        self.wrong: list[PolicyError] = []
        self.known_groups: dict[str, tuple[str, ...]] = dict(GROUPS)
        self.known_categories: dict[str, Category] = dict(SHIPPED_CATEGORIES)
        self.known_combiners: dict[str, Combiner] = {}

    def content(self, text: str) -> PolicyContent:
        """All values of the policy, with this text."""
        written = self._written
        detectors = {name: self.detector(name, entry) for name, entry in written.detectors.items()}
        fields = self.fields()
        features = self.features()
        self.groups()
        self.combiners()
        self.categories()
        rules = tuple(
            rule
            for index, entry in enumerate(written.rules)
            if (rule := self.rule(index, entry)) is not None
        )
        self.check_names()
        rollout = self.rollout()
        canonical = json.dumps(
            _meant(written, self.known_groups, rollout),
            sort_keys=True,
            ensure_ascii=False,
            separators=(",", ":"),
        )
        return PolicyContent(
            name=written.name,
            description=written.description,
            version=f"{written.name}@{digest('policy', canonical)[:16]}",
            text=text,
            file=self._file,
            deadline=written.deadline,
            retention=written.retention,
            orphan_wait=written.orphan_wait,
            quorum=self.quorum(),
            detectors=MappingProxyType(detectors),
            rules=rules,
            categories=MappingProxyType(self.known_categories),
            combiners=MappingProxyType(self.known_combiners),
            lists=MappingProxyType(dict(written.lists)),
            fields=MappingProxyType(fields),
            caps=self.caps(),
            features=MappingProxyType(features),
            rollout=rollout,
            strikes=Strikes(
                written.strikes.half_life,
                MappingProxyType(
                    {
                        Action.REMOVE: written.strikes.remove,
                        Action.RESTRICT: written.strikes.restrict,
                    }
                ),
            ),
        )

    def _error(self, message: str, *path: int | str) -> None:
        line, column = place(self._tree, path)
        self.wrong.append(PolicyError(message, file=self._file, line=line, column=column))

    def detector(self, name: str, entry: DetectorText) -> DetectorPolicy:
        if "/" in name or not name.strip() or '"' in name:
            msg = f"`{name}` cannot name a detector"
            self._error(msg, "detectors", name)
        default: str | float = "review" if entry.required else "ignore"
        if entry.required:
            for status in ("missing", "failed"):
                if getattr(entry, status) == "ignore":
                    msg = (
                        f"`{name}` is required, so `{status}` cannot be `ignore`; "
                        "make it review, restrict or a score, or set `required: false`"
                    )
                    self._error(msg, "detectors", name, status)
        deadline = entry.deadline if entry.deadline is not None else self._written.deadline
        if deadline > self._written.deadline:
            msg = (
                f"the deadline of `{name}` ({deadline:g} s) is later than the policy's "
                f"({self._written.deadline:g} s)"
            )
            self._error(msg, "detectors", name, "deadline")
        return DetectorPolicy(
            name=name,
            required=entry.required,
            deadline=deadline,
            missing=_meaning(entry.missing if entry.missing is not None else default),
            failed=_meaning(entry.failed if entry.failed is not None else default),
            abstained=_meaning(entry.abstained if entry.abstained is not None else "ignore"),
            shadow=entry.shadow,
            rollout=None if entry.rollout is None else self._version(name, entry.rollout),
        )

    def _version(self, name: str, given: DetectorRolloutText) -> DetectorRollout:
        """The other version of a detector."""
        written = self._written
        where = ("detectors", name, "rollout", "to")
        if given.to in written.detectors:
            msg = f"`{given.to}` counts for itself here; take it out of `detectors`"
            self._error(msg, *where)
        for other, one in written.detectors.items():
            if other != name and one.rollout is not None and one.rollout.to == given.to:
                msg = f"`{given.to}` is rolled out for `{other}` already; take one of them out"
                self._error(msg, *where)
        if any(rule.rollout is not None and rule.name == given.to for rule in written.rules):
            msg = f"a rule with a rollout is named `{given.to}`, too; rename the rule"
            self._error(msg, *where)
        return DetectorRollout(given.to, Rollout(given.percent, given.salt or given.to))

    def fields(self) -> dict[str, FieldType]:
        for name in self._written.fields:
            if name in UPLOAD_FIELDS:
                msg = f"every upload has the field `{name}`; it is not declared"
                self._error(msg, "fields", name)
        return dict(self._written.fields)

    def features(self) -> dict[str, Feature]:
        found = {}
        for name, entry in self._written.features.items():
            for message, at in wrong_feature(entry, self._written.fields):
                self._error(message, "features", name, at)
            found[name] = feature_of(name, entry)
        return found

    def groups(self) -> None:
        for name, codes in self._written.groups.items():
            if name in GROUPS:
                msg = f"`{name}` is a group already; it is not defined here"
                self._error(msg, "groups", name)
                continue
            for index, code in enumerate(codes):
                wrong = wrong_territory(code, self.known_groups, did_you_mean)
                if wrong is not None:
                    self._error(wrong, "groups", name, index)
            self.known_groups[name] = expand(codes, self.known_groups)

    def combiners(self) -> None:
        for name, entry in self._written.combiners.items():
            for part in ("weights", "absent"):
                for known in getattr(entry, part):
                    self._check_detector(known, "combiners", name, part, known)
            for known in entry.absent:
                if known not in entry.weights:
                    msg = f"`{known}` has no weight{did_you_mean(known, list(entry.weights))}"
                    self._error(msg, "combiners", name, "absent", known)
            self.known_combiners[name] = Combiner(
                name, entry.bias, MappingProxyType(entry.weights), MappingProxyType(entry.absent)
            )

    def _check_detector(self, name: str, *path: int | str) -> None:
        live = [known for known, one in self._written.detectors.items() if not one.shadow]
        detector = name.split("/", 1)[0]
        if detector not in live:
            msg = f"the detector `{detector}` is unknown{did_you_mean(detector, live)}"
            self._error(msg, *path)

    def categories(self) -> None:
        for name, entry in self._written.categories.items():
            if entry.dsa not in DSA_CATEGORIES:
                help_text = did_you_mean(entry.dsa, list(DSA_CATEGORIES))
                msg = f"`{entry.dsa}` is no category of the DSA{help_text}"
                self._error(msg, "categories", name, "dsa")
            self.known_categories[name] = Category(
                name, entry.dsa, entry.ground, entry.reference, entry.explanation
            )

    def rule(self, index: int, entry: RuleText) -> Rule | None:
        before = len(self.wrong)
        when = self._condition(index, "when", entry.when)
        unless = None if entry.unless is None else self._condition(index, "unless", entry.unless)
        if entry.category is not None and entry.category not in self.known_categories:
            help_text = did_you_mean(entry.category, list(self.known_categories)) or (
                "; define it under `categories`"
            )
            msg = f"the category `{entry.category}` is unknown{help_text}"
            self._error(msg, "rules", index, "category")
        if entry.territories and entry.action is Action.REVIEW:
            msg = "a rule for some territories can only restrict or remove: a human is asked once"
            self._error(msg, "rules", index, "territories")
        for at, code in enumerate(entry.territories):
            wrong = wrong_territory(code, self.known_groups, did_you_mean)
            if wrong is not None:
                self._error(wrong, "rules", index, "territories", at)
        self._check_reason(entry.reason, "rules", index, "reason")
        if entry.then is not None and entry.then.reason is not None:
            self._check_reason(entry.then.reason, "rules", index, "then", "reason")
        if when is None or len(self.wrong) > before:
            return None
        reads = [read for one in (when, unless) if one is not None for read in one.reads]
        detectors: set[str] = set()
        for read in reads:
            if read.what == "combined":
                detectors |= self.known_combiners[read.name].detectors
            elif read.what != "feature":
                detectors.add(read.detector)
        return Rule(
            name=entry.name,
            when=when,
            unless=unless,
            action=entry.action,
            category=entry.category,
            reason=entry.reason,
            territories=expand(entry.territories, self.known_groups),
            shadow=entry.shadow,
            detectors=frozenset(detectors),
            account=self._account(index, entry, when),
            then=None if entry.then is None else self._then(index, entry, entry.then),
            rollout=None
            if entry.rollout is None
            else Rollout(entry.rollout.percent, entry.rollout.salt or entry.name),
        )

    def _check_reason(self, reason: str, *path: int | str) -> None:
        for name in _PLACEHOLDER.findall(reason):
            if name.split("/", 1)[0] not in {*self._written.detectors, *self.known_combiners}:
                help_text = did_you_mean(name, list(self._written.detectors))
                msg = f"`{{{name}}}` in the reason is no detector{help_text}"
                self._error(msg, *path)

    def _then(self, index: int, entry: RuleText, given: ThenText) -> Then:
        """What becomes of the action with time: limits end, or a more severe action follows."""
        where = ("rules", index, "then")
        for mistake in wrong_steps(self._written, entry, given):
            self._error(mistake.message, *where, *mistake.at)
        return Then(given.after, given.action, given.reason or usual_reason(entry, given))

    def _account(self, index: int, entry: RuleText, when: Expression) -> AccountRule | None:
        """What happens to the account; never a suspension by one upload and without a human."""
        given = entry.account
        if given is None:
            return None
        where = ("rules", index, "account")
        if entry.shadow or entry.territories:
            self._error("a rule in shadow, or for some territories, decides on no account", *where)
        if given.seconds is not None and given.action is AccountAction.WARN:
            self._error("a warning has no end; `for` is for `suspend`", *where)
        if given.automatic and given.action is AccountAction.SUSPEND:
            reads_history = "uploader" in when.variables
            if entry.action is not Action.REMOVE or not reads_history:
                msg = (
                    "a suspension without a human needs a rule that removes, and whose `when` "
                    "reads the uploader's history (such as uploader.strikes >= 2.5): one upload "
                    "alone suspends nobody"
                )
                self._error(msg, *where)
        if given.automatic and entry.action not in (Action.RESTRICT, Action.REMOVE):
            msg = "`automatic` is for rules that restrict or remove: here a human decides anyway"
            self._error(msg, *where)
        if given.reason is None and "{" in entry.reason:
            msg = "give the account's own `reason`: that of the rule holds the scores of one upload"
            self._error(msg, *where)
        return AccountRule(
            given.action, given.reason or entry.reason, given.seconds, given.automatic
        )

    def _condition(self, index: int, field: str, text: str) -> Expression | None:
        """A condition; None where it has a mistake."""
        wrong: list[ExpressionError] = []
        made: Expression | None = None
        try:
            made = parse(text, self._written.fields)
        except UnknownNames as error:
            wrong = [error, *error.others]
            made = error.expression
        except ExpressionError as error:
            wrong = [error]
        if made is not None:
            wrong += self._wrong_reads(index, made)
        for one in wrong:
            self._condition_error(index, field, one)
        return None if wrong else made

    def _wrong_reads(self, index: int, condition: Expression) -> Iterator[ExpressionError]:
        shadow = self._written.rules[index].shadow
        detectors = self._written.detectors
        known = [name for name, one in detectors.items() if shadow or not one.shadow]
        for read in condition.reads:
            spot = _spot(condition.source, read.name)
            if read.what == "combined":
                if read.name not in self.known_combiners:
                    help_text = did_you_mean(read.name, list(self.known_combiners))
                    msg = f"the combiner `{read.name}` is unknown{help_text}"
                    yield ExpressionError(msg, *spot)
            elif read.what == "feature":
                if read.name not in self._written.features:
                    help_text = did_you_mean(read.name, list(self._written.features)) or (
                        "; define it under `features`"
                    )
                    msg = f"the feature `{read.name}` is unknown{help_text}"
                    yield ExpressionError(msg, *spot)
            elif read.detector not in known:
                if read.detector in detectors:
                    msg = (
                        f"the detector `{read.detector}` runs in shadow; only a shadow rule may ask"
                    )
                else:
                    help_text = did_you_mean(read.detector, known) or (
                        "; name it under `detectors`"
                    )
                    msg = f"the detector `{read.detector}` is unknown{help_text}"
                yield ExpressionError(msg, *spot)
        for of, name in sorted(path[:2] for path in condition.keys):
            live = [one for one in detectors if not detectors[one].shadow]
            if of == "missing" and name and name not in live:
                help_text = did_you_mean(name, live) or f"; there are {', '.join(live) or 'none'}"
                msg = f"the detector `{name}` is never in `missing`{help_text}"
                yield ExpressionError(msg, *_spot(condition.source, name))
        for name in condition.listed:
            if name not in self._written.lists:
                help_text = did_you_mean(name, list(self._written.lists))
                msg = f"the list `{name}` is unknown{help_text}"
                yield ExpressionError(msg, *_spot(condition.source, name))

    def _condition_error(self, index: int, field: str, error: ExpressionError) -> None:
        message = f"rule `{self._written.rules[index].name}`: {error.message}"
        node = self._tree["rules"][index]
        try:
            line, column = node.lc.value(field)
        except (KeyError, AttributeError):
            self._error(message, "rules", index)
            return
        lines = str(node[field])
        in_place = "\n" not in lines.rstrip("\n") and type(node[field]) is str
        if in_place and error.line == 1 and error.column is not None:
            column += error.column - 1
        self.wrong.append(PolicyError(message, file=self._file, line=line + 1, column=column + 1))

    def check_names(self) -> None:
        seen: dict[str, int] = {}
        for index, rule in enumerate(self._written.rules):
            if rule.name in seen:
                msg = f"two rules are named `{rule.name}`"
                self._error(msg, "rules", index, "name")
            seen[rule.name] = index

    def rollout(self) -> PolicyRollout | None:
        """The candidate, read as a policy of its own; its mistakes have their lines here."""
        written = self._written.rollout
        if written is None:
            return None
        tree = self._tree["rollout"]["policy"]
        try:
            candidate = _content(tree, write_tree(tree), self._file)
        except PolicyError as error:
            self.wrong += [error, *error.others]
            return None
        if candidate.rollout is not None:
            msg = "a candidate has no `rollout` of its own; take it out"
            self._error(msg, "rollout", "policy", "rollout")
        if candidate.deadline != self._written.deadline:
            msg = (
                f"the candidate's deadline ({candidate.deadline:g} s) is not the policy's "
                f"({self._written.deadline:g} s), by which every upload gets its answer; make "
                "them one"
            )
            self._error(msg, "rollout", "policy", "deadline")
        return PolicyRollout(candidate, Rollout(written.percent, written.salt or candidate.name))

    def quorum(self) -> int:
        live = sum(not entry.shadow for entry in self._written.detectors.values())
        wanted = self._written.quorum
        if wanted > live:
            msg = f"a quorum of {wanted} cannot be met by {live} detectors"
            self._error(msg, "quorum")
        return wanted

    def caps(self) -> Caps:
        entry = self._written.caps
        names = [rule.name for rule in self._written.rules if asks_for(rule, Action.REMOVE)]
        for name in entry.rules:
            if name not in names:
                help_text = did_you_mean(name, names) or "; only rules that remove have a cap"
                msg = f"`{name}` is no rule that removes{help_text}"
                self._error(msg, "caps", "rules", name)
        return Caps(
            total=_budget(entry.total),
            each_rule=_budget(entry.each_rule),
            rules=MappingProxyType(
                {name: Budget(one.removals, one.per) for name, one in entry.rules.items()}
            ),
            reviews=None if entry.reviews is None else self._review_caps(entry.reviews),
            each_match=_budget(entry.each_match),
        )

    def _review_caps(self, entry: ReviewCapsText) -> ReviewCaps:
        names = [rule.name for rule in self._written.rules if asks_for(rule, Action.REVIEW)]
        names += [
            f"{status}:{name}"
            for name in self._written.detectors
            for status in ("missing", "failed", "abstained")
        ]
        names += [f"error:{rule.name}" for rule in self._written.rules]
        for name in entry.rules:
            if name not in (*names, "quorum"):
                help_text = did_you_mean(name, names) or (
                    "; there are those rules, quorum, missing:DETECTOR, failed:DETECTOR, "
                    "abstained:DETECTOR and error:RULE"
                )
                msg = f"`{name}` is no rule that asks for a review{help_text}"
                self._error(msg, "caps", "reviews", "rules", name)
        return ReviewCaps(
            total=_review_budget(entry.total),
            each_rule=_review_budget(entry.each_rule),
            rules=MappingProxyType(
                {name: ReviewBudget(one.reviews, one.per) for name, one in entry.rules.items()}
            ),
        )


def _meant(
    written: PolicyText, groups: Mapping[str, tuple[str, ...]], rollout: PolicyRollout | None
) -> dict[str, Any]:
    """What the version of a policy is a digest of.

    A section that is younger than 0.2 counts only where it is there, so that the other policies
    keep their versions. Groups of countries count as the countries that rules name by them, and a
    candidate by its version.
    """
    values = written.model_dump(mode="json")
    if rollout is not None:
        values["rollout"]["policy"] = rollout.policy.version
    del values["groups"]
    for rule in values["rules"]:
        rule["territories"] = list(expand(rule["territories"], groups))
        for young in ("account", "then", "rollout"):
            if rule[young] is None:
                del rule[young]
    for detector in values["detectors"].values():
        if detector["rollout"] is None:
            del detector["rollout"]
    for feature in values["features"].values():
        for young in ("uploads", "uploaders", "words"):
            if feature[young] is None:
                del feature[young]
    caps = values["caps"]
    young_sections = (
        (values, "fields"),
        (values, "features"),
        (values, "rollout"),
        (caps, "reviews"),
        (caps, "each_match"),
    )
    for of, young in young_sections:
        if not of[young]:
            del of[young]
    return values


def _spot(condition: str, name: str) -> tuple[int | None, int | None]:
    at = condition.find(name)
    if at < 0:
        return None, None
    return condition.count("\n", 0, at) + 1, at - (condition.rfind("\n", 0, at) + 1) + 1


def _meaning(entry: str | float) -> Meaning:
    if isinstance(entry, str):
        return None if entry == "ignore" else Action(entry)
    return float(entry)


def _budget(entry: BudgetText | None) -> Budget | None:
    return None if entry is None else Budget(entry.removals, entry.per)


def _review_budget(entry: ReviewBudgetText | None) -> ReviewBudget | None:
    return None if entry is None else ReviewBudget(entry.reviews, entry.per)
