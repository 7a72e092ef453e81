"""Templates of texts that people write: names in braces are replaced, and nothing is executed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["code_in", "filled_in", "unknown_field"]

#: A name in single braces; what is in double braces, or has more than a name, is no field.
_FIELD: Final = re.compile(r"(?<!\{)\{([a-z_]+)\}(?!\})")

#: What languages of templates and pages would run: expressions, statements, tags, stray braces.
_CODE: Final = re.compile(
    r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|\$?\{[^{}\n]*\}|<%.*?%>|<\?[^>\n]*>?|</?[A-Za-z!][^>\n]*>?"
    r"|[{}]",
    re.DOTALL,
)


def unknown_field(text: str, known: Collection[str]) -> str | None:
    """The first field of a template that is none of the known ones; None if there is none."""
    return next((name for name in _FIELD.findall(text) if name not in known), None)


def code_in(text: str) -> str | None:
    """The first part of a template that is neither words nor a field, such as ``{{ 7*7 }}``."""
    found = _CODE.search(re.sub(rf"(?<!\$){_FIELD.pattern}", "", text))
    return None if found is None else found[0]


@dataclass(frozen=True, slots=True)
class _Values:
    values: Mapping[str, str]

    def __call__(self, match: re.Match[str]) -> str:
        return self.values.get(match[1], match[0])


def filled_in(text: str, values: Mapping[str, str]) -> str:
    """A template with its fields replaced; all else stays as it is.

    It is one pass: what a value has in braces is no field.
    """
    return _FIELD.sub(_Values(values), text).replace("\x00", "\ufffd").strip()
