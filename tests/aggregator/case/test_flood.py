"""One work or hash that matches too much: its removals wait for a human, others go on."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from quorum.aggregator.case.cap import MAX_MATCHES, Cap
from quorum.aggregator.decider import Decider
from quorum.aggregator.decision.compact import CompactPrediction
from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.aggregator.study.difference import differences
from quorum.core.messages import Action, Evidence, Prediction, Upload, Verdict
from quorum.core.metrics import CAPPED_MATCHES
from quorum.pipeline.capped import count_capped
from tests.aggregator.aggregator_cases import START, after, said

TEXT = load_policy("balanced").text
POLICY = Policy.from_text(
    TEXT.replace("caps:\n", "caps:\n  each_match: {removals: 5, per: 1 h}\n", 1)
)


def matching(number: int, *works: str, score: float = 0.99) -> Prediction:
    found = tuple(Evidence(kind="match", what="a copy", work=one, start=0, end=9) for one in works)
    return said("copyright", score, upload_id=f"u{number}").model_copy(update={"evidence": found})


def an_upload(number: int, at: float) -> Upload:
    moment = START + timedelta(seconds=at)
    return Upload(id=f"u{number}", uploader=f"a{number}", title="A film", published_at=moment)


def decided(decider: Decider, number: int, at: float, *works: str) -> Verdict:
    upload = an_upload(number, at)
    spoken = [
        matching(number, *works),
        said("spam", 0.01, upload_id=upload.id),
        said("violence", 0.01, upload_id=upload.id),
    ]
    moment = upload.published_at
    return decider.first(upload, spoken, arrived=moment, at=moment).verdict


def test_a_bad_hash_does_not_empty_the_platform(caplog: pytest.LogCaptureFixture) -> None:
    decider = Decider(POLICY, on_capped=count_capped)
    before = CAPPED_MATCHES._value.get()
    with caplog.at_level(logging.WARNING, "quorum.pipeline.capped"):
        made = [decided(decider, n, n, "list/bad-hash") for n in range(1000)]
    removed = [one for one in made if one.action is Action.REMOVE]
    held = [one for one in made if one.decided_by == "cap"]
    # 1,000 s fill 1.4 tokens again.
    assert (len(removed), len(held)) == (6, 994)
    assert {one.action for one in held} == {Action.REVIEW}
    assert {one.statement for one in held} == {None}
    told = held[0].reasons[0]
    assert "list/bad-hash" in told and "removed 5 uploads in 3600 s" in told
    assert "its entry may be wrong" in told
    assert held[0].rule == "copyright-match" and len(held[0].reasons) > 1
    assert CAPPED_MATCHES._value.get() - before == 994
    (line,) = caplog.records
    assert line.work == "list/bad-hash"  # type: ignore[attr-defined]
    # Another work is removed as ever, and what matches both waits.
    assert decided(decider, 2000, 1000, "film").action is Action.REMOVE
    assert decided(decider, 2001, 1000, "film", "list/bad-hash").action is Action.REVIEW
    assert decided(decider, 2002, 1000 + 3600, "list/bad-hash").action is Action.REMOVE


def test_a_verdict_names_the_works_and_keeps_them() -> None:
    decider = Decider(POLICY)
    verdict = decided(decider, 1, 0, "film", "film", "other")
    (match,) = [one for one in verdict.predictions if one.detector == "copyright"]
    assert match.works == ("film", "other")
    assert all(one.works is None for one in verdict.predictions if one is not match)
    assert b'"works":["film","other"]' in verdict.to_bytes()
    compact = CompactPrediction.of(matching(1, "film"))
    assert CompactPrediction.of_row(list(compact)) == compact
    upload = an_upload(3, 0)
    case = decider.case()
    case.on_upload(upload, after(0))
    case.on_prediction(matching(3, "film", score=0.7), after(1))
    restored = decider.restore(case.snapshot())
    assert restored.snapshot() == case.snapshot()
    verdict = restored.on_end(after(2))[0].verdict
    (used,) = [one for one in verdict.predictions if one.detector == "copyright"]
    assert used.works == ("film",)


def removal(number: int, at: float, work: str, rule: str = "copyright-match") -> Verdict:
    match = {"id": "p", "detector": "copyright", "version": "1", "status": "scored", "score": 0.99}
    return Verdict.model_validate(
        {
            "id": f"v{number}", "upload_id": f"u{number}", "action": "remove", "revision": 1,
            "policy_version": "p", "rule": rule, "reasons": ("Certain.",), "decided_by": "policy",
            "at": after(at), "latency": 0, "predictions": [{**match, "works": (work,)}],
        }
    )  # fmt: skip


def test_a_removal_for_another_reason_is_not_counted() -> None:
    cap = Cap(POLICY)
    for n in range(9):
        assert not cap.apply(removal(n, n, "w", rule="spam-certain")).capped
    assert not cap.apply(removal(99, 99, "w")).capped


def test_a_repeated_verdict_spends_once_and_a_snapshot_goes_on() -> None:
    cap = Cap(POLICY)
    for _ in range(9):
        assert not cap.apply(removal(1, 0, "w")).capped
    for n in range(2, 6):
        assert not cap.apply(removal(n, 0, "w")).capped
    restored = Cap.restore(POLICY, cap.snapshot())
    result = restored.apply(removal(7, 0, "w"))
    assert (result.capped, result.bucket, result.of) == (True, "w", "matches")
    assert restored.apply(removal(7, 9, "w")).bucket == "w", "it stays what it was"
    old = Cap.restore(POLICY, b"[{},{},{}]")
    assert not old.apply(removal(1, 0, "w")).capped
    assert Cap(load_policy("balanced")).snapshot() == b"[{},{},{}]"


def test_the_buckets_are_bounded_and_the_emptiest_stay() -> None:
    text = TEXT.replace("removals: 500", "removals: 50000").replace(
        "removals: 200", "removals: 90000"
    )
    cap = Cap(
        Policy.from_text(
            text.replace("caps:\n", "caps:\n  each_match: {removals: 5, per: 1 h}\n", 1)
        )
    )
    for n in range(5):
        assert not cap.apply(removal(n, 0, "hot")).capped
    for n in range(3 * MAX_MATCHES):
        assert not cap.apply(removal(100 + n, 1, f"w{n}")).capped
    assert len(cap.snapshot()) < 60 * MAX_MATCHES
    assert cap.apply(removal(9, 2, "hot")).capped


def test_the_section_is_checked_versioned_and_told() -> None:
    balanced = load_policy("balanced")
    assert POLICY.version != balanced.version
    assert differences(balanced, POLICY) == (
        "The cap on removals by one work or hash changes: each match none -> 5 in 3600 s.",
    )
    assert POLICY.caps.each_match is not None and balanced.caps.each_match is None
    only = Policy.from_text(
        "name: x\ndetectors: {copyright: {}}\ncaps: {each_match: {removals: 1, per: 60}}\n"
        "rules: [{name: r, when: 'score(\"copyright\") > 0.5', action: remove, reason: R.}]\n"
    )
    assert only.caps.removals
    cap = Cap(only)
    assert not cap.apply(removal(1, 0, "w", rule="r")).capped
    assert cap.apply(removal(2, 0, "w", rule="r")).bucket == "w"
