"""Compiled conditions, and their evaluation to true, false, unknown or an error."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final, Literal

import cel

__all__ = [
    "HISTORY",
    "KNOWN",
    "READ_PREFIX",
    "UNKNOWN_HISTORY",
    "Outcome",
    "compile_program",
    "evaluate",
    "make_context",
]

#: The variable that holds what may be absent, by key: the value of each read, and the uploader's
#: history. For an absent key CEL raises a ``KeyError`` with the key as its argument; for an
#: undefined variable it would raise a ``RuntimeError`` that names it in its text alone.
KNOWN: Final = "q_known"
#: Begins the key of each read. It is random, so that no key from an upload is taken for a read.
READ_PREFIX: Final = f"q_{secrets.token_hex(8)}_"
#: The key of the uploader's history.
HISTORY: Final = f"{READ_PREFIX}uploader"

#: Why a rule that reads the uploader's history could not be evaluated.
UNKNOWN_HISTORY: Final = "the uploader's history is not known"

Outcome = Literal["true", "false", "unknown", "error"]


def evaluate(program: Any, context: Any) -> tuple[Outcome, str]:
    """Run a compiled condition; never raises.

    Returns:
        The outcome, and for an error what went wrong.
    """
    try:
        result = program.execute(context)
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


def compile_program(compiled: str) -> Any:
    """The CEL program of ``Expression.compiled``."""
    return cel.compile(compiled)


def make_context(values: Mapping[str, Any]) -> Any:
    """The context of an evaluation.

    Args:
        values: By name: ``Read.variable``, or one of the variables of conditions.
    """
    known: dict[str, Any] = {}
    variables: dict[str, Any] = {KNOWN: known}
    for name, value in values.items():
        if name == "uploader":
            known[HISTORY] = value
        elif name.startswith(READ_PREFIX):
            known[name] = value
        else:
            variables[name] = value
    return cel.Context(variables=variables)
