"""Whatever is given as a policy: it is read, or refused with a PolicyError, soon."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.aggregator.policy.expression import ExpressionError, parse
from quorum.aggregator.policy.policy import load_policy
from quorum.aggregator.policy.reader import read_content
from quorum.core.errors import PolicyError

BALANCED = load_policy("balanced").text
PIECES = [
    *('score("spam")', 'label("violence/fight")', 'status("spam")', 'combined("x")', "upload"),
    *("upload.title", "missing", "predictions", "lists.a", "uploader.strikes", "&&", "||", "!"),
    *("(", ")", "[", "]", "{", "}", "?", ":", ",", ".", "==", ">", "0.5", "1", '"a"', "'", '"'),
    *("all", ".exists(x, ", ".matches(", "has(", "in", "true", "null", "//", "\\", "\n", "q_00"),
    *("🙂", "\x00", "r'", '"""', "-", "%", "1e999", "99999999999999999999", "x"),
]


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=80), st.lists(st.sampled_from(PIECES), max_size=25).map("".join)))
def test_any_text_is_a_condition_or_refused(text):
    try:
        expression = parse(text)
    except ExpressionError as error:
        assert error.message
    else:
        assert expression.source == text


@pytest.mark.parametrize("seed", range(150))
def test_a_damaged_policy_is_read_or_refused(seed):
    draw = random.Random(seed)
    text = BALANCED
    for _ in range(draw.choice([1, 1, 2, 5])):
        at = draw.randrange(len(text))
        cut = text[at : at + draw.choice([0, 1, 3, 20])]
        put = draw.choice(["", " ", "\n", ":", "- ", "{", "]", "~", "!!", "é", "\t", *PIECES])
        text = text.replace(cut, put, 1) if cut else text[:at] + put + text[at:]
    try:
        policy = read_content(text, "mine.yaml")
    except PolicyError as error:
        assert error.file == "mine.yaml"
        assert "\n" not in str(error)
    else:
        assert policy.rules


HOSTILE = {
    "billion laughs": "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n" * 3,
    "deep list": "name: x\ndetectors: " + "[" * 5000,
    "deep map": "name: x\n" + "".join(" " * n + "a:\n" for n in range(400)),
    "long line": "name: " + "x" * 200_000,
    "too long": "#" * 300_000,
    "object": "name: !!python/object/apply:os.system [ls]\n",
    "timestamp": "name: 2026-01-01\ndetectors: {spam: {}}\n",
    "numbers for names": "1: 2\n3: 4\n",
    "null": "name: ~\ndetectors: ~\n",
    "infinite": "name: x\ndeadline: .inf\ndetectors: {spam: {}}\n",
    "not a number": "name: x\ndeadline: .nan\ndetectors: {spam: {missing: .nan}}\n",
    "many documents": "name: x\n---\nname: y\n",
    "nul": "name: x\x00\n",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_policy_is_refused_soon(text):
    began = time.thread_time()
    with pytest.raises(PolicyError):
        read_content(text)
    assert time.thread_time() - began < 5, "generous: most take milliseconds"
