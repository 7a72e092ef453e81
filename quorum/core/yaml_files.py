"""YAML files that people write: read with an error that names the file and the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from quorum.core.errors import ConfigurationError

__all__ = ["line_of", "read_model", "read_yaml", "tree_of"]

M = TypeVar("M", bound=BaseModel)


def read_yaml(path: Path, unreadable: str) -> tuple[Any, str]:
    """Read a YAML file.

    Args:
        path: The file.
        unreadable: What the error says of a file that cannot be read, before the reason.

    Returns:
        What it holds, and its text, of which ``tree_of`` tells the lines.

    Raises:
        ConfigurationError: If it cannot be read, or is not YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return YAML(typ="safe", pure=True).load(text), text
    except OSError as error:
        msg = f"{unreadable}: {error.strerror or error}"
        raise ConfigurationError(msg) from None
    except UnicodeDecodeError as error:
        msg = f"{path}: not valid UTF-8 at byte {error.start}; save it as UTF-8"
        raise ConfigurationError(msg) from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = " ".join((error.problem or "cannot be read").split())
        msg = f"{path}:{line}: not valid YAML: {problem}"
        raise ConfigurationError(msg) from None
    except (YAMLError, RecursionError, ValueError) as error:
        msg = f"{path}: not valid YAML: {' '.join(str(error).split())}"
        raise ConfigurationError(msg) from None


def tree_of(text: str) -> Node:
    """The nodes of YAML that ``read_yaml`` has read, with their lines."""
    found: Node = YAML(typ="safe", pure=True).compose(text)
    return found


def read_model(model: type[M], path: Path, unreadable: str) -> tuple[M, Node]:
    """Read a YAML file as a model.

    An error of the model that names a part of a text in its context, as ``at``, is told with the
    line of that part.

    Args:
        model: What the file has.
        path: The file.
        unreadable: See ``read_yaml``.

    Returns:
        The model, and the file's nodes, of which ``line_of`` tells the lines.

    Raises:
        ConfigurationError: If it cannot be read, or has what the model refuses; the text names the
            file, the line and what is wrong.
    """
    data, text = read_yaml(path, unreadable)
    tree = tree_of(text)
    try:
        return model.model_validate({} if data is None else data), tree
    except ValidationError as error:
        lines = text.splitlines()
        msg = "; ".join(
            f"{path}:{_line(item, tree, lines)}: "
            f"{'.'.join(str(part) for part in item['loc'])}: "
            f"{item['msg'].removeprefix('Value error, ')}".replace(": :", ":")
            for item in error.errors(include_url=False, include_input=False)
        )
        raise ConfigurationError(msg) from None


def _line(item: ErrorDetails, tree: Node, lines: list[str]) -> int:
    """The line of an error: of the part that it names, or of the setting."""
    first = line_of(tree, item["loc"])
    part = str(item.get("ctx", {}).get("at", "")).split("\n", 1)[0]
    if part:
        for number, line in enumerate(lines[first - 1 :], first):
            if part in line:
                return number
    return first


def line_of(node: Node, path: tuple[int | str, ...]) -> int:
    """The line, from 1, of the deepest part of a path that the file holds."""
    line: int = node.start_mark.line + 1
    for part in path:
        # A part may be the name of a type instead, where a setting has several.
        if isinstance(node, MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, node = key.start_mark.line + 1, value
                    break
        elif isinstance(node, SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line
