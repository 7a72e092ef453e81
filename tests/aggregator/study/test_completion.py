"""What the editor offers: the checker's own words, at places in texts that are half written."""

from __future__ import annotations

import random

import pytest

from quorum.aggregator.policy.policy import load_policy
from quorum.aggregator.study.completion import complete

BALANCED = load_policy("balanced").text
RULE = "rules:\n  - name: x\n    "


def offered(text: str) -> list[str]:
    """What is offered at the end of a text, the part before ``|^`` typed already."""
    at = text.index("^")
    found = complete(text.replace("^", "", 1), at, BALANCED)
    typed = text[found.start : at].lower()
    assert all(typed in one.text.lower() for one in found.items)
    return [one.text for one in found.items]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("det^", "detectors: "),
        ("detectors:\n  ^", "spam: "),
        ("detectors:\n  spam:\n    ^", "required: "),
        ("detectors:\n  spam:\n    missing: r^", "review"),
        ("detectors:\n  spam:\n    required: ^", "true"),
        ("detectors:\n  spam: {missing: review, fa^", "failed: "),
        ("detectors:\n  spam: {missing: ^", "review"),
        ("rules:\n  - ^", "name: "),
        ("rules:\n- name: x\n  act^", "action: "),
        (RULE + "action: re^", "restrict"),
        (RULE + "category: sp^", "spam"),
        (RULE + "rollout: {^", "percent: "),
        (RULE + "account:\n      ^", "action: "),
        (RULE + "territories: [D^", "DE"),
        (RULE + "territories:\n      - EE^", "EEA"),
        (RULE + "reason: It is {vio^", "violence"),
        (RULE + "when: sc^", 'score("'),
        (RULE + 'when: score("sp^', "spam"),
        (RULE + 'when: score("spam") > 0.5 && label("spam/^', "spam/heard"),
        (RULE + "when: upload.dur^", "duration"),
        (RULE + "when: uploader.^", "strikes"),
        (RULE + 'when: status("spam") == "^', "scored"),
        (RULE + "when: upload.title.st^", "startsWith"),
        (RULE + 'when: |\n      score("spam") > 0.5\n      && upl^', "upload"),
        ("lists: {good: [a]}\n" + RULE + "when: upload.uploader in lists.^", "good"),
        ("features: {fast: {kind: count}}\n" + RULE + 'when: feature("^', "fast"),
        ("fields: {views: number}\n" + RULE + "when: upload.vi^", "views"),
        ("features:\n  fast:\n    kind: ^", "count"),
        ("features:\n  fast:\n    by: ^", "uploader"),
        ("categories:\n  x: {dsa: scams^", "scams-and-fraud"),
        ("caps:\n  rules:\n    ^\nrules:\n  - name: my-rule\n", "my-rule: "),
    ],
)  # fmt: skip
def test_what_fits_the_place_comes_first(text, first):
    assert offered(text)[0] == first


@pytest.mark.parametrize(
    "text",
    [RULE + 'when: score("spam") > 0.5 && upload.title == "sc^', "description: any words d^",
     "# a comment ^", "x" * 5000 + "^"],
    ids=["in a text", "free words", "comment", "long line"],
)  # fmt: skip
def test_where_nothing_is_known_nothing_is_offered(text):
    assert offered(text) == []


def test_no_place_in_any_text_is_too_much():
    draw = random.Random(1)
    pieces = [*BALANCED.split("\n"), "  - {", "[[", "}", "when: |", '"', "label(", "- - -", "\t:"]
    for _ in range(300):
        text = "\n".join(draw.choice(pieces)[: draw.randrange(60)] for _ in range(8))
        at = draw.randrange(len(text) + 1)
        found = complete(text, at)
        assert 0 <= found.start <= at
        assert len(found.items) <= 60
