"""The conditions of rules: CEL, with limits, and with scores that may be unknown.

A condition reads ``score("spam")``, ``label("violence/fight")``, ``status("copyright")`` and
``combined("risk")``, and the variables of ``VARIABLES``. Before it is compiled, each of the four
calls is replaced by a variable of its own. Where a detector has no score, that
variable is left undefined, and CEL's own rules for errors then make a three-valued logic:
``true || unknown`` is true, ``false && unknown`` is false, all else is unknown. An unknown
condition does not match; what the absence of a score means is said under ``detectors``.

Evaluation takes time linear in the upload: expressions are short, macros are not nested, and the
patterns of ``matches`` are literal and small (CEL compiles them at each evaluation).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import cel

__all__ = [
    "MAX_LENGTH",
    "VARIABLES",
    "Expression",
    "ExpressionError",
    "Outcome",
    "Read",
    "did_you_mean",
    "evaluate",
    "parse",
]

#: A longer condition is a program, not a rule; it also bounds the time to compile one.
MAX_LENGTH: Final = 1000
#: Brackets within brackets; CEL's parser recurses on them.
MAX_DEPTH: Final = 24
#: A larger pattern costs milliseconds at every evaluation.
MAX_PATTERN: Final = 120
#: Each of them is a large table when Unicode is compiled in.
MAX_PATTERN_CLASSES: Final = 6

#: Sums of texts are copies.
MAX_SUMS: Final = 20

#: What a condition may read beside the four functions.
VARIABLES: Final = ("upload", "uploader", "lists", "predictions", "missing")

_READS: Final = ("score", "label", "status", "combined")
_EXAMPLES: Final = {
    "score": 'score("spam")',
    "label": 'label("violence/fight")',
    "status": 'status("spam")',
    "combined": 'combined("risk")',
}
_MACROS: Final = ("all", "exists", "exists_one", "map", "filter")
_FUNCTIONS: Final = frozenset(
    {
        *("contains", "startsWith", "endsWith", "matches", "size"),
        *("int", "uint", "double", "string", "bool", "timestamp", "duration"),
        *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"),
        *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
    }
)
_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<string>[rRbB]{0,2}(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''
        |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?u?|\.\d+)
    |(?P<word>[A-Za-z_]\w*)
    |(?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_WHERE = re.compile(r"<input>:(\d+):(\d+): (.*)")

#: Why a rule that asks for the uploader's history could not be evaluated.
UNKNOWN_HISTORY: Final = "the uploader's history is not known"

Outcome = Literal["true", "false", "unknown", "error"]


class ExpressionError(ValueError):
    """A condition that cannot be used.

    Attributes:
        line: Line within the condition, from 1, where it is known.
        column: Column, from 1.
    """

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Read:
    """One thing that a condition asks of the detectors.

    Attributes:
        what: ``score``, ``label``, ``status`` or ``combined``.
        name: The detector; the path of a label, which begins with its detector; or the combiner.
        default: What a settled detector without a score counts as in this place, as written.
    """

    what: str
    name: str
    default: float | None = None
    #: The detector that is asked (for ``combined``, the combiner).
    detector: str = field(init=False)
    #: Its name in the expression that CEL is given.
    variable: str = field(init=False)

    def __post_init__(self) -> None:
        tail = "" if self.default is None else f"|{self.default!r}"
        variable = f"q_{f'{self.what}|{self.name}{tail}'.encode().hex()}"
        object.__setattr__(self, "detector", self.name.split("/", 1)[0])
        object.__setattr__(self, "variable", variable)


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition that passed all checks.

    Attributes:
        source: As written.
        compiled: As CEL is given it.
        reads: What it asks of the detectors by name.
        variables: Which of ``VARIABLES`` it reads.
        fields: The fields of ``upload`` that it reads, or None where that cannot be told.
        listed: The lists that it names, as ``lists.trusted``.
        safe: Whether it can neither fail nor be anything but true, false or unknown.
    """

    source: str
    compiled: str
    reads: tuple[Read, ...]
    variables: frozenset[str]
    fields: frozenset[str] | None
    listed: frozenset[str]
    safe: bool

    @property
    def opaque(self) -> bool:
        """Whether it may read any detector, so that each arrival may change it."""
        return not self.variables.isdisjoint({"predictions", "missing"})


def did_you_mean(word: str, known: Iterator[str] | tuple[str, ...] | list[str]) -> str:
    """A question mark's worth of help: ``; did you mean `violence`?``, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else ""


def parse(source: str) -> Expression:
    """Check and compile a condition.

    Raises:
        ExpressionError: If it is too long or too deep, not CEL, or asks for what is not there.
    """
    if len(source) > MAX_LENGTH:
        msg = f"the condition has {len(source)} characters; the limit is {MAX_LENGTH}"
        raise ExpressionError(msg)
    tokens = [(m.lastgroup or "", m.group(), m.start()) for m in _TOKEN.finditer(source)]
    solid = [token for token in tokens if token[0] != "space"]
    if not solid:
        msg = "the condition is empty; write `true` for a rule that always applies"
        raise ExpressionError(msg)
    _check_depth(source, solid)
    _compile(source)
    bound, inside = _check_macros(source, solid)
    _check_patterns(source, solid, inside)
    _check_sums(source, solid)
    compiled, reads = _replace_reads(source, solid)
    program = _compile(compiled)
    names = {read.variable for read in reads}
    used = {name for name in program.variables() if name not in names and name not in bound}
    for name in sorted(used - set(VARIABLES)):
        help_text = did_you_mean(name, [*VARIABLES, *_READS]) or (
            f"; there are {', '.join(VARIABLES)}"
        )
        msg = f"`{name}` is unknown{help_text}"
        raise _at(source, _find(solid, name), msg)
    called = {name for name in program.functions() if name[0].isalpha()}
    for name in sorted(called - _FUNCTIONS):
        help_text = did_you_mean(name, [*_FUNCTIONS, *_READS, *_MACROS])
        msg = f"the function `{name}` is unknown{help_text}"
        raise _at(source, _find(solid, name), msg)
    safe = not used and not called and not bound and _is_boolean(program, reads)
    lists = _fields("lists", solid)
    if lists is None:
        msg = "`lists` is followed by a dot and the name of a list, as lists.trusted"
        raise _at(source, _find(solid, "lists"), msg)
    reads = sorted(set(reads), key=lambda read: read.variable)
    return Expression(
        source, compiled, tuple(reads), frozenset(used), _fields("upload", solid), lists, safe
    )


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


def _compile(source: str) -> Any:
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


def _is_boolean(program: Any, reads: list[Read]) -> bool:
    """Whether it gives true or false whatever the numbers are, tried at both ends."""
    for value in (0.0, 0.5, 1.0):
        given = {r.variable: "scored" if r.what == "status" else value for r in reads}
        if evaluate(program, make_context(given))[0] not in ("true", "false"):
            return False
    return True


def _at(source: str, offset: int | None, message: str) -> ExpressionError:
    if offset is None:
        return ExpressionError(message)
    line = source.count("\n", 0, offset) + 1
    return ExpressionError(message, line, offset - (source.rfind("\n", 0, offset) + 1) + 1)


def _find(solid: list[tuple[str, str, int]], word: str) -> int | None:
    return next((at for kind, text, at in solid if kind == "word" and text == word), None)


def _check_depth(source: str, solid: list[tuple[str, str, int]]) -> None:
    depth = 0
    for kind, text, at in solid:
        if kind != "sign":
            continue
        if text in "([{":
            depth += 1
            if depth > MAX_DEPTH:
                raise _at(source, at, f"brackets are nested more than {MAX_DEPTH} deep")
        elif text in ")]}":
            depth -= 1


def _check_macros(
    source: str, solid: list[tuple[str, str, int]]
) -> tuple[frozenset[str], frozenset[int]]:
    """Names that macros bind, and where the tokens within macros stand.

    Nested macros are refused, for their cost multiplies.
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
            and text in _MACROS
            and index
            and solid[index - 1][1] == "."
            and index + 2 < len(solid)
            and solid[index + 1][1] == "("
        ):
            if inside is not None:
                msg = f"`{text}` stands inside another macro; nested macros cost too much"
                raise _at(source, at, msg)
            inside = depth
            bound.add(solid[index + 2][1])
    for name in sorted(bound):
        if name in VARIABLES or name in _READS or name.startswith("q_"):
            msg = f"a macro cannot bind the name `{name}`"
            raise _at(source, _find(solid, name), msg)
    return frozenset(bound), frozenset(within)


def _check_sums(source: str, solid: list[tuple[str, str, int]]) -> None:
    """Each sum of texts copies all before it, so many of them cost the square of their number."""
    sums = [at for kind, text, at in solid if kind == "sign" and text == "+"]
    if len(sums) > MAX_SUMS:
        raise _at(source, sums[MAX_SUMS], f"the condition has more than {MAX_SUMS} sums")


def _fields(of: str, solid: list[tuple[str, str, int]]) -> frozenset[str] | None:
    fields = set()
    texts = [text for _, text, _ in solid]
    for index, (kind, text, _) in enumerate(solid):
        if kind != "word" or text != of or (index and texts[index - 1] == "."):
            continue
        if texts[index + 1 : index + 2] != ["."] or index + 2 >= len(solid):
            return None
        fields.add(texts[index + 2])
    return frozenset(fields)


def _check_patterns(source: str, solid: list[tuple[str, str, int]], inside: frozenset[int]) -> None:
    for index, (kind, text, at) in enumerate(solid):
        if kind != "word" or text != "matches":
            continue
        rest = solid[index + 1 : index + 4]
        if len(rest) < 3 or rest[0][1] != "(" or rest[1][0] != "string" or rest[2][1] != ")":
            raise _at(source, at, "`matches` takes one pattern, written out in quotes")
        pattern = rest[1][1]
        classes = len(re.findall(r"\\+[wWdDsSpPbB]", pattern))
        if at in inside and classes:
            msg = f"a pattern within a macro cannot have classes such as {chr(92)}w; write [a-z]"
            raise _at(source, rest[1][2], msg)
        if len(pattern) > MAX_PATTERN or "{" in pattern or classes > MAX_PATTERN_CLASSES:
            msg = (
                f"the pattern costs too much: at most {MAX_PATTERN} characters, no `{{n}}`, and "
                f"{MAX_PATTERN_CLASSES} classes such as \\w"
            )
            raise _at(source, rest[1][2], msg)
        tried = evaluate(_compile(f'"".matches({pattern})'), make_context({}))
        if tried[0] == "error":
            raise _at(source, rest[1][2], "the pattern is not a valid regular expression")


def _replace_reads(source: str, solid: list[tuple[str, str, int]]) -> tuple[str, list[Read]]:
    reads: list[Read] = []
    pieces: list[str] = []
    end = 0
    for index, (kind, text, at) in enumerate(solid):
        if kind != "word" or text not in _READS or (index and solid[index - 1][1] == "."):
            continue
        read, close = _read_call(source, solid, index)
        reads.append(read)
        pieces += [source[end:at], read.variable]
        end = close
    return "".join([*pieces, source[end:]]), reads


def _read_call(source: str, solid: list[tuple[str, str, int]], index: int) -> tuple[Read, int]:
    """The read that begins at a token, and where its call ends in the source."""
    _, what, at = solid[index]
    rest = solid[index + 1 : index + 6]
    texts = [text for _, text, _ in rest]
    example = _EXAMPLES[what]
    if len(rest) < 3 or texts[0] != "(" or rest[1][0] != "string":
        raise _at(source, at, f"`{what}` takes a name in quotes, as {example}")
    quoted = texts[1]
    name = quoted[1:-1]
    if quoted[0] not in "\"'" or "\\" in name or not name.strip("\"'/"):
        raise _at(source, rest[1][2], f"`{what}` takes a plain name in quotes, as {example}")
    if texts[2] == ")":
        return Read(what, name), rest[2][2] + 1
    if texts[2] == "," and len(rest) == 5 and rest[3][0] == "number" and texts[4] == ")":
        if what in ("status", "combined"):
            raise _at(source, at, f"`{what}` takes one name")
        return Read(what, name, float(texts[3].rstrip("u"))), rest[4][2] + 1
    raise _at(source, at, f"`{what}` takes a name, and if wanted a number, as {example}")
