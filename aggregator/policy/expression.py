"""The conditions of rules: CEL with limits, and three-valued logic for absent scores.

A condition reads ``score("spam")``, ``label("violence/fight")``, ``status("copyright")``,
``combined("risk")``, ``seen("violence")`` and ``feature("uploads_1h")``, and the variables of
``VARIABLES``. Before it is compiled, each of the six calls is replaced by a variable. If there is
no value, such as a score, its variable is undefined, and CEL's own rules for errors give a
three-valued logic: ``true || unknown`` is true, ``false && unknown`` is false, all else is unknown.
A rule whose condition is unknown does not apply; the policy's ``detectors`` section defines what
the absence of a score means.

Evaluation takes time linear in the upload: expressions are short, macros are not nested, and the
patterns of ``matches`` are literal and small (CEL compiles them at each evaluation).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from quorum.aggregator.policy.expression_limits import (
    MACROS,
    ExpressionError,
    Tokens,
    check_depth,
    check_macros,
    check_patterns,
    check_sums,
    compile_checked,
    error_at,
    find_word,
)
from quorum.aggregator.policy.fields import (
    HISTORY_FIELDS,
    HISTORY_NAME,
    UPLOAD_FIELDS,
    FieldRead,
    FieldType,
    field_reads,
    has_call,
    unknown_field,
)
from quorum.aggregator.policy.program import (
    HISTORY,
    READ_PREFIX,
    Context,
    Program,
    evaluate,
)
from quorum.aggregator.policy.written import (
    PREDICTION_FIELDS,
    check_conversions,
    compared,
    keys,
)
from quorum.aggregator.policy.zone_calls import zoned_calls
from quorum.aggregator.policy.zones import PARTS, ZONED

__all__ = [
    "MAX_LENGTH",
    "METHODS",
    "READS",
    "VARIABLES",
    "Expression",
    "ExpressionError",
    "Read",
    "UnknownNames",
    "did_you_mean",
    "parse",
]

#: Characters of a condition; this also bounds the time to compile one.
MAX_LENGTH: Final = 1000
#: The variables of conditions, beside the six functions.
VARIABLES: Final = ("upload", "uploader", "lists", "predictions", "missing")

#: The functions that ask the detectors, and the calls on a value.
READS: Final = ("score", "label", "status", "combined", "seen", "feature")
_EXAMPLES: Final = {
    "score": 'score("spam")',
    "label": 'label("violence/fight")',
    "status": 'status("spam")',
    "combined": 'combined("risk")',
    "seen": 'seen("violence")',
    "feature": 'feature("uploads_1h")',
}
METHODS: Final = ("contains", "startsWith", "endsWith", "matches", "size", *MACROS, *PARTS)
_FUNCTIONS: Final = frozenset(
    {
        *("contains", "startsWith", "endsWith", "matches", "size"),
        *("int", "uint", "double", "string", "bool", "timestamp", "duration"),
        *PARTS,
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


@dataclass(frozen=True, slots=True)
class Read:
    """One value that a condition reads from the detectors.

    Attributes:
        what: ``score``, ``label``, ``status``, ``combined``, ``seen`` or ``feature``.
        name: The detector; the path of a label, which begins with its detector; the combiner; or
            the feature over time.
        default: The number that stands for an absent score of a settled detector; None without.
    """

    what: str
    name: str
    default: float | None = None
    #: The detector (for ``combined`` and ``feature`` these).
    detector: str = field(init=False)
    #: Its name in the compiled condition.
    variable: str = field(init=False)

    def __post_init__(self) -> None:
        tail = "" if self.default is None else f"|{self.default!r}"
        variable = f"{READ_PREFIX}{f'{self.what}|{self.name}{tail}'.encode().hex()}"
        object.__setattr__(self, "detector", self.name.split("/", 1)[0])
        object.__setattr__(self, "variable", variable)


class UnknownNames(ExpressionError):
    """A condition that is CEL, and reads something unknown.

    Args:
        errors: At least one.
        expression: The condition, so that its other names can be checked; it must not be used.
    """

    def __init__(self, errors: Sequence[ExpressionError], expression: Expression) -> None:
        first, *others = errors
        super().__init__(first.message, first.line, first.column)
        self.others = tuple(others)
        self.expression = expression


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition that passed all checks.

    Attributes:
        source: The text of the policy.
        compiled: The text that CEL compiles.
        reads: The values that it reads from detectors by name.
        variables: Those of ``VARIABLES`` that it reads.
        fields: The fields of ``upload`` that it reads.
        listed: The lists that it reads, such as ``trusted`` for ``lists.trusted``.
        keys: The keys of ``predictions`` and ``missing`` that it writes out, such as ``("missing",
            "spam")``.
        compared: The fields that it compares with a value written out, and the type of that.
        safe: Whether each evaluation is true, false or unknown, never an error.
    """

    source: str
    compiled: str
    reads: tuple[Read, ...]
    variables: frozenset[str]
    fields: frozenset[str]
    listed: frozenset[str]
    keys: frozenset[tuple[str, ...]]
    compared: frozenset[tuple[str, FieldType]]
    safe: bool

    @property
    def opaque(self) -> bool:
        """Whether it may read any detector, so that any prediction may change it."""
        return not self.variables.isdisjoint({"predictions", "missing"})


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion such as ``; did you mean `violence`?``, or an empty text."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else ""


def parse(source: str, declared: Iterable[str] = ()) -> Expression:
    """Check and compile a condition.

    Args:
        source: The condition.
        declared: The producer's own fields of ``upload``, beside those of every upload.

    Raises:
        ExpressionError: If it is too long or too deep, not CEL, or reads something unknown; its
            ``others`` are the further things that are unknown.
    """
    if len(source) > MAX_LENGTH:
        msg = f"the condition has {len(source)} characters; the limit is {MAX_LENGTH}"
        raise ExpressionError(msg)
    tokens = [(m.lastgroup or "", m.group(), m.start()) for m in _TOKEN.finditer(source)]
    solid = [token for token in tokens if token[0] != "space"]
    if not solid:
        msg = "the condition is empty; write `true` for a rule that always applies"
        raise ExpressionError(msg)
    check_depth(source, solid)
    used = frozenset(compile_checked(source).variables())
    bound, inside = check_macros(source, solid, frozenset({*VARIABLES, *READS}))
    check_patterns(source, solid, inside)
    check_sums(source, solid)
    check_conversions(source, solid)
    zoned = list(zoned_calls(source, solid, did_you_mean))
    compiled, reads = _replace_reads(source, solid, zoned)
    program = compile_checked(compiled)
    used -= bound
    called = {name for name in program.functions() if name[0].isalpha()}
    fields = field_reads("upload", source, solid)
    history = field_reads(HISTORY_NAME, source, solid)
    written = list(keys(solid))
    wrong = [
        *_unknown_names(source, solid, used, called),
        *_unknown_fields(source, fields, (*UPLOAD_FIELDS, *declared)),
        *_unknown_fields(source, history, HISTORY_FIELDS),
        *_unknown_of_predictions(source, written),
    ]
    safe = not (used or called or bound or wrong) and _is_boolean(Program(compiled), reads)
    lists = _fields("lists", solid)
    if lists is None:
        msg = "`lists` is followed by a dot and the name of a list, as lists.trusted"
        raise error_at(source, find_word(solid, "lists"), msg)
    reads = sorted(set(reads), key=lambda read: read.variable)
    made = Expression(
        source=source,
        compiled=compiled,
        reads=tuple(reads),
        variables=used,
        fields=frozenset(one.name for one in fields),
        listed=lists,
        keys=frozenset(path for path, _ in written),
        compared=frozenset(compared(solid)),
        safe=safe,
    )
    if wrong:
        raise UnknownNames(wrong, made)
    return made


def _unknown_names(
    source: str, solid: Tokens, used: Iterable[str], called: Iterable[str]
) -> Iterator[ExpressionError]:
    for name in sorted(set(used) - set(VARIABLES)):
        help_text = did_you_mean(name, [*VARIABLES, *READS]) or (
            f"; there are {', '.join(VARIABLES)}"
        )
        msg = f"`{name}` is unknown{help_text}"
        yield error_at(source, find_word(solid, name), msg)
    for name in sorted(set(called) - _FUNCTIONS - ZONED.keys()):
        help_text = did_you_mean(name, [*_FUNCTIONS, *READS, *MACROS])
        msg = f"the function `{name}` is unknown{help_text}"
        yield error_at(source, find_word(solid, name), msg)


def _unknown_fields(
    source: str, reads: Iterable[FieldRead], known: tuple[str, ...]
) -> Iterator[ExpressionError]:
    seen: set[str] = set()
    for one in reads:
        if one.name not in known and one.name not in seen:
            seen.add(one.name)
            msg = unknown_field(one, did_you_mean(one.name, known), known)
            yield error_at(source, one.at, msg)


def _unknown_of_predictions(
    source: str, written: Iterable[tuple[tuple[str, ...], int]]
) -> Iterator[ExpressionError]:
    for path, at in written:
        if path[0] == "predictions" and len(path) == 3 and path[2] not in PREDICTION_FIELDS:
            help_text = did_you_mean(path[2], PREDICTION_FIELDS) or (
                f"; there are {', '.join(PREDICTION_FIELDS)}"
            )
            yield error_at(source, at, f"a prediction has no `{path[2]}`{help_text}")


def _is_boolean(program: Program, reads: list[Read]) -> bool:
    """Whether it gives true or false for low, middle and high numbers."""
    for value in (0.0, 0.5, 1.0):
        given = {r.variable: "scored" if r.what == "status" else value for r in reads}
        if evaluate(program, Context(given))[0] not in ("true", "false"):
            return False
    return True


def _fields(of: str, solid: Tokens) -> frozenset[str] | None:
    fields = set()
    texts = [text for _, text, _ in solid]
    for index, (kind, text, _) in enumerate(solid):
        if kind != "word" or text != of or (index and texts[index - 1] == "."):
            continue
        if texts[index + 1 : index + 2] != ["."] or index + 2 >= len(solid):
            return None
        fields.add(texts[index + 2])
    return frozenset(fields)


def _replace_reads(
    source: str, solid: Tokens, zoned: Iterable[tuple[int, int, str]]
) -> tuple[str, list[Read]]:
    """The condition as CEL compiles it, and its reads.

    Args:
        source: The condition.
        solid: Its tokens without white space.
        zoned: From ``zoned_calls``.
    """
    renamed = {begin: (name, close) for begin, close, name in zoned}
    reads: list[Read] = []
    pieces: list[str] = []
    end = 0
    for index, (kind, text, at) in enumerate(solid):
        if kind != "word" or at < end:
            continue
        if index and solid[index - 1][1] == ".":
            if at in renamed:
                key, stop = renamed[at]
                pieces += [source[end:at], key]
                end = stop
            continue
        called = has_call(source, solid, index)
        if called is not None:
            key, close = called
        elif text == "uploader":
            key, close = HISTORY, at + len(text)
        elif text in READS:
            read, close = _read_call(source, solid, index)
            reads.append(read)
            key = read.variable
        else:
            continue
        pieces += [source[end:at], key]
        end = close
    return "".join([*pieces, source[end:]]), reads


def _read_call(source: str, solid: Tokens, index: int) -> tuple[Read, int]:
    """The read that begins at a token, and the end of its call in the source."""
    _, what, at = solid[index]
    rest = solid[index + 1 : index + 6]
    texts = [text for _, text, _ in rest]
    example = _EXAMPLES[what]
    if len(rest) < 3 or texts[0] != "(" or rest[1][0] != "string":
        raise error_at(source, at, f"`{what}` takes a name in quotes, as {example}")
    quoted = texts[1]
    name = quoted[1:-1]
    if quoted[0] not in "\"'" or "\\" in name or not name.strip("\"'/"):
        raise error_at(source, rest[1][2], f"`{what}` takes a plain name in quotes, as {example}")
    if texts[2] == ")":
        return Read(what, name), rest[2][2] + 1
    if texts[2] == "," and len(rest) == 5 and rest[3][0] == "number" and texts[4] == ")":
        if what in ("status", "combined"):
            raise error_at(source, at, f"`{what}` takes one name")
        return Read(what, name, float(texts[3].rstrip("u"))), rest[4][2] + 1
    raise error_at(source, at, f"`{what}` takes a name, and if wanted a number, as {example}")
