import time

import pytest

from quorum.aggregator.policy.expression import ExpressionError, Read, parse
from quorum.aggregator.policy.program import Context, Program, evaluate


def outcome(source, **values):
    expression = parse(source, ["none"])
    given = {r.variable: values[r.name] for r in expression.reads if r.name in values}
    facts = {name: values[name] for name in expression.variables if name in values}
    return evaluate(Program(expression.compiled), Context(given | facts))[0]


def assert_refused(source, declared, column, told):
    with pytest.raises(ExpressionError) as caught:
        parse(source, declared)
    assert told in caught.value.message
    assert (caught.value.line, caught.value.column) == (1, column)


def test_reads_are_found():
    expression = parse(
        'score("spam") > 0.5 && label(\'violence/fight\') > 0.2 || score("x", 0.1) > 1'
    )
    assert set(expression.reads) == {
        Read("score", "spam"),
        Read("label", "violence/fight"),
        Read("score", "x", 0.1),
    }
    assert {read.detector for read in expression.reads} == {"spam", "violence", "x"}
    assert expression.safe


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('score("a") > 0.5', "true"),
        ('score("a") > 0.9', "false"),
        ('score("b") > 0.9', "unknown"),
        ('!(score("b") > 0.9)', "unknown"),
        ('score("b") > 0.9 || score("a") > 0.5', "true"),
        ('score("b") > 0.9 && score("a") > 0.9', "false"),
        ('score("b") > 0.9 && score("a") > 0.5', "unknown"),
        ('score("a")', "error"),
        ('score("a") > "x"', "error"),
        ("upload.none > 1", "error"),
        ('upload.title == \'score("b")\' // score("c")', "false"),
        ('upload.tags.exists(t, t == "x" && score("a") > 0.5)', "true"),
    ],
)
def test_an_absent_score_is_unknown_and_a_mistake_an_error(source, expected):
    assert outcome(source, a=0.7, upload={"title": "t", "tags": ["x"]}) == expected


@pytest.mark.parametrize(
    "source",
    [
        "",
        "   // nothing",
        "score()",
        "score(spam)",
        'score("a" + "b") > 1',
        'score("spam", upload.duration) > 1',
        'status("spam", 1) == "x"',
        "q_00 > 1",
        "system(1)",
        "upload.title.split(' ')",
        "score.x > 1",
    ],
)
def test_what_cannot_be_meant_is_refused(source):
    with pytest.raises(ExpressionError):
        parse(source)


@pytest.mark.parametrize(
    ("source", "column", "told"),
    [
        ("upload.durration > 60.0", 8, "did you mean `duration`?"),
        ('upload["durration"] != null', 8, "did you mean `duration`?"),
        ("has(upload.verifed)", 12, "did you mean `verified`?"),
        ("!has(upload.origin.country)", 13, "`fields: {origin: number}`"),
        ('upload.tags.exists(t, t == "x") && upload.tgas == null', 43, "did you mean `tags`?"),
        ("uploader.strike > 1.0", 10, "did you mean `strikes`?"),
        ("uploader.age > 1", 10, "there are strikes, removals, verdicts"),
        ('"views" in upload', 12, "has(upload.language)"),
        ("upload[upload.title] == 1", 1, "followed by a dot"),
        ('upload.exists(k, k == "x")', 1, "followed by a dot"),
        ("size(upload) > 3", 6, "followed by a dot"),
        ("predictions.spam.scoree > 0.5", 18, "did you mean `score`?"),
        ("predictions.exists(d, predictions[d].colour == 1)", 38, "no `colour`; there are status"),
    ],
)
def test_a_field_that_is_never_there_is_refused_with_its_place(source, column, told):
    assert_refused(source, ["verified"], column, told)


@pytest.mark.parametrize(
    ("source", "column", "told"),
    [
        ('upload.published_at > timestamp("2026-13-01T00:00:00Z")', 33, "`timestamp` cannot read"),
        ('upload.published_at - upload.since < duration("3d")', 47, 'write it as "72h" or "90m"'),
        ('double("1,5") > 1.0 || int(string("x")) > 1', 8, '`double` cannot read "1,5"'),
    ],
)
def test_a_text_that_its_conversion_never_reads_is_refused(source, column, told):
    assert_refused(source, ["since"], column, told)


def test_all_that_is_unknown_in_a_condition_is_told_at_once():
    with pytest.raises(ExpressionError) as caught:
        parse("upload.a == 1 || upload.b == 1 || uploder.strikes > 1 || foo(1)")
    told = [caught.value.message, *(one.message for one in caught.value.others)]
    assert len(told) == 4
    assert ["uploder" in told[0], "foo" in told[1], "`a`" in told[2], "`b`" in told[3]] == [
        True
    ] * 4


DIGITS = "[0,1,2,3,4,5,6,7,8,9]"
HOSTILE = {
    "long": "true && " * 100_000 + "true",
    "deep": "(" * 900 + "1" + ")" * 900,
    "unbalanced": "(" * 999,
    "nested macros": f"{DIGITS}.all(a, {DIGITS}.all(b, {DIGITS}.all(c, {DIGITS}.all(d, true))))",
    "macro within the range of a macro": f"{DIGITS}.map(a, {DIGITS}.map(b, a)).all(x, true)",
    "counted pattern": 'upload.title.matches("(((a{1,100}){1,100}){1,100})")',
    "classes": 'upload.title.matches("' + "\\\\w" * 40 + '")',
    "pattern from the upload": "upload.title.matches(upload.description)",
    "classes in a macro": 'upload.tags.exists(t, t.matches("\\\\w+"))',
    "many sums": "upload.title" + " + upload.title" * 50 + ' == "x"',
    "quotes": '"' * 999,
    "nul": "\x00" * 999,
    "exclamations": "!" * 999 + "x",
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_conditions_are_refused_at_once(source):
    began = time.thread_time()
    with pytest.raises(ExpressionError):
        parse(source)
    assert time.thread_time() - began < 0.5, "generous: it takes milliseconds"


def test_a_hostile_upload_costs_little():
    expression = parse('upload.tags.exists(t, t.matches("(a*)*b")) || upload.title.contains("b")')
    program = Program(expression.compiled)
    facts = {"upload": {"tags": ["a" * 5000] * 20, "title": "a" * 500_000}}
    began = time.thread_time()
    assert evaluate(program, Context(facts))[0] == "false"
    assert time.thread_time() - began < 2
