"""Changes of a policy in short: one line for each part, and a word for every change."""

from __future__ import annotations

import pytest

from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.aggregator.study.difference import in_short, texts_in_short
from quorum.aggregator.study.thresholds import threshold_changes

TEXT = """
name: mine
description: One.
deadline: 30 s
detectors: {spam: {}, nsfw: {required: false}}
fields: {verified: bool}
lists: {trusted: [a, b]}
features: {uploads_1h: {kind: count, by: uploader, over: 1 h}}
combiners: {risk: {bias: 0.1, weights: {spam: 1.0}}}
categories: {scam: {dsa: scams-and-fraud}}
caps: {total: {removals: 5, per: 1 h}, reviews: {total: {reviews: 5, per: 1 h}}}
groups: {DACH: [DE, AT, CH]}
rules:
  - name: spam-sure
    when: score("spam") >= 0.95
    action: remove
    category: spam
    reason: Spam.
  - name: both
    when: score("spam") >= 0.5 && label("nsfw/drawn") > 0.7 && upload.verified == true
    unless: upload.uploader in lists.trusted && feature("uploads_1h") > 5.0
    action: restrict
    category: scam
    territories: [DACH]
    reason: Both {spam}.
  - name: third
    when: combined("risk") > 0.5
    action: review
    reason: Third.
"""


OPTIONAL = (
    "detector nsfw: optional -> required; missing nothing -> review; failed nothing -> review"
)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"0.95\n    action: remove": "0.97\n    action: restrict"},
         "rule spam-sure: threshold 0.95 -> 0.97; action remove -> restrict"),
        ({'("spam") >= 0.5': '("spam") >= 0.6', "5.0": "9.0"},
         "rule both: threshold of spam 0.5 -> 0.6; threshold of uploads_1h 5.0 -> 9.0"),
        ({'nsfw/drawn") > 0.7': 'nsfw/drawn") > 0.8'},
         "rule both: threshold of nsfw/drawn 0.7 -> 0.8"),
        ({"[a, b]": "[b, c]"}, "list trusted: +c, -a"),
        ({"removals: 5": "removals: 9"}, "caps: total 5 in 3600 s -> 9 in 3600 s"),
        ({"reviews: 5": "reviews: 9"}, "caps on reviews: reviews 5 in 3600 s -> 9 in 3600 s"),
        ({"name: mine": "name: ours"}, "policy: name mine -> ours"),
        ({"spam: {}": "spam: {missing: 0.5}"}, "detector spam: missing review -> a score of 0.5"),
        ({"required: false": "required: true"},
         OPTIONAL),
        ({"DE, AT, CH": "DE, AT"}, "rule both: territories DE, AT, CH -> DE, AT"),
        ({"name: third": "name: last"}, "rule third: gone (review)"),
        ({"reason: Third.": "reason: Third.\n    rollout: {percent: 5}"},
         "rule third: applies to 5 % of uploaders (salt third)"),
        ({"reason: Spam.": "reason: Spam.\n    account: {action: warn}"},
         "rule spam-sure: account: nothing -> warn"),
        ({"over: 1 h}": "over: 2 h}"}, "feature uploads_1h: counts differently"),
        ({"bias: 0.1": "bias: 0.2"}, "combiner risk: weighs differently"),
        ({"verified: bool": "verified: bool, age: number"}, "field age: none -> number"),
        ({"scams-and-fraud": "violence"},
         "category scam: reads differently in statements of reasons"),
        ({"One.": "Two."}, "policy: another description"),
    ],
)  # fmt: skip
def test_a_change_in_short(changed, line):
    text = TEXT
    for old, new in changed.items():
        assert old in text
        text = text.replace(old, new, 1)
    old, new = Policy.from_text(TEXT), Policy.from_text(text)
    assert old.version != new.version
    found = in_short(old, new)
    assert line in found, found


def test_a_threshold_is_told_alone_and_by_name():
    assert threshold_changes('score("a1", 0.3) > 0.5', 'score("a1", 0.4) > 0.5') == [
        "stand-in of a1 0.3 -> 0.4"
    ]
    assert threshold_changes('score("a") > 0.5', 'score("b") > 0.5') == []
    assert threshold_changes('score("v2") > .5', 'score("v2") > 0.6') == ["threshold .5 -> 0.6"]
    assert threshold_changes(
        "upload.duration > 60.0 || true", "upload.duration > 90.0 || true"
    ) == ["threshold 60.0 -> 90.0"]


def test_a_history_tells_what_each_policy_changed():
    balanced = load_policy("balanced").text
    stricter = balanced.replace('score("spam") >= 0.98', 'score("spam") >= 0.9')
    told = texts_in_short([stricter, balanced, "name: 0"])
    assert told[0] == ("rule spam-certain: threshold 0.98 -> 0.9",)
    assert told[1][0].startswith("this version of Quorum cannot read")
    assert len(told) == 2
