"""Compiled conditions, and their evaluation to true, false, unknown or an error.

The value of each read, and the uploader's history, is a variable that is undefined if the value is
absent. For an undefined variable CEL raises a ``RuntimeError`` that names it in its text alone, as
it does for a failed function. The condition is then evaluated again with these values as keys of a
map: for an absent key CEL raises a ``KeyError`` whose argument is the key.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final, Literal

import cel

from quorum.aggregator.policy.zones import ZONED, ZONED_PREFIX

__all__ = [
    "HISTORY",
    "READ_PREFIX",
    "UNKNOWN_HISTORY",
    "Context",
    "Outcome",
    "Program",
    "evaluate",
]

#: Begins the name of each read. It is random, so that no key from an upload is taken for a read.
READ_PREFIX: Final = f"q_{secrets.token_hex(8)}_"
#: The name of the uploader's history.
HISTORY: Final = f"{READ_PREFIX}uploader"

#: Why a rule that reads the uploader's history could not be evaluated.
UNKNOWN_HISTORY: Final = "the uploader's history is not known"

_MAP: Final = "q_map"
_FUNCTIONS: Final = dict(ZONED)
_NAME: Final = re.compile(rf"\b{READ_PREFIX}\w+")

Outcome = Literal["true", "false", "unknown", "error"]


class Program:
    """A compiled condition.

    Args:
        compiled: ``Expression.compiled``.
    """

    def __init__(self, compiled: str) -> None:
        self._compiled = compiled
        self.flat = cel.compile(compiled)
        #: Whether it calls a function with a time zone.
        self.zoned = ZONED_PREFIX in compiled

    @cached_property
    def keyed(self) -> cel.Program:
        """The same condition with the values that may be absent as keys of a map."""
        return cel.compile(_NAME.sub(rf"{_MAP}.\g<0>", self._compiled))


class Context:
    """The values of an evaluation.

    Args:
        values: By name: ``Read.variable``, or one of the variables of conditions.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {HISTORY if key == "uploader" else key: one for key, one in values.items()}
        self.flat = cel.Context(variables=self._values)

    @cached_property
    def zoned(self) -> cel.Context:
        """The same values, with the functions that know time zones; they take time to add."""
        return cel.Context(variables=self._values, functions=_FUNCTIONS)

    @cached_property
    def keyed(self) -> cel.Context:
        """The same values, with those that may be absent in a map."""
        known = {key: one for key, one in self._values.items() if key.startswith(READ_PREFIX)}
        return cel.Context(variables={**self._values, _MAP: known}, functions=_FUNCTIONS)


def evaluate(program: Program, context: Context) -> tuple[Outcome, str]:
    """Evaluate a compiled condition; never raises.

    Returns:
        The outcome, and for an error what went wrong.
    """
    try:
        try:
            result = program.flat.execute(context.zoned if program.zoned else context.flat)
        except RuntimeError:
            result = program.keyed.execute(context.keyed)
    except KeyError as error:
        key = error.args[0]
        if key == HISTORY:
            return "error", UNKNOWN_HISTORY
        if isinstance(key, str) and key.startswith(READ_PREFIX):
            return "unknown", ""
        return "error", f"key not found {key!r}"
    except Exception as error:
        return "error", str(error).split(". ", 1)[0]
    if result is True:
        return "true", ""
    if result is False:
        return "false", ""
    return "error", f"it gives {type(result).__name__}, not true or false"
