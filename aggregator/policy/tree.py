"""A policy's YAML as a tree with line numbers; anchors, aliases and tags are refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import StringIO
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from quorum.aggregator.policy.expression import did_you_mean
from quorum.aggregator.policy.text import SECTIONS, PolicyText
from quorum.core.errors import PolicyError

__all__ = [
    "MAX_POLICY_BYTES",
    "first_alias",
    "place",
    "read_tree",
    "shape_errors",
    "without_mistakes",
    "write_tree",
]

#: A larger file is a mistake, or an attack on the parser.
MAX_POLICY_BYTES: Final = 256 * 1024
#: Nested brackets that a policy may have.
MAX_NESTING: Final = 64
#: How often refused values are dropped before the rest is given up.
MAX_ROUNDS: Final = 5

#: How pydantic names the types that it tries for one value.
_TRIED: Final = re.compile(r"(float|str|literal\[.*\]|constrained-.*|function-.*)$")

#: What stands for a refused entry, so that its name stays known.
_ENTRIES: Final[Mapping[str, Any]] = {
    "detectors": {},
    "fields": "number",
    "lists": [],
    "groups": ["DE"],
}
#: What stands for a refused value that the schema needs, by section.
_REQUIRED: Final[Mapping[str, Mapping[str, Any]]] = {
    "": {"name": "policy", "deadline": 1e8},
    "rules": {"name": "rule {at}", "when": "true", "action": "remove", "reason": "-"},
    "categories": {"dsa": "violence"},
    "combiners": {"bias": 0.0},
}


def read_tree(text: str, file: str | None) -> CommentedMap:
    """Parse the YAML, with the line and column of each node.

    Raises:
        PolicyError: If it is not YAML, or not a mapping.
    """
    if len(text) > MAX_POLICY_BYTES:
        msg = f"the policy has {len(text):,} characters; the limit is {MAX_POLICY_BYTES:,}"
        raise PolicyError(msg, file=file)
    _check_nesting(text, file)
    if re.search(r"(?m)(^|[\s,\[{:-])[&*][\w]", re.sub(r"\"[^\"\n]*\"|'[^'\n]*'|#.*", "", text)):
        aliases = first_alias(text)
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


def write_tree(tree: CommentedMap) -> str:
    """The YAML of a part of a tree, as a text of its own."""
    written, yaml = StringIO(), YAML(typ="rt")
    yaml.width = MAX_POLICY_BYTES
    yaml.dump(tree, written)
    return written.getvalue()


def _check_nesting(text: str, file: str | None) -> None:
    """Refuse deeply nested brackets, on which the parser is slow."""
    depth = 0
    for number, line in enumerate(text.splitlines(), start=1):
        for character in line:
            if character in "[{":
                depth += 1
            elif character in "]}":
                depth = max(0, depth - 1)
        if depth > MAX_NESTING:
            msg = f"brackets are nested more than {MAX_NESTING} deep"
            raise PolicyError(msg, file=file, line=number)


def first_alias(text: str) -> tuple[int, int] | None:
    """The place of the first anchor or alias; they can expand a small file to a huge value."""
    from ruamel.yaml.tokens import AliasToken, AnchorToken

    try:
        for token in YAML(typ="rt").scan(text):
            if isinstance(token, AliasToken | AnchorToken):
                return token.start_mark.line + 1, token.start_mark.column + 1
    except YAMLError:
        return None
    return None


def place(tree: Any, path: tuple[int | str, ...]) -> tuple[int | None, int | None]:
    """Line and column, from 1, of the deepest node of a path that exists."""
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


def shape_errors(error: ValidationError, tree: CommentedMap, file: str | None) -> list[PolicyError]:
    """An error for each value that the schema refuses, with its place."""
    return [_shape_error(each, tree, file) for each in _chosen(error)]


def _chosen(error: ValidationError) -> list[ErrorDetails]:
    """The errors, one for each value: pydantic tells one for each type that it may be of."""
    found: dict[tuple[int | str, ...], ErrorDetails] = {}
    for each in error.errors(include_url=False, include_input=False):
        first = found.setdefault(_path(each), each)
        if first["type"].startswith("float_") and each["type"] == "literal_error":
            first["msg"] = each["msg"].replace("should be", "should be a score from 0 to 1, or")
    return list(found.values())


def _path(error: ErrorDetails) -> tuple[int | str, ...]:
    """The keys to a value, without the types that pydantic tried for it."""
    path = tuple(error["loc"])
    while path and isinstance(path[-1], str) and _TRIED.match(path[-1]):
        path = path[:-1]
    return path


def _shape_error(each: ErrorDetails, tree: CommentedMap, file: str | None) -> PolicyError:
    path, kind = _path(each), each["type"]
    name = str(path[-1]) if path else "policy"
    if kind == "extra_forbidden":
        known = _known_keys(path)
        help_text = did_you_mean(name, known) or f" (there are: {', '.join(known)})"
        message = f"`{name}` is unknown here{help_text}"
    elif kind == "missing":
        message = f"`{name}` is required"
    elif kind == "value_error":
        message = each["msg"].removeprefix("Value error, ")
    else:
        dotted = ".".join(str(part) for part in path)
        message = f"`{dotted}`: {each['msg'][0].lower()}{each['msg'][1:]}"
    line, column = place(tree, path)
    return PolicyError(message, file=file, line=line, column=column)


def _known_keys(path: tuple[int | str, ...]) -> list[str]:
    if path[-2:-1] == ("account",):
        return ["action", "for", "reason", "automatic"]
    section = SECTIONS.get(str(path[0])) if len(path) > 1 else PolicyText
    return list((section or PolicyText).model_fields)


def without_mistakes(values: dict[str, Any], error: ValidationError) -> PolicyText | None:
    """The policy without the values that the schema refuses, so that the rest can be checked.

    Args:
        values: The policy; its refused values are dropped, or replaced where one is required.
        error: What the schema refuses.

    Returns:
        The rest; None where too little is left to check.
    """
    for _ in range(MAX_ROUNDS):
        for each in reversed(_chosen(error)):
            if not _drop(values, _path(each), missing=each["type"] == "missing"):
                return None
        try:
            return PolicyText.model_validate(values)
        except ValidationError as again:
            error = again
    return None


def _drop(values: Any, path: tuple[int | str, ...], *, missing: bool) -> bool:
    """Drop one value, or put a harmless one where the schema needs one."""
    if not path or path == ("detectors",):
        return False
    node: Any = values
    try:
        for part in path[:-1]:
            node = node[part]
    except (KeyError, IndexError, TypeError):
        return False
    last = path[-1]
    if isinstance(node, list) and isinstance(last, int) and last < len(node):
        if path[0] != "rules" or len(path) != 2:
            del node[last]
            return True
        node[last] = {}
        return True
    if not isinstance(node, dict):
        return False
    if path[0] in _ENTRIES and len(path) == 2:
        node[last] = _ENTRIES[str(path[0])]
        return True
    if path[0] == "combiners" and path[2:3] == ("weights",) and len(path) == 4:
        node[last] = 0.0
        return True
    required = _REQUIRED.get(str(path[0]) if len(path) > 1 else "", {})
    if last in required and (missing or last in node):
        at = path[1] if len(path) > 1 else ""
        node[last] = required[str(last)].format(at=at) if last == "name" else required[str(last)]
        return True
    if missing:
        return _drop(values, path[:-1], missing=False)
    node.pop(last, None)
    return True
