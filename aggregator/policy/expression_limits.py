"""Limits of conditions: they are untrusted input, so the cost of each is bounded."""

from __future__ import annotations

import re
from typing import Any, Final

import cel

from quorum.aggregator.policy.program import Context, Program, evaluate

__all__ = [
    "MACROS",
    "ExpressionError",
    "Tokens",
    "check_depth",
    "check_macros",
    "check_patterns",
    "check_sums",
    "compile_checked",
    "error_at",
    "find_word",
]

#: Nested brackets; CEL's parser recurses on them.
MAX_DEPTH: Final = 24
#: Characters of a pattern; a larger one costs milliseconds at each evaluation.
MAX_PATTERN: Final = 120
#: Each class such as ``\\w`` compiles to a large table of Unicode ranges.
MAX_PATTERN_CLASSES: Final = 6

#: Each sum of texts copies its operands.
MAX_SUMS: Final = 20

MACROS: Final = ("all", "exists", "exists_one", "map", "filter")

_WHERE = re.compile(r"<input>:(\d+):(\d+): (.*)")

#: For each token: its kind, its text and its offset.
Tokens = list[tuple[str, str, int]]


class ExpressionError(ValueError):
    """A condition that is refused.

    Attributes:
        line: Line within the condition, from 1; None if unknown.
        column: Column, from 1; None if unknown.
        others: Further mistakes of the same condition.
    """

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
        self.others: tuple[ExpressionError, ...] = ()


def compile_checked(source: str) -> Any:
    """Compile a condition.

    The place of a syntax error stands only in the text of CEL's error; where that text has another
    form, the error has no place.

    Raises:
        ExpressionError: If it is not valid CEL.
    """
    try:
        return cel.compile(source)
    except Exception as error:
        found = _WHERE.search(str(error))
        if found is None:
            msg = "the condition is not valid CEL"
            raise ExpressionError(msg) from None
        what = re.sub(r" expecting .*", "", found[3]).removeprefix("Syntax error: ")
        msg = f"the condition is not valid CEL: {what}"
        raise ExpressionError(msg, int(found[1]), int(found[2])) from None


def error_at(source: str, offset: int | None, message: str) -> ExpressionError:
    """An error with the line and column of an offset, or without if that is None."""
    if offset is None:
        return ExpressionError(message)
    line = source.count("\n", 0, offset) + 1
    return ExpressionError(message, line, offset - (source.rfind("\n", 0, offset) + 1) + 1)


def find_word(solid: Tokens, word: str) -> int | None:
    """The offset of the first token with this text."""
    return next((at for kind, text, at in solid if kind == "word" and text == word), None)


def check_depth(source: str, solid: Tokens) -> None:
    """Refuse brackets that are nested too deeply."""
    depth = 0
    for kind, text, at in solid:
        if kind != "sign":
            continue
        if text in "([{":
            depth += 1
            if depth > MAX_DEPTH:
                raise error_at(source, at, f"brackets are nested more than {MAX_DEPTH} deep")
        elif text in ")]}":
            depth -= 1


def check_macros(
    source: str, solid: Tokens, reserved: frozenset[str]
) -> tuple[frozenset[str], frozenset[int]]:
    """The names that macros bind, and the offsets of the tokens within macros.

    Nested macros are refused, because their costs multiply.
    """
    bound: set[str] = set()
    within: set[int] = set()
    depth = 0
    inside: int | None = None
    for index, (kind, text, at) in enumerate(solid):
        if inside is not None:
            within.add(at)
        if kind == "sign" and text in "([{":
            depth += 1
        elif kind == "sign" and text in ")]}":
            depth -= 1
            if inside is not None and depth <= inside:
                inside = None
        elif (
            kind == "word"
            and text in MACROS
            and index
            and solid[index - 1][1] == "."
            and index + 2 < len(solid)
            and solid[index + 1][1] == "("
        ):
            if inside is not None:
                msg = f"`{text}` stands inside another macro; nested macros cost too much"
                raise error_at(source, at, msg)
            inside = depth
            bound.add(solid[index + 2][1])
    for name in sorted(bound):
        if name in reserved or name.startswith("q_"):
            msg = f"a macro cannot bind the name `{name}`"
            raise error_at(source, find_word(solid, name), msg)
    return frozenset(bound), frozenset(within)


def check_sums(source: str, solid: Tokens) -> None:
    """Refuse many sums: each copies the text so far, so the cost is quadratic."""
    sums = [at for kind, text, at in solid if kind == "sign" and text == "+"]
    if len(sums) > MAX_SUMS:
        raise error_at(source, sums[MAX_SUMS], f"the condition has more than {MAX_SUMS} sums")


def check_patterns(source: str, solid: Tokens, inside: frozenset[int]) -> None:
    """Refuse patterns that are not literal, not valid, or too large."""
    for index, (kind, text, at) in enumerate(solid):
        if kind != "word" or text != "matches":
            continue
        rest = solid[index + 1 : index + 4]
        if len(rest) < 3 or rest[0][1] != "(" or rest[1][0] != "string" or rest[2][1] != ")":
            raise error_at(source, at, "`matches` takes one pattern, written out in quotes")
        pattern = rest[1][1]
        classes = len(re.findall(r"\\+[wWdDsSpPbB]", pattern))
        if at in inside and classes:
            msg = f"a pattern within a macro cannot have classes such as {chr(92)}w; write [a-z]"
            raise error_at(source, rest[1][2], msg)
        if len(pattern) > MAX_PATTERN or "{" in pattern or classes > MAX_PATTERN_CLASSES:
            msg = (
                f"the pattern costs too much: at most {MAX_PATTERN} characters, no `{{n}}`, and "
                f"{MAX_PATTERN_CLASSES} classes such as \\w"
            )
            raise error_at(source, rest[1][2], msg)
        condition = f'"".matches({pattern})'
        compile_checked(condition)
        tried = evaluate(Program(condition), Context({}))
        if tried[0] == "error":
            raise error_at(source, rest[1][2], "the pattern is not a valid regular expression")
