"""A policy's YAML as a tree with line numbers; anchors, aliases and tags are refused."""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from quorum.aggregator.policy.expression import did_you_mean
from quorum.aggregator.policy.text import SECTIONS, PolicyText
from quorum.core.errors import PolicyError

__all__ = ["MAX_POLICY_BYTES", "place", "read_tree", "shape_error"]

#: A larger file is a mistake, or an attack on the parser.
MAX_POLICY_BYTES: Final = 256 * 1024
#: Nested brackets that a policy may have.
MAX_NESTING: Final = 64


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


def _aliases(text: str) -> tuple[int, int] | None:
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


def shape_error(error: ValidationError, tree: CommentedMap, file: str | None) -> PolicyError:
    """The error for the first value that the schema refuses, with its place."""
    first = error.errors(include_url=False, include_input=False)[0]
    path = tuple(first["loc"])
    kind = first["type"]
    name = str(path[-1]) if path else "policy"
    if kind == "extra_forbidden":
        known = _known_keys(path)
        help_text = did_you_mean(name, known) or f" (there are: {', '.join(known)})"
        message = f"`{name}` is unknown here{help_text}"
    elif kind == "missing":
        message = f"`{name}` is required"
    elif kind == "value_error":
        message = first["msg"].removeprefix("Value error, ")
    else:
        dotted = ".".join(str(part) for part in path if part not in ("float", "str"))
        message = f"`{dotted}`: {first['msg'][0].lower()}{first['msg'][1:]}"
    line, column = place(tree, path)
    return PolicyError(message, file=file, line=line, column=column)


def _known_keys(path: tuple[int | str, ...]) -> list[str]:
    section = SECTIONS.get(str(path[0])) if len(path) > 1 else PolicyText
    return list((section or PolicyText).model_fields)
