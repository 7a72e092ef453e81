"""Stream, batch, web and backtest decide the same: through the same case and function."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from apache_beam.pvalue import TaggedOutput

from quorum.aggregator.decider import Decider
from quorum.aggregator.decision.evaluate import Decision, Uploader, decide
from quorum.aggregator.policy.policy import Policy, load_policy, shipped_policies
from quorum.aggregator.study.record import PastCase
from quorum.core.messages import Message, Prediction, Upload, Verdict, now, prediction_id
from quorum.pipeline.cases.in_state import BoundedCaseDoFn
from quorum.pipeline.streams.base import Joined, Received

#: All that a policy can ask for: labels, combiners, lists, history, territories, other detectors.
WHOLE = Policy.from_text("""
name: whole
deadline: 30 s
retention: 1 h
orphan_wait: 10 min
quorum: 1
detectors:
  spam: {required: true, abstained: 0.4}
  violence: {required: true, failed: review}
  copyright: {required: false, missing: restrict}
lists: {trusted: [u1, u2]}
combiners:
  risk: {bias: -1, weights: {spam: 1, violence/fight: 0.7}, absent: {violence/fight: 0.1}}
rules:
  - {name: spam, when: 'score("spam") >= 0.97', action: remove, category: spam, reason: '{spam}'}
  - {name: either, when: 'score("spam") >= 0.9 || score("violence") >= 0.9', action: review,
     category: violence, reason: Either., unless: upload.uploader in lists.trusted}
  - {name: fight, when: 'label("violence/fight") >= 0.6', action: remove, category: violence,
     territories: [DE], reason: 'A fight ({violence/fight}).'}
  - {name: again, when: 'uploader.strikes >= 1.5 && score("copyright", 0.3) >= 0.3',
     action: review, reason: Again.}
  - {name: risky, when: 'combined("risk") >= 0.6', action: restrict, category: spam,
     reason: 'Risky ({risk}).'}
  - {name: stranger, when: '"lab" in predictions && predictions.lab.score > 0.9', action: review,
     reason: A stranger is sure.}
  - {name: silent, when: status("spam") == "failed" && size(missing) > 0, action: remove,
     category: spam, reason: Silent.}
  - {name: trial, when: 'score("spam") > 0.2', action: remove, reason: Trial., shadow: true}
""")


class Past:
    """The history of the uploader of the case that is decided next."""

    def __init__(self) -> None:
        self.uploader = Uploader()

    def of(self, upload: Upload, at: Any) -> Uploader:
        return self.uploader

    def close(self) -> None:
        pass


class State:
    def __init__(self) -> None:
        self.value: bytes | None = None

    def read(self) -> list[bytes]:
        return [] if self.value is None else [self.value]

    def add(self, value: bytes) -> None:
        self.value = value

    def clear(self) -> None:
        self.value = None

    def set(self, at: Any) -> None:
        pass


class Stream:
    """The stateful step of the graph, as an engine runs it for one upload after another."""

    def __init__(self, policy: Policy) -> None:
        self.step = BoundedCaseDoFn(policy)
        self.step.setup()
        self.past: Any = Past()
        self.step._histories = self.past

    def decide(self, messages: list[tuple[str, Message]], uploader: Uploader) -> Verdict:
        self.past.uploader = uploader
        state = State()
        given: list[Any] = []
        arrived = now().timestamp()
        for stream, message in messages:
            received = Received(message.to_bytes(), {}, "", stream, arrived)
            given += self.step.process(("u", Joined((received,))), state, State())
        given += self.step.on_end(state)
        assert state.value is None
        assert not any(isinstance(each, TaggedOutput) for each in given)
        made = [message for each in given for message in each.messages]
        assert isinstance(made[-1], Verdict)
        return made[-1]


def drawn(draw: random.Random, upload: Upload, detector: str) -> Prediction:
    kind = draw.random()
    said: dict[str, Any] = {"status": "failed", "reason": "no luck"}
    if kind < 0.85:
        score = round(draw.betavariate(0.4, 0.8), 3)
        said = {"status": "scored", "score": score}
        if detector == "violence" and kind < 0.5:
            said["labels"] = {"violence/fight": round(score * draw.random(), 3)}
    elif kind < 0.92:
        said = {"status": "abstained", "reason": "nothing to judge"}
    return Prediction(
        id=prediction_id(upload.id, detector, "1"), upload_id=upload.id, detector=detector,
        version="1", at=now(), shadow=draw.random() < 0.05, **said,
    )  # fmt: skip


def told(verdict: Verdict) -> tuple[Any, ...]:
    extra = verdict.model_extra or {}
    return (
        verdict.action,
        verdict.rule,
        verdict.category,
        extra.get("territories", {}),
    )


def meant(decision: Decision) -> tuple[Any, ...]:
    places = {code: action.value for code, action in decision.territories}
    return (decision.action, decision.rule, decision.category, places)


@pytest.mark.parametrize("name", [*shipped_policies(), "whole", "rolled out"])
@pytest.mark.parametrize("cases", [100, pytest.param(2000, marks=pytest.mark.slow)])
def test_all_ways_decide_the_same(name: str, cases: int) -> None:
    policy = load_policy(name) if name in shipped_policies() else WHOLE
    if name == "rolled out":
        version = "spam: {rollout: {to: spam-next, percent: 50, salt: s}, required: true"
        text = WHOLE.text.replace("spam: {required: true", version)
        policy = Policy.from_text(text).with_candidate(load_policy("cautious"), 50)
    draw, stream = random.Random(name), Stream(policy)
    actions: Counter[str] = Counter()
    for number in range(cases):
        upload = Upload(
            id=f"u{number}",
            uploader=f"u{number % 30}",
            published_at=now(),
            territories=draw.choice([(), ("DE",), ("DE", "FR"), ("FR",)]),
        )
        names = ("spam", "violence", "copyright", "lab", *policy.counts_as)
        said = [drawn(draw, upload, one) for one in names if draw.random() < 0.93]
        past = Uploader(
            strikes=draw.choice([0.0, 1.0, 2.5]),
            removals=draw.randrange(3),
            verdicts=draw.randrange(9),
            known=draw.random() < 0.9,
        )
        live = {one.detector: one for one in said if not one.shadow}
        shadows = {f"{one.detector} in shadow": one for one in said if one.shadow}
        wanted = meant(decide(policy, upload, {**live, **shadows}, {}, past))
        at = now() + timedelta(seconds=1)
        # Behind a request and in a batch.
        asked = Decider(policy).first(upload, said, arrived=now(), at=at, uploader=past).verdict
        assert told(asked) == wanted
        assert asked.policy_version == policy.decides(upload.uploader, upload.id).version
        # On a stream: all that was said comes with its upload, or in any order.
        predictions: list[tuple[str, Message]] = [("predictions", one) for one in said]
        messages: list[tuple[str, Message]] = [*predictions, ("uploads", upload)]
        streamed = stream.decide(messages, past)
        assert told(streamed) == wanted
        assert streamed.id == asked.id
        assert streamed.reasons == asked.reasons
        draw.shuffle(messages)
        mixed = stream.decide(messages, past)
        # Who is not in the policy is not waited for; a revision comes where the action changes.
        assert told(mixed) == wanted or (policy.name == WHOLE.name and mixed.action is wanted[0])
        # In a backtest: what was recorded, as lines.
        past_case = PastCase.gather(upload, said, [asked], uploader=past)
        assert meant(past_case.decide(policy)) == wanted
        if past.known:
            read = PastCase.from_json(past_case.to_json())
            assert meant(read.decide(policy)) == wanted
        actions[asked.action.value] += 1
    assert sum(actions.values()) == cases
    assert len(actions) >= 3
