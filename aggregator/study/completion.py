"""What may come next at a place in a policy's text: keys, values, and names in conditions.

All words are those that the checker knows: keys and values are read from the policy's JSON Schema,
functions and fields from the conditions' vocabulary, and names from the text itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from quorum.aggregator.policy.categories import DSA_CATEGORIES, SHIPPED_CATEGORIES
from quorum.aggregator.policy.expression import METHODS, READS, VARIABLES
from quorum.aggregator.policy.features import KEYS
from quorum.aggregator.policy.fields import HISTORY_FIELDS, UPLOAD_FIELDS
from quorum.aggregator.policy.territories import GROUPS
from quorum.aggregator.policy.text import policy_schema
from quorum.aggregator.policy.tree import read_tree
from quorum.core.errors import PolicyError
from quorum.core.territories import TERRITORIES

__all__ = ["Completion", "Completions", "complete"]

#: The most words that are offered.
_MOST: Final = 60
#: Characters of a line, or of a condition, that are looked at.
_MOST_LINE: Final = 2000

_STATUSES: Final = ("scored", "abstained", "failed", "missing")
#: What a function of a condition asks, for people.
_MEANS: Final[Mapping[str, str]] = {
    "score": "the detector's calibrated probability",
    "label": "the probability of a label",
    "status": "scored, abstained, failed or missing",
    "combined": "a combiner's probability",
    "seen": "the share of the media that was looked at",
    "feature": "a feature over time",
    "upload": "the event, such as upload.tags",
    "uploader": "its past verdicts, such as uploader.strikes",
    "lists": "the policy's own lists",
    "predictions": "all predictions, by detector",
    "missing": "detectors without a prediction",
}


@dataclass(frozen=True, slots=True)
class Completion:
    """One word that may come.

    Attributes:
        text: What is written.
        told: What it means, for people; empty where the word says it.
    """

    text: str
    told: str = ""


@dataclass(frozen=True, slots=True)
class Completions:
    """What may come at a place.

    Attributes:
        start: The offset from which on the text is replaced.
        items: The words, the likeliest first.
    """

    start: int
    items: tuple[Completion, ...]


def complete(text: str, at: int, known: str = "") -> Completions:
    """What may come at an offset of a policy's text, which need not be valid.

    Args:
        text: The text, as far as it is written.
        at: The offset, in characters.
        known: Another policy's text, whose detectors and labels are offered as well.
    """
    at = max(0, min(at, len(text)))
    if at - (text.rfind("\n", 0, at) + 1) > _MOST_LINE:
        return Completions(at, ())
    place = _Place(text[:at], text, known)
    start, items = place.offered()
    typed = text[start:at].lower()
    fitting = [one for one in items if one.text.lower().startswith(typed) and one.text != typed]
    inside = [one for one in items if typed and typed in one.text.lower() and one not in fitting]
    return Completions(start, tuple([*fitting, *inside][:_MOST]))


class _Place:
    """A place in a text, with what stands before it."""

    def __init__(self, before: str, text: str, known: str) -> None:
        self._at = len(before)
        self._lines = before.split("\n")
        self._line = self._lines[-1]
        self._text = text
        self._known = known

    def offered(self) -> tuple[int, list[Completion]]:
        """From where on the text is replaced, and by what."""
        condition = self._condition()
        if condition is not None:
            return self._in_condition(condition)
        reason = re.match(r"\s*(?:- )?reason:.*\{([\w/-]*)$", self._line)
        if reason is not None:
            names = self._names("detectors", "combiners")
            return self._from(reason[1], _plain([*names, *self._labels()]))
        flow = self._flow()
        if flow is not None:
            path, key, typed = flow
            return self._from(typed, self._values(path, key) if key else self._keys(path))
        parents = self._parents()
        value = re.match(r"\s*(?:- )?(?:\"([^\"]*)\"|([\w.-]+)):\s+(\S*)$", self._line)
        if value is not None:
            return self._from(value[3], self._values(parents, value[1] or value[2]))
        item = re.match(r"\s*- (\S*)$", self._line)
        if item is not None:
            listed = self._values((*parents[:-1],), str(parents[-1])) if parents else []
            return self._from(item[1], listed or self._keys((*parents, 0)))
        key_typed = re.match(r"\s*([\w-]*)$", self._line)
        if key_typed is not None:
            return self._from(key_typed[1], self._keys(parents))
        return self._at, []

    def _from(self, typed: str, items: list[Completion]) -> tuple[int, list[Completion]]:
        return self._at - len(typed), items

    # Conditions

    def _condition(self) -> str | None:
        """The condition that the place is in, as far as it is written; None elsewhere."""
        here = re.match(r"\s*(?:- )?(?:when|unless):\s+([^|>].*)$", self._line)
        if here is not None:
            return here[1]
        if re.match(r"\s*(?:- )?(?:when|unless):\s*$", self._line):
            return "" if self._line.endswith(" ") else None
        depth = _indent(self._line)
        for number in range(len(self._lines) - 2, -1, -1):
            line = self._lines[number]
            if not line.strip() or (_indent(line) >= depth and depth > 0):
                continue
            if re.match(r"\s*(?:- )?(?:when|unless):\s*[|>]", line):
                return "\n".join(self._lines[number + 1 :])[-_MOST_LINE:]
            return None
        return None

    def _in_condition(self, written: str) -> tuple[int, list[Completion]]:
        asked = re.search(r"(\w+)\(\s*\"([^\"\n]*)$", written)
        if asked is not None and asked[1] in READS:
            return self._from(asked[2], _plain(self._asked(asked[1])))
        status = re.search(r"status\(\"[^\"]*\"\)\s*[=!]=\s*\"(\w*)$", written)
        if status is not None:
            return self._from(status[1], _plain(_STATUSES))
        if len(re.findall(r'"', written)) % 2:
            return self._at, []
        field = re.search(r"(\w+)\.(\w*)$", written)
        if field is not None:
            return self._from(field[2], _plain(self._fields(field[1])))
        word = re.search(r"([A-Za-z_]\w*)?$", written)
        typed = word[0] if word is not None else ""
        items = [Completion(f'{name}("', _MEANS[name]) for name in READS]
        items += [Completion(name, _MEANS[name]) for name in VARIABLES]
        items += [Completion("has(", "whether the upload has a field"), *_plain(("true", "false"))]
        return self._from(typed, items)

    def _asked(self, function: str) -> list[str]:
        """The names that a function may ask for."""
        detectors = self._names("detectors")
        if function == "feature":
            return self._names("features")
        if function == "combined":
            return self._names("combiners")
        return [*self._labels(), *detectors] if function == "label" else detectors

    def _fields(self, of: str) -> Sequence[str]:
        if of == "upload":
            return [*UPLOAD_FIELDS, *self._names("fields")]
        if of == "uploader":
            return HISTORY_FIELDS
        return self._names("lists") if of == "lists" else METHODS

    def _labels(self) -> list[str]:
        found = re.findall(r"(?:label\(\s*\"|\{)([\w-]+/[\w/-]+)[\"}]", self._text + self._known)
        return sorted(set(found))

    # Keys and values

    def _parents(self) -> tuple[str | int, ...]:
        """The keys that the line stands under; a rule counts as an item of a list."""
        depth = _indent(self._line) + (2 if self._line.lstrip().startswith("- ") else 0)
        if self._line.lstrip().startswith("-"):
            depth = max(depth, _indent(self._line) + 2)
        path: list[str | int] = []
        own = self._line.lstrip().startswith("-") and ":" in self._line
        if own:
            path.append(0)
            depth -= 2
        for line in reversed(self._lines[:-1]):
            bare = line.lstrip()
            if not bare or bare.startswith("#"):
                continue
            at = _indent(line)
            if bare.startswith("- ") and at + 2 == depth and path[:1] != [0]:
                path.insert(0, 0)
                depth = at + 1
            key = re.match(r"(?:- )?(?:\"([^\"]*)\"|([\w.-]+)):", bare)
            at += 2 if bare.startswith("- ") else 0
            if key is not None and at < depth:
                path.insert(0, key[1] or key[2])
                if bare.startswith("- "):
                    path.insert(0, 0)
                    at -= 2
                depth = at + (1 if path[:1] == [0] else 0)
            if depth <= 0:
                break
        return tuple(path)

    def _flow(self) -> tuple[tuple[str | int, ...], str, str] | None:
        """The path, the key and the word in brackets on one line; None outside of brackets."""
        line = re.sub(r"\"[^\"]*\"|'[^']*'", lambda found: "x" * len(found[0]), self._line)
        path: list[str | int] = []
        keys: list[str] = []
        key = ""
        opened = False
        for found in re.finditer(r"(?:- )?([\w.-]+):(?=\s|$|[\[{])|([\[{\]},])", line):
            if found[1]:
                key = self._line[found.start(1) : found.end(1)]
            elif found[2] in "[{":
                keys.append(key)
                path.append(key)
                key = key if found[2] == "[" else ""
                opened = True
            elif found[2] in "]}":
                if not keys:
                    return None
                keys.pop()
                path.pop()
                key = ""
            else:
                key = (
                    ""
                    if line[: found.start()].rfind("{") > line.rfind("[", 0, found.start())
                    else key
                )
        if not opened or not path:
            return None
        typed = re.search(r"[\w./-]*$", self._line)
        word = typed[0] if typed is not None else ""
        whole = (*self._parents(), *path)
        if self._line.rstrip().endswith(":") and not self._line.endswith(" "):
            return None
        if key and whole and key == whole[-1]:
            return whole[:-1], key, word
        return whole, key, word

    def _keys(self, path: Sequence[str | int]) -> list[Completion]:
        found = [Completion(f"{key}: ", told) for key, told in _schema_keys(tuple(path))]
        if tuple(path) == ("detectors",):
            found += [Completion(f"{name}: ") for name in self._names("detectors")]
        if path and path[-1] in ("weights", "absent"):
            found += [Completion(f"{name}: ") for name in self._names("detectors")]
        if path and path[-1] == "rules" and path[0] == "caps":
            found += [Completion(f"{name}: ") for name in self._rules()]
        return found

    def _values(self, path: Sequence[str | int], key: str) -> list[Completion]:
        if key == "category":
            own = self._names("categories")
            known = [Completion(name, one.reference) for name, one in SHIPPED_CATEGORIES.items()]
            return [*_plain(own), *known]
        if key == "dsa":
            return _plain(DSA_CATEGORIES)
        if key == "territories" or path[:1] == ("groups",):
            return _plain([*self._names("groups"), *GROUPS, *sorted(TERRITORIES)])
        if key in ("by", "of") and path[:1] == ("features",):
            return _plain([*KEYS, *self._names("fields")])
        return _plain(_schema_values((*path, key)))

    def _rules(self) -> list[str]:
        found = re.findall(r"(?m)^ *- name:([^\n#]*)", self._text)
        return list(dict.fromkeys(name.strip() for name in found if name.strip()))

    def _names(self, *sections: str) -> list[str]:
        """The names that a section of the text defines; of detectors, the known ones as well."""
        found: dict[str, None] = {}
        for section in sections:
            found |= dict.fromkeys(_defined(self._text, section))
            if section == "detectors":
                found |= dict.fromkeys(_defined(self._known, section))
        return list(found)


def _plain(words: Iterable[str]) -> list[Completion]:
    return [Completion(word) for word in words]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


@lru_cache(maxsize=64)
def _defined(text: str, section: str) -> tuple[str, ...]:
    """The names in a section of a text; by its lines where it is no YAML, as while one types."""
    try:
        entry = read_tree(text, None).get(section)
        if isinstance(entry, Mapping):
            return tuple(str(name) for name in entry)
    except PolicyError:
        pass
    found: list[str] = []
    inside, depth = False, 0
    for line in text.split("\n"):
        if re.match(r"\S", line):
            inside = line.startswith(f"{section}:")
            if inside:
                found += re.findall(r"[{,]\s*([\w.-]+):", line)
            depth = 0
            continue
        name = re.match(r"\s+([\w.-]+):", line)
        if inside and name is not None and _indent(line) <= (depth or _indent(line)):
            depth = _indent(line)
            found.append(name[1])
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=1)
def _schema() -> Mapping[str, Any]:
    return policy_schema()


def _nodes(path: Sequence[str | int]) -> Iterator[Mapping[str, Any]]:
    """The parts of the schema that may stand at a path."""
    found = list(_forms(_schema()))
    for part in path:
        below: list[Mapping[str, Any]] = []
        for node in found:
            if isinstance(part, int):
                below += _forms(node.get("items") or {})
            elif part in node.get("properties", {}):
                below += _forms(node["properties"][part])
            elif isinstance(node.get("additionalProperties"), Mapping):
                below += _forms(node["additionalProperties"])
            elif isinstance(node.get("patternProperties"), Mapping):
                for one in node["patternProperties"].values():
                    below += _forms(one)
        found = below
    yield from found


def _forms(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "$ref" in node:
        yield from _forms(_schema()["$defs"][node["$ref"].rsplit("/", 1)[1]])
        return
    yield node
    for one in node.get("anyOf", ()):
        yield from _forms(one)


@lru_cache(maxsize=256)
def _schema_keys(path: tuple[str | int, ...]) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for node in _nodes(path):
        for key, one in node.get("properties", {}).items():
            found.setdefault(key, one.get("description", ""))
    return tuple(found.items())


@lru_cache(maxsize=256)
def _schema_values(path: tuple[str | int, ...]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for node in _nodes(path):
        if "const" in node:
            found[str(node["const"])] = None
        found |= dict.fromkeys(str(one) for one in node.get("enum", ()))
        if node.get("type") == "boolean":
            found |= {"true": None, "false": None}
        if node.get("type") == "array":
            found |= dict.fromkeys(_enum_of(node.get("items") or {}))
    return tuple(found)


def _enum_of(items: Mapping[str, Any]) -> Iterator[str]:
    for node in _forms(items):
        yield from (str(one) for one in node.get("enum", ()))
