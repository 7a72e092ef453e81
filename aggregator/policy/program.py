"""Compiled conditions: asked with values, they say true, false, unknown or what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import cel

__all__ = ["UNKNOWN_HISTORY", "Outcome", "compile_program", "evaluate", "make_context"]

#: Why a rule that asks for the uploader's history could not be evaluated.
UNKNOWN_HISTORY: Final = "the uploader's history is not known"

Outcome = Literal["true", "false", "unknown", "error"]


def evaluate(program: Any, context: Any) -> tuple[Outcome, str]:
    """Ask a compiled program; never raises.

    Returns:
        The outcome, and for an error what went wrong.
    """
    try:
        result = program.execute(context)
    except RuntimeError as error:
        text = str(error)
        if text.startswith("Undefined variable or function: 'q_"):
            return "unknown", ""
        if text.startswith("Undefined variable or function: 'uploader'"):
            return "error", UNKNOWN_HISTORY
        return "error", text.split(". ", 1)[0]
    except Exception as error:
        kind = "key not found" if isinstance(error, KeyError) else ""
        return "error", f"{kind} {str(error).split('. ', 1)[0]}".strip()
    if result is True:
        return "true", ""
    if result is False:
        return "false", ""
    return "error", f"it gives {type(result).__name__}, not true or false"


def compile_program(compiled: str) -> Any:
    """The CEL program of what ``parse`` accepted."""
    return cel.compile(compiled)


def make_context(variables: Mapping[str, Any]) -> Any:
    """The values that programs are asked with."""
    return cel.Context(variables=dict(variables))
