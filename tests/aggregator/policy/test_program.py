import pytest

from quorum.aggregator.policy.expression import parse
from quorum.aggregator.policy.program import (
    HISTORY,
    READ_PREFIX,
    UNKNOWN_HISTORY,
    Context,
    Program,
    evaluate,
)

NOTHING = Context({})


def run(source, **values):
    return evaluate(Program(parse(source, ["none"]).compiled), Context(values))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("uploader.strikes > 1.0", ("error", UNKNOWN_HISTORY)),
        ("has(uploader.strikes)", ("error", UNKNOWN_HISTORY)),
        ('"x" in uploader', ("error", UNKNOWN_HISTORY)),
        ('score("a") > 0.5 || uploader.strikes > 1.0', ("error", UNKNOWN_HISTORY)),
        ('uploader.strikes > 1.0 || score("a") > 0.5', ("unknown", "")),
        ('1 / 0 > 1 || score("a") > 0.5', ("unknown", "")),
        ('score("a") > 0.5 || int(string("x")) > 1', ("error", "Function 'int' error")),
        ("upload.none > 1", ("error", "key not found 'none'")),
        ("predictions.uploader.score > 0.5", ("error", "key not found 'uploader'")),
        ("upload.tags[5] == 'x'", ("error", "index out of bounds: 5")),
    ],
)
def test_what_is_absent_is_recognised_by_its_key(source, expected):
    outcome, message = run(source, upload={"tags": []}, predictions={})
    assert (outcome, message[: len(expected[1])] if expected[1] else message) == expected


class Raising:
    """A program whose first and second evaluation raise."""

    def __init__(self, flat, keyed):
        self.errors = [flat, keyed]
        self.flat = self.keyed = self
        self.zoned = False

    def execute(self, context):
        raise self.errors.pop(0)


def test_no_text_of_an_error_decides():
    texts = (
        "Undefined variable or function: 'q_1'. Check that it is defined.",
        "Undefined variable or function: 'uploader'",
    )
    for text in texts:
        for kind in (RuntimeError, ValueError, TypeError):
            assert evaluate(Raising(kind(text), kind(text)), NOTHING) == (
                "error",
                text.split(". ", 1)[0],
            )
    error = RuntimeError("any text")
    assert evaluate(Raising(error, KeyError(HISTORY)), NOTHING) == ("error", UNKNOWN_HISTORY)
    assert evaluate(Raising(error, KeyError(f"{READ_PREFIX}00")), NOTHING) == ("unknown", "")


def test_an_upload_cannot_name_the_key_of_a_read():
    (read,) = parse('score("spam") > 0.5').reads
    for title in ("uploader", "q_known", "q_00", "q_" + read.variable.rsplit("_", 1)[1]):
        outcome, message = run(
            "predictions[upload.title] == 1", upload={"title": title}, predictions={}
        )
        assert (outcome, message) == ("error", f"key not found '{title}'")
