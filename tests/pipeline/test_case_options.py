"""What stands beside the policy in the stateful step: it is told, and decides nothing."""

from __future__ import annotations

import pickle
import random
from collections import Counter
from pathlib import Path
from typing import Any

import prometheus_client as prometheus
from apache_beam.pvalue import TaggedOutput

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.drift import Profiles
from quorum.core.messages import Action, Prediction, Upload, Verdict, now, prediction_id
from quorum.core.settings import DetectorSettings, MediaAccess
from quorum.models.configured import ConfiguredDetector
from quorum.models.supervision.spec import EnsembleSpec
from quorum.pipeline import graph
from quorum.pipeline.cases.in_state import BoundedCaseDoFn
from quorum.pipeline.cases.options import CaseOptions
from quorum.pipeline.engines import Engine, launch
from quorum.pipeline.streams.base import Joined, Received
from quorum.pipeline.streams.open import sink, source
from quorum.store.ledger import Ledger
from tests.pipeline.doubles import POLICY, Load, ensemble, lines, policy, upload


class State:
    value: bytes | None = None

    def read(self) -> list[bytes]:
        return [] if self.value is None else [self.value]

    def add(self, value: bytes) -> None:
        self.value = value

    def clear(self) -> None:
        self.value = None


class Timer:
    def set(self, at: Any) -> None:
        pass


def prediction(upload_id: str, detector: str, score: float, **more: Any) -> Prediction:
    return Prediction(
        id=prediction_id(upload_id, detector, "1"), upload_id=upload_id, detector=detector,
        version="1", status="scored", score=score, at=now(), **more,
    )  # fmt: skip


def decided(step: BoundedCaseDoFn, upload_id: str, scores: dict[str, float]) -> list[Verdict]:
    """What the step gives for one upload, from its arrival to the end of the input."""
    said = [prediction(upload_id, name, score).to_bytes() for name, score in scores.items()]
    received = [Received(data, stream="predictions") for data in said]
    received.append(Received(upload(upload_id), stream="uploads"))
    state = State()
    given = [*step.process((upload_id, Joined(tuple(received))), state, Timer())]
    given += step.on_end(state)
    assert not any(isinstance(each, TaggedOutput) for each in given)
    return [message for each in given for message in each.messages]


def gauge(name: str, **labels: str) -> float | None:
    return prometheus.REGISTRY.get_sample_value(name, labels)


def test_the_gauges_tell_how_scores_moved_in_all_steps_of_this_process() -> None:
    draw = random.Random(1)
    reference = Profiles()
    for number in range(500):
        scores = {"alpha": draw.betavariate(1, 8), "beta": draw.betavariate(1, 8)}
        for verdict in _decided_by(CaseOptions(), f"then-{number}", scores):
            reference.add_verdict(verdict)
    options = CaseOptions(reference=reference)
    steps = [pickle.loads(pickle.dumps(BoundedCaseDoFn(policy(), options))) for _ in range(2)]
    for step in steps:
        step.setup()
    for number in range(500):
        scores = {"alpha": draw.betavariate(1, 8), "beta": draw.betavariate(6, 2)}
        assert len(decided(steps[number % 2], f"now-{number}", scores)) == 1
    alpha, beta = (gauge("quorum_score_stability", detector=name) for name in ("alpha", "beta"))
    assert alpha is not None
    assert beta is not None
    assert alpha < 0.25 < beta


def _decided_by(
    options: CaseOptions,
    upload_id: str,
    scores: dict[str, float],
    rules: Policy | None = None,
) -> list[Verdict]:
    step = BoundedCaseDoFn(rules or policy(), options)
    step.setup()
    try:
        return decided(step, upload_id, scores)
    finally:
        step.teardown()


MILD = Policy.from_text(POLICY.replace("scripted", "mild").replace("remove", "restrict"))


def test_a_policy_in_shadow_is_told_over_all_of_a_case_and_never_acts() -> None:
    options = CaseOptions(shadows=(MILD, policy()))
    (bad,) = _decided_by(options, "bad", {"alpha": 0.95, "beta": 0.1})
    assert (bad.action, bad.rule) == ("remove", "alpha-certain")
    told = (bad.model_extra or {})["shadow_policies"]
    assert [(one["policy_version"], one["action"]) for one in told] == [
        (MILD.version, "restrict"),
        (policy().version, "remove"),
    ]


def test_shadows_in_the_whole_graph_are_recorded_and_never_act(tmp_path: Path) -> None:
    """A policy, and a detector that its settings put in shadow."""
    uploads = [upload(f"u{n}", script={"alpha": n / 10, "gamma": 0.99}) for n in range(10)]
    (tmp_path / "uploads.jsonl").write_bytes(b"\n".join(uploads) + b"\n")
    gamma = ConfiguredDetector("gamma", Load("gamma", -1), DetectorSettings(shadow=True))
    with launch(
        lambda pipeline: graph.stream(
            pipeline,
            uploads=source(str(tmp_path / "uploads.jsonl"), "uploads"),
            verdicts=sink(str(tmp_path / "verdicts.jsonl"), origin="/test"),
            dead_letters=sink(str(tmp_path / "dead.jsonl"), origin="/test"),
            ensemble=EnsembleSpec((*ensemble(), gamma), MediaAccess()),
            policy=WATCHED,
            options=CaseOptions(shadows=(MILD,)),
        ),
        Engine.DIRECT,
        streaming=False,
    ) as result:
        result.wait_until_finish()
    verdicts = lines(tmp_path / "verdicts.jsonl")
    assert Counter(each["action"] for each in verdicts) == {"allow": 9, "remove": 1}
    for each in verdicts:
        (shadow,) = [one for one in each["predictions"] if one.get("shadow")]
        assert (shadow["detector"], shadow["score"]) == ("gamma", 0.99)
        assert each["shadow_rules"] == ["gamma-certain"]
        (told,) = each["shadow_policies"]
        assert told["policy_version"] == MILD.version
        assert told["action"] == ("restrict" if each["action"] == "remove" else "allow")


#: It would remove by what runs in shadow, if that counted.
WATCHED = Policy.from_text(
    POLICY.replace("rules:\n", "  gamma: {required: false, shadow: true}\nrules:\n")
    + "  - {name: gamma-certain, when: 'score(\"gamma\") >= 0.9', action: remove,"
    " category: spam, reason: Gamma., shadow: true}\n"
)


SUSPICIOUS = Policy.from_text(
    POLICY + "  - {name: again, when: 'uploader.strikes >= 1.5 && score(\"alpha\") >= 0.5',"
    " action: review, reason: Again.}\n"
)


def test_past_removals_count_in_the_stream(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    options = CaseOptions(histories=True, ledger=url)
    with Ledger(url, create=True) as ledger:
        for number, action in enumerate(("allow", "remove", "remove")):
            (one,) = _decided_by(options, f"u{number}", {"alpha": 0.6, "beta": 0}, SUSPICIOUS)
            assert one.action == "allow", "two removals make a strike count"
            event = Upload.from_bytes(upload(f"u{number}"))
            ledger.record([event, one.model_copy(update={"action": Action(action)})])
    (suspect,) = _decided_by(options, "u9", {"alpha": 0.6, "beta": 0}, SUSPICIOUS)
    assert (suspect.action, suspect.rule) == ("review", "again")
    (clean,) = _decided_by(options, "u9", {"alpha": 0.1, "beta": 0}, SUSPICIOUS)
    assert clean.action == "allow"
    (same,) = _decided_by(options, "u2", {"alpha": 0.6, "beta": 0}, SUSPICIOUS)
    assert same.action == "allow", "its own verdict is no strike"


def test_a_ledger_that_is_away_stops_nothing_and_hides_nothing(tmp_path: Path) -> None:
    options = CaseOptions(histories=True, ledger=f"sqlite:///{tmp_path}/without-tables.db")
    before = gauge("quorum_unknown_histories_total") or 0
    (suspect,) = _decided_by(options, "u1", {"alpha": 0.6, "beta": 0}, SUSPICIOUS)
    assert (suspect.action, suspect.rule) == ("review", "error:again")
    assert "history is not known" in suspect.reasons[0]
    (clean,) = _decided_by(options, "u2", {"alpha": 0.1, "beta": 0}, SUSPICIOUS)
    assert clean.action == "allow"
    assert gauge("quorum_unknown_histories_total") == before + 2
