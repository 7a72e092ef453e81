"""The policy: which rules decide, and what a detector's silence means.

A policy is YAML text with CEL conditions, checked whole when it is read and versioned by its
content: two texts that say the same have the same version. A ``Policy`` is cheap to send to
another process (its text travels, and is read once there).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from aggregator.expression import Expression, ExpressionError, did_you_mean, parse
from aggregator.policy_text import DetectorText, PolicyText, RuleText
from quorum.errors import PolicyError
from quorum.messages import Action, Status, digest

__all__ = ["DetectorPolicy", "Meaning", "Policy", "Rule", "load_policy", "shipped_policies"]

#: A policy is a page or two; a larger file is a mistake, or an attack on the parser.
MAX_POLICY_BYTES: Final = 256 * 1024

_FOLDER: Final = "policies"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")

#: What a detector's silence counts as: an action, a score in its place, or nothing (None).
Meaning = Action | float | None


@dataclass(frozen=True, slots=True)
class DetectorPolicy:
    """What a policy says of one detector.

    Attributes:
        name: The detector.
        required: Whether an upload may be allowed without it.
        deadline: Seconds after the upload's arrival when it counts as missing.
        missing: What it means that it said nothing in time.
        failed: What it means that it could not judge.
        abstained: What it means that it had nothing to judge.
        shadow: Recorded, never deciding.
    """

    name: str
    required: bool
    deadline: float
    missing: Meaning
    failed: Meaning
    abstained: Meaning
    shadow: bool = False

    def meaning(self, status: Status | None) -> Meaning:
        """What a status means; None stands for missing."""
        if status is Status.FAILED:
            return self.failed
        if status is Status.ABSTAINED:
            return self.abstained
        return self.missing

    @property
    def silences(self) -> frozenset[Action]:
        """The actions that it may lead to without a score."""
        all_of_them = (self.missing, self.failed, self.abstained)
        return frozenset(one for one in all_of_them if isinstance(one, Action))


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: when it applies and what it does.

    Attributes:
        name: Names it in verdicts.
        when: Its condition.
        action: What it asks for; the most severe of all matching rules wins.
        category: The harm, in the words of the platform's terms.
        reason: A sentence; ``{spam}`` and ``{violence/fight}`` stand for scores.
        shadow: Recorded, never deciding.
    """

    name: str
    when: Expression
    action: Action
    category: str | None
    reason: str
    shadow: bool = False


@dataclass(frozen=True)
class Policy:
    """A policy that passed all checks.

    Attributes:
        name: For people.
        version: Name and digest of what it says; comments and spacing do not count.
        text: As it was written.
        file: Where it came from.
        deadline: Seconds after an upload's arrival when its case is decided with what is there.
        retention: Seconds after a verdict for which a case still takes late messages.
        orphan_wait: Seconds for which a prediction or a review waits for its upload.
        quorum: How many detectors must have scored for an upload to be allowed.
        detectors: What it says of each, by name, in the order written.
        rules: First to last.
    """

    name: str
    version: str
    text: str = field(repr=False)
    file: str | None
    deadline: float
    retention: float
    orphan_wait: float
    quorum: int
    detectors: Mapping[str, DetectorPolicy] = field(repr=False)
    rules: tuple[Rule, ...] = field(repr=False)

    @classmethod
    def from_text(cls, text: str, file: str | None = None) -> Policy:
        """Read a policy.

        Args:
            text: The YAML.
            file: Named in errors.

        Raises:
            PolicyError: If anything in it is wrong; the text names line and column, and what was
                likely meant.
        """
        return _read(text, file)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Policy.from_text, (self.text, self.file))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policy) and self.version == other.version

    def __hash__(self) -> int:
        return hash(self.version)


def shipped_policies() -> tuple[str, ...]:
    """Names of the policies that ship."""
    folder = resources.files("aggregator").joinpath(_FOLDER)
    names = (item.name for item in folder.iterdir())
    return tuple(
        sorted(
            name.removesuffix(".yaml")
            for name in names
            if name.endswith(".yaml") and not name.endswith(".cases.yaml")
        )
    )


def load_policy(name_or_path: str | Path) -> Policy:
    """Read a policy that ships, by its name, or a file.

    Raises:
        PolicyError: If there is none, or it is wrong.
    """
    given = str(name_or_path)
    shipped = shipped_policies()
    if given in shipped:
        item = resources.files("aggregator").joinpath(_FOLDER, f"{given}.yaml")
        return Policy.from_text(item.read_text(encoding="utf-8"), f"{given}.yaml")
    path = Path(given)
    try:
        data = path.read_bytes()
    except OSError as error:
        if path.suffix or "/" in given:
            msg = f"cannot read the policy {given}: {error.strerror or error}"
        else:
            ships = ", ".join(shipped)
            msg = f"no policy is named {given}{did_you_mean(given, shipped)} (there are: {ships})"
        raise PolicyError(msg) from None
    if len(data) > MAX_POLICY_BYTES:
        msg = f"the policy has {len(data):,} bytes; the limit is {MAX_POLICY_BYTES:,}"
        raise PolicyError(msg, file=given)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        msg = "the policy is not valid UTF-8"
        raise PolicyError(msg, file=given, line=line) from None
    return Policy.from_text(text, given)


@lru_cache(maxsize=256)
def _read(text: str, file: str | None) -> Policy:
    tree = _tree(text, file)
    try:
        written = PolicyText.model_validate(json.loads(json.dumps(tree)))
    except ValidationError as error:
        raise _shape_error(error, tree, file) from None
    except (TypeError, ValueError) as error:
        msg = f"the policy holds a value that YAML reads as no number, text or list: {error}"
        raise PolicyError(msg, file=file) from None
    reader = _Reader(tree, file, written)
    detectors = {name: reader.detector(name, said) for name, said in written.detectors.items()}
    rules = tuple(reader.rule(index, said) for index, said in enumerate(written.rules))
    reader.check_names(rules)
    canonical = json.dumps(
        written.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, separators=(",", ":")
    )
    return Policy(
        name=written.name,
        version=f"{written.name}@{digest('policy', canonical)[:16]}",
        text=text,
        file=file,
        deadline=written.deadline,
        retention=written.retention,
        orphan_wait=written.orphan_wait,
        quorum=reader.quorum(),
        detectors=MappingProxyType(detectors),
        rules=rules,
    )


def _tree(text: str, file: str | None) -> CommentedMap:
    if len(text) > MAX_POLICY_BYTES:
        msg = f"the policy has {len(text):,} characters; the limit is {MAX_POLICY_BYTES:,}"
        raise PolicyError(msg, file=file)
    if re.search(r"(?m)(^|[\s,\[{:-])[&*][\w]", re.sub(r"\"[^\"\n]*\"|'[^'\n]*'|#.*", "", text)):
        aliases = _aliases(text)
        if aliases is not None:
            msg = "anchors and aliases (& and *) are not taken; write the value out"
            raise PolicyError(msg, file=file, line=aliases[0], column=aliases[1])
    try:
        tree = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        problem = (error.problem or "").split("\n", 1)[0]
        msg = f"not valid YAML: {problem}"
        raise PolicyError(
            msg,
            file=file,
            line=mark.line + 1 if mark else None,
            column=mark.column + 1 if mark else None,
        ) from None
    except (YAMLError, RecursionError, ValueError) as error:
        msg = f"not valid YAML: {str(error).splitlines()[0] if str(error) else 'nested too deeply'}"
        raise PolicyError(msg, file=file) from None
    if not isinstance(tree, CommentedMap):
        msg = "a policy is a mapping with `name`, `detectors` and `rules`"
        raise PolicyError(msg, file=file, line=1, column=1)
    return tree


def _aliases(text: str) -> tuple[int, int] | None:
    """Where the first anchor or alias stands; they can make a small file a huge value."""
    from ruamel.yaml.tokens import AliasToken, AnchorToken

    try:
        for token in YAML(typ="rt").scan(text):
            if isinstance(token, AliasToken | AnchorToken):
                return token.start_mark.line + 1, token.start_mark.column + 1
    except YAMLError:
        return None
    return None


def _place(tree: Any, path: tuple[int | str, ...]) -> tuple[int | None, int | None]:
    """Line and column, from 1, of the deepest part of a path that the file holds."""
    line: int | None = None
    column: int | None = None
    node = tree
    for part in path:
        try:
            if isinstance(node, CommentedMap) and part in node:
                line, column = node.lc.key(part)
            elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
                line, column = node.lc.item(part)
            else:
                break
        except (KeyError, TypeError, IndexError, AttributeError):
            break
        node = node[part]
    if line is None or column is None:
        return None, None
    return line + 1, column + 1


def _shape_error(error: ValidationError, tree: CommentedMap, file: str | None) -> PolicyError:
    first = error.errors(include_url=False, include_input=False)[0]
    path = tuple(first["loc"])
    kind = first["type"]
    name = str(path[-1]) if path else "policy"
    if kind == "extra_forbidden":
        known = _known_keys(path)
        help_text = did_you_mean(name, known) or f" (there are: {', '.join(known)})"
        message = f"`{name}` is unknown here{help_text}"
    elif kind == "missing":
        message = f"`{name}` is lacking"
    elif kind == "value_error":
        message = first["msg"].removeprefix("Value error, ")
    else:
        dotted = ".".join(str(part) for part in path if part not in ("float", "str"))
        message = f"`{dotted}`: {first['msg'][0].lower()}{first['msg'][1:]}"
    line, column = _place(tree, path)
    return PolicyError(message, file=file, line=line, column=column)


def _known_keys(path: tuple[int | str, ...]) -> list[str]:
    if len(path) >= 3 and path[0] == "detectors":
        return list(DetectorText.model_fields)
    if len(path) >= 3 and path[0] == "rules":
        return list(RuleText.model_fields)
    return list(PolicyText.model_fields)


class _Reader:
    """Turns what is written into what is meant, and says where it cannot."""

    def __init__(self, tree: CommentedMap, file: str | None, written: PolicyText) -> None:
        self._tree = tree
        self._file = file
        self._written = written

    def _error(self, message: str, *path: int | str) -> PolicyError:
        line, column = _place(self._tree, path)
        return PolicyError(message, file=self._file, line=line, column=column)

    def detector(self, name: str, said: DetectorText) -> DetectorPolicy:
        if "/" in name or not name.strip() or '"' in name:
            msg = f"`{name}` cannot name a detector"
            raise self._error(msg, "detectors", name)
        default: str | float = "review" if said.required else "ignore"
        if said.required:
            for status in ("missing", "failed"):
                if getattr(said, status) == "ignore":
                    msg = (
                        f"`{name}` is required, so `{status}` cannot be `ignore`; "
                        "make it review, restrict or a score, or set `required: false`"
                    )
                    raise self._error(msg, "detectors", name, status)
        deadline = said.deadline if said.deadline is not None else self._written.deadline
        if deadline > self._written.deadline:
            msg = (
                f"the deadline of `{name}` ({deadline:g} s) is later than the policy's "
                f"({self._written.deadline:g} s)"
            )
            raise self._error(msg, "detectors", name, "deadline")
        return DetectorPolicy(
            name=name,
            required=said.required,
            deadline=deadline,
            missing=_meaning(said.missing if said.missing is not None else default),
            failed=_meaning(said.failed if said.failed is not None else default),
            abstained=_meaning(said.abstained if said.abstained is not None else "ignore"),
            shadow=said.shadow,
        )

    def rule(self, index: int, said: RuleText) -> Rule:
        try:
            when = parse(said.when)
        except ExpressionError as error:
            raise self._condition_error(index, error) from None
        known = [name for name, one in self._written.detectors.items() if not one.shadow]
        for read in when.reads:
            if read.detector in known or (said.shadow and read.detector in self._written.detectors):
                continue
            if read.detector in self._written.detectors:
                msg = (
                    f"the detector `{read.detector}` runs in shadow; only a shadow rule may ask it"
                )
            else:
                help_text = did_you_mean(read.detector, known)
                msg = f"the detector `{read.detector}` is unknown{help_text}"
                if not help_text:
                    msg += "; name it under `detectors`"
            raise self._condition_error(index, ExpressionError(msg, *_spot(said.when, read.name)))
        for name in _PLACEHOLDER.findall(said.reason):
            if name.split("/", 1)[0] not in self._written.detectors:
                help_text = did_you_mean(name, list(self._written.detectors))
                msg = f"`{{{name}}}` in the reason is no detector{help_text}"
                raise self._error(msg, "rules", index, "reason")
        return Rule(said.name, when, said.action, said.category, said.reason, said.shadow)

    def _condition_error(self, index: int, error: ExpressionError) -> PolicyError:
        message = f"rule `{self._written.rules[index].name}`: {error.message}"
        node = self._tree["rules"][index]
        try:
            line, column = node.lc.value("when")
        except (KeyError, AttributeError):
            return self._error(message, "rules", index)
        lines = self._written.rules[index].when
        in_place = "\n" not in lines.rstrip("\n") and type(node["when"]) is str
        if in_place and error.line == 1 and error.column is not None:
            column += error.column - 1
        return PolicyError(message, file=self._file, line=line + 1, column=column + 1)

    def check_names(self, rules: tuple[Rule, ...]) -> None:
        seen: dict[str, int] = {}
        for index, rule in enumerate(rules):
            if rule.name in seen:
                msg = f"two rules are named `{rule.name}`"
                raise self._error(msg, "rules", index, "name")
            seen[rule.name] = index

    def quorum(self) -> int:
        live = sum(not said.shadow for said in self._written.detectors.values())
        wanted = self._written.quorum
        if wanted > live:
            msg = f"a quorum of {wanted} cannot be met by {live} detectors"
            raise self._error(msg, "quorum")
        return wanted


def _spot(condition: str, name: str) -> tuple[int | None, int | None]:
    at = condition.find(name)
    if at < 0:
        return None, None
    return condition.count("\n", 0, at) + 1, at - (condition.rfind("\n", 0, at) + 1) + 1


def _meaning(said: str | float) -> Meaning:
    if isinstance(said, str):
        return None if said == "ignore" else Action(said)
    return float(said)
