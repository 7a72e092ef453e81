"""Rules for a share of uploaders: the same uploader is always on the same side."""

from __future__ import annotations

import pickle
import random
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.aggregator.decider import Decider
from quorum.aggregator.decision.compact import CompactPrediction
from quorum.aggregator.decision.evaluate import decide, evaluate
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.policy.rollout import Rollout, place_of
from quorum.aggregator.study.check import check_policy
from quorum.aggregator.study.difference import in_short
from quorum.aggregator.study.explain import explain
from quorum.aggregator.study.record import PastCase
from quorum.aggregator.study.rollout import Outcome, compare
from quorum.core.errors import PolicyError
from quorum.core.messages import Action, Prediction, Upload, now, prediction_id

TEXT = """
name: rolled
detectors: {spam: {}}
rules:
  - {name: new, when: 'score("spam") >= 0.5', action: remove, reason: New.,
     rollout: {percent: PERCENT, salt: s}}
  - {name: old, when: 'score("spam") >= 0.4', action: review, reason: Old.}
"""
UPLOADERS = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=20)


def policy(percent: float) -> Policy:
    return Policy.from_text(TEXT.replace("PERCENT", str(percent)))


def upload(uploader: str, upload_id: str = "u") -> Upload:
    return Upload.model_validate(
        {"id": upload_id, "uploader": uploader, "title": "t", "published_at": now()}
    )


def prediction(score: float, upload_id: str = "u") -> Prediction:
    return Prediction.model_validate(
        {
            "id": prediction_id(upload_id, "spam", "1"),
            "upload_id": upload_id,
            "detector": "spam",
            "version": "1",
            "status": "scored",
            "score": score,
            "at": now(),
        }
    )


@given(st.text(max_size=10), UPLOADERS, st.floats(0, 100), st.floats(0, 100))
def test_a_greater_share_takes_the_same_uploaders_and_more(
    salt: str, uploader: str, one: float, other: float
) -> None:
    least, most = sorted((one, other))
    assert Rollout(least, salt).takes(uploader, "u") <= Rollout(most, salt).takes(uploader, "u")
    assert not Rollout(0, salt).takes(uploader, "u")
    assert Rollout(100, salt).takes(uploader, "u")


@given(UPLOADERS, st.text(min_size=1), st.text(min_size=1))
def test_only_the_uploader_counts_and_without_one_the_upload(
    uploader: str, one: str, other: str
) -> None:
    rollout = Rollout(50, "s")
    assert rollout.takes(uploader, one) == rollout.takes(uploader, other)
    assert rollout.takes("", uploader) == rollout.takes(uploader, "")


def test_the_place_of_an_uploader_is_the_documented_one() -> None:
    assert place_of("s", "ana") == 75.88793074157235
    places = [place_of("s", str(number)) for number in range(10_000)]
    assert abs(sum(place < 5 for place in places) / 10_000 - 0.05) < 0.01
    others = [place_of("t", str(number)) for number in range(10_000)]
    both = sum(one < 50 and other < 50 for one, other in zip(places, others, strict=True))
    assert abs(both / 10_000 - 0.25) < 0.02


@settings(max_examples=25)
@given(st.lists(UPLOADERS, min_size=1, max_size=8, unique=True), st.floats(0, 100), st.randoms())
def test_stream_web_and_backtest_decide_each_uploader_alike_in_any_order(
    uploaders: list[str], percent: float, order: random.Random
) -> None:
    rolled = policy(percent)
    decider = Decider(rolled)
    expected = {
        name: "remove" if place_of("s", name) < percent or percent == 100 else "review"
        for name in uploaders
    }
    order.shuffle(uploaders)
    for number, name in enumerate(uploaders):
        one, made = upload(name, f"u{number}"), prediction(0.9, f"u{number}")
        at = now()
        # As web, batch and moderate do; and as the stream does, from a snapshot.
        first = decider.first(one, [made], arrived=at, at=at).verdict
        case = decider.case()
        case.on_upload(one, at)
        (emitted,) = decider.restore(case.snapshot()).on_prediction(made, at)
        past = PastCase.from_json(PastCase.gather(one, [made]).to_json()).decide(rolled)
        assert first.action == expected[name]
        assert emitted.verdict.action == expected[name]
        assert past.action == expected[name]
        assert first.rollout == {"new": "in" if expected[name] == "remove" else "out"}
        assert emitted.verdict.id == first.id


def test_a_rule_that_does_not_take_the_uploader_is_not_waited_for() -> None:
    rolled = policy(50)
    sides = {name: place_of("s", name) < 50 for name in map(str, range(20))}
    for name, taken in sides.items():
        made = {"spam": CompactPrediction.of(prediction(0.45))}
        found = decide(rolled, upload(name), made)
        assert found.action is Action.REVIEW
        waiting = evaluate(rolled, lambda name=name: upload(name), (), {}, frozenset({"spam"}))
        assert not waiting.settled
        assert dict(found.rollout) == {"new": taken}


def test_another_share_is_another_version_and_the_checker_knows_both_sides() -> None:
    assert policy(5).version != policy(6).version
    assert not [one for one in check_policy(policy(5)) if one.severity == "error"]


def outcomes(seed: int, taken_rate: float, other_rate: float, uploaders: int) -> list[Outcome]:
    rng = random.Random(seed)
    made = []
    for number in range(uploaders):
        taken = number % 2 == 0
        rate = taken_rate if taken else other_rate
        # Uploads of one uploader share their fate: they count as one draw.
        removed = rng.random() < rate
        action = "remove" if removed else "allow"
        made += [
            Outcome(str(number), taken, action, None, 1.0 + rng.random())
            for _ in range(rng.randint(1, 5))
        ]
    return made


def test_a_difference_is_called_real_when_there_is_one_however_often_one_looks() -> None:
    report = compare(outcomes(1, 0.3, 0.1, 4000))
    removals = report.differences["remove"]
    assert removals.real
    assert removals.low > 0
    assert removals.low < 0.2 < removals.high
    assert not report.differences["latency"].real
    wrong = 0
    for seed in range(40):
        whole = outcomes(seed, 0.2, 0.2, 600)
        looks = (whole[: len(whole) * part // 6] for part in range(1, 7))
        wrong += any(compare(look).differences["remove"].real for look in looks)
    # At most 2 in 40 are expected; 7 or more of 40 would come about once in 300 such tests.
    assert wrong <= 6


def test_few_uploaders_are_no_evidence() -> None:
    report = compare(outcomes(1, 1.0, 0.0, 40))
    assert not report.differences["remove"].real
    assert not compare([]).differences["remove"].real


CANDIDATE = """
name: stricter
detectors: {spam: {}, nsfw: {required: false, deadline: 5}}
features: {seen: {kind: count, by: uploader, over: 1 h}}
rules:
  - {name: new, when: 'score("spam") >= 0.3', action: restrict, reason: 'New {spam}.'}
  - {name: often, when: 'feature("seen") > 1.0', action: review, reason: Often.}
caps: {rules: {}, reviews: {total: {reviews: 0, per: 1 h}}}
"""
BASE = """
name: mine
detectors: {spam: {}}
rules:
  - {name: old, when: 'score("spam") >= 0.4', action: review, reason: Old.}
"""


def rolled_out(percent: float) -> Policy:
    base = Policy.from_text(BASE)
    return base.with_candidate(Policy.from_text(CANDIDATE), percent, "s: '#")


@settings(max_examples=25)
@given(st.lists(UPLOADERS, min_size=1, max_size=6, unique=True), st.floats(0, 100), st.randoms())
def test_a_candidate_decides_its_uploaders_alike_everywhere_and_the_policy_the_others(
    uploaders: list[str], percent: float, order: random.Random
) -> None:
    rolled = rolled_out(round(percent, 3))
    candidate = Policy.from_text(CANDIDATE)
    order.shuffle(uploaders)
    decider = Decider(rolled)
    for number, name in enumerate(uploaders):
        one, made = upload(name, f"u{number}"), prediction(0.45, f"u{number}")
        at = now()
        side = rolled.decides(name, one.id)
        assert side.version == (
            candidate.version
            if Rollout(round(percent, 3), "s: '#").takes(name, "")
            else rolled.version
        )
        first = decider.first(one, [made], arrived=at, at=at).verdict
        case = decider.case()
        case.on_upload(one, at)
        case = decider.restore(case.snapshot())
        emitted = [*case.on_prediction(made, at), *case.on_deadline(case.notify_at() or at)]
        past = PastCase.from_json(PastCase.gather(one, [made]).to_json())
        for found in (first, emitted[0].verdict):
            assert found.policy_version == side.version
            assert found.rollout == {candidate.version: "in" if side is not rolled else "out"}
            assert found.rule == past.decide(rolled).rule == ("old" if side is rolled else "new")
        assert emitted[0].verdict.id == first.id
        assert past.decide(rolled) == replace(
            past.decide(side), rollout=past.decide(rolled).rollout
        )
        if side is rolled:
            # The detector that the candidate alone asks is neither waited for nor missing.
            assert first.missing == ()


def test_a_candidate_is_part_of_the_policy_and_of_its_version() -> None:
    rolled = rolled_out(5)
    assert rolled.candidate == Policy.from_text(CANDIDATE)
    assert len({rolled.version, rolled_out(6).version, Policy.from_text(BASE).version}) == 3
    assert pickle.loads(pickle.dumps(rolled)).candidate == rolled.candidate
    assert pickle.loads(pickle.dumps(rolled.candidate)) == rolled.candidate
    assert in_short(Policy.from_text(BASE), rolled) == (
        f"rollout: {rolled.candidate.version} decides 5 % (salt s: '#)",
    )
    with pytest.raises(PolicyError, match="has a `rollout` already"):
        rolled.with_candidate(rolled.candidate, 5)


def test_a_verdict_of_the_candidate_is_under_the_candidates_caps() -> None:
    rolled = rolled_out(100)
    at = now()
    decider = Decider(rolled)
    verdicts = [
        decider.first(upload("ana", f"u{number}"), [], arrived=at, at=at).verdict
        for number in range(2)
    ]
    assert {one.decided_by for one in verdicts} == {"cap"}


def test_mistakes_of_a_candidate_have_their_lines_in_the_policy() -> None:
    text = rolled_out(5).text
    nested = "\n    rollout: {percent: 5, policy: {name: z, detectors: {spam: {}}}}\n"
    for wrong, told in (
        (text.replace('"spam") >= 0.3', '"spm") >= 0.3'), r"f:16:\d+: rule `new`: .*`spm`"),
        (text.replace("percent: 5", "percent: 500"), "f:8:3: `rollout.percent`: .*less than"),
        (text + "    deadline: 7\n", r"f:19:5: the candidate's deadline \(7 s\) is not"),
        (text + nested, "f:20:5: a candidate has no `rollout` of its own"),
        (text.replace("  policy:", "  polcy:"), "f:7:1: `policy` is required"),
    ):
        with pytest.raises(PolicyError) as error:
            Policy.from_text(wrong, "f")
        assert re.search(told, "\n".join(map(str, (error.value, *error.value.others))))
    never = Policy.from_text(text.replace(">= 0.3", "> 2.0"))
    assert [one.line for one in check_policy(never) if one.severity == "error"] == [16]


VERSIONS = """
name: versions
detectors:
  spam: {required: true, rollout: {to: spam-next, percent: PERCENT, salt: s}}
  nsfw: {required: false}
rules:
  - {name: sure, when: 'score("spam") >= 0.5', action: remove, category: spam, reason: '{spam}.'}
"""


def versions(percent: float) -> Policy:
    return Policy.from_text(VERSIONS.replace("PERCENT", str(percent)))


@settings(max_examples=25)
@given(UPLOADERS, st.floats(0, 100), st.permutations(["spam", "spam-next", "nsfw"]), st.booleans())
def test_of_two_versions_of_a_detector_the_one_of_the_uploader_counts_in_any_order(
    uploader: str, percent: float, order: list[str], both: bool
) -> None:
    rolled, one = versions(percent), upload(uploader)
    taken = Rollout(percent, "s").takes(uploader, "u")
    counted, other = ("spam-next", "spam") if taken else ("spam", "spam-next")
    scores = {counted: 0.9, other: 0.1, "nsfw": 0.1}
    said = [
        prediction(scores[name]).model_copy(
            update={"detector": name, "id": prediction_id("u", name, "1")}
        )
        for name in order
        if both or name != other
    ]
    at = now()
    decider = Decider(rolled)
    running = {"spam": None, "spam-next": "spam", "nsfw": None}
    assert decider.left_out(one, running) == {other}
    assert decider.left_out(one, {name: running[name] for name in {*running} - {counted}}) == set()
    assert Decider(rolled, [versions(0), versions(100)]).left_out(one, running) == set()
    assert Decider(policy(100)).left_out(one, running) == {"spam-next"}, "nobody counts it"
    first = decider.first(one, said, arrived=at, at=at).verdict
    case = decider.case()
    emitted = list(case.on_upload(one, at))
    for made in said:
        case = decider.restore(case.snapshot())
        emitted += case.on_prediction(made, at)
    assert [made.verdict.rule for made in emitted] == ["sure"], "no other version decides before it"
    past = PastCase.from_json(PastCase.gather(one, said).to_json())
    assert first.rule == past.decide(rolled).rule == "sure"
    assert first.missing == ()
    assert first.rollout == {"spam-next": "in" if taken else "out"}
    assert emitted[0].verdict.rollout == first.rollout
    told = explain(rolled, past)
    assert [each.text for each in told.detectors] == ["scored 0.900", "scored 0.100"]
    assert [change.action for change in told.changes] == [Action.ALLOW]
    # Nothing else than the version of the uploader is waited for.
    waiting = decider.case()
    waiting.on_upload(one, at)
    without = [made for made in said if made.detector != counted]
    assert not [effect for made in without for effect in waiting.on_prediction(made, at)]
    (late,) = waiting.on_deadline(at + timedelta(seconds=30))
    if both:
        # The share changed after the other one was asked: it stands in at the deadline.
        assert (late.verdict.action, late.verdict.missing) == (Action.ALLOW, ())
    else:
        assert (late.verdict.rule, late.verdict.action) == ("missing:spam", Action.REVIEW)


def test_mistakes_of_a_version_of_a_detector_have_their_lines() -> None:
    text = VERSIONS.replace("PERCENT", "5")
    nsfw = "nsfw: {required: false, rollout: {to: TO, percent: 5}}"
    for to, told in (
        ("spam-next", "f:5:37: `spam-next` is rolled out for `spam` already"),
        ("spam", "f:5:37: `spam` counts for itself here"),
        ("sure", "f:5:37: `sure` does not run here: add it to `detectors` of the settings"),
    ):
        with pytest.raises(PolicyError) as error:
            made = Policy.from_text(
                text.replace("nsfw: {required: false}", nsfw.replace("TO", to)), "f"
            )
            made.check_versions({"spam", "spam-next", "nsfw"})
        assert told in "\n".join(map(str, (error.value, *error.value.others)))
    (line,) = in_short(versions(5), versions(10))
    assert line == "detector spam: is replaced by spam-next for 10 % of uploaders (salt s)"
    assert versions(5).version != versions(10).version
