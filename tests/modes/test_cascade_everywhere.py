"""With a cascade, as without: the same actions on a stream, in a batch and behind a request."""

from __future__ import annotations

import json
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs quorum-moderation[web]")

import apache_beam as beam
import httpx

from quorum.aggregator.decision.settling import settled
from quorum.aggregator.policy.policy import Policy
from quorum.apps.web.app import create_app
from quorum.core.messages import NOT_ASKED, Upload, Verdict
from quorum.core.settings import MediaAccess, Settings, WorkerSettings
from quorum.models.configured import ConfiguredDetector
from quorum.models.detectors import Feature, Features, Finding
from quorum.models.ensemble import Ensemble
from quorum.models.plan import Plan, Settled
from quorum.models.supervision.spec import EnsembleSpec
from quorum.pipeline import graph
from quorum.pipeline.batch.run import BatchOptions, ModerateBatch
from quorum.pipeline.batch.sources import FileBatch
from quorum.pipeline.engines import Engine, launch
from quorum.pipeline.moderator import Moderator
from quorum.pipeline.streams.open import sink, source
from quorum.store.ledger import Ledger, TimeRange
from tests.apps.web.serving import run
from tests.pipeline.doubles import Scripted

POLICY = Policy.from_text("""
name: cascaded
deadline: 30 s
quorum: 1
detectors:
  alpha: {required: true, missing: review, failed: review, abstained: ignore}
  beta: {required: true, missing: review, failed: review, abstained: restrict}
  gamma: {required: false}
rules:
  - {name: gamma-first, when: 'score("gamma") >= 0.9', action: remove, category: spam,
     reason: Gamma.}
  - {name: alpha-certain, when: 'score("alpha") >= 0.9', action: remove, category: spam,
     reason: Alpha.}
  - {name: beta-likely, when: 'score("beta") >= 0.5', action: review, category: violence,
     reason: Beta.}
  - {name: alpha-some, when: 'score("alpha") >= 0.4', action: restrict, category: spam,
     reason: Some.}
""")


class Costly(Scripted):
    """Wants more than words; counts what it was given."""

    needs = frozenset({Feature.AUDIO})
    asked = 0

    def score(self, batch: list[Features]) -> list[Finding]:  # type: ignore[override]
        type(self).asked += len(batch)
        return list(super().score(batch))


def make(name: str) -> Scripted:
    return Scripted(name) if name == "alpha" else Costly(name)


class Load:
    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self) -> Scripted:
        return make(self.name)

    def __repr__(self) -> str:
        return f"cascade-everywhere-{self.name}"


NAMES = ("alpha", "beta", "gamma")


def uploads(count: int, seed: int) -> list[Upload]:
    chance = random.Random(seed)
    answers: list[Any] = [0.0, 0.1, 0.45, 0.6, 0.92, 0.99, "abstain", "raise"]
    made = []
    for number in range(count):
        script = {name: chance.choice(answers) for name in NAMES}
        told = {
            "id": f"u{number}",
            "uploader": "by",
            "title": "a title",
            "published_at": "2026-01-31T12:00:00Z",
            "script": script,
        }
        made.append(Upload.model_validate_json(json.dumps(told)))
    return made


def ensemble(cascade: bool) -> Ensemble:
    return Ensemble(
        [ConfiguredDetector(name, Load(name)) for name in NAMES], MediaAccess(), cascade
    )


def streamed(
    file: Path, folder: Path, cascade: bool, *, isolation: bool = True
) -> dict[str, Verdict]:
    out = folder / "out.jsonl"

    def build(pipeline: beam.Pipeline) -> None:
        graph.stream(
            pipeline,
            uploads=source(str(file), "uploads"),
            verdicts=sink(str(out), origin="/test"),
            dead_letters=sink(str(folder / "dead.jsonl"), origin="/test"),
            ensemble=EnsembleSpec(
                tuple(ConfiguredDetector(name, Load(name)) for name in NAMES),
                MediaAccess(),
                partial(settled, (POLICY,)),
                cascade,
                WorkerSettings(isolation=isolation),
            ),
            policy=POLICY,
        )

    with launch(build, Engine.DIRECT, streaming=False) as result:
        result.wait_until_finish()
    assert not (folder / "dead.jsonl").exists() or not (folder / "dead.jsonl").read_bytes()
    made = [Verdict.from_bytes(line) for line in out.read_bytes().splitlines()]
    return {verdict.upload_id: verdict for verdict in made}


def batched(file: Path, folder: Path, cascade: bool, **more: Any) -> dict[str, Verdict]:
    url = f"sqlite:///{folder}/ledger.db"
    with Ledger(url, create=True) as ledger:
        how = BatchOptions(POLICY, Settings(), url, ensemble=lambda: ensemble(cascade), **more)
        files = FileBatch(str(file))

        def build(pipeline: beam.Pipeline) -> None:
            pipeline | ModerateBatch(files, files.ranges(TimeRange(), 1), how)

        with launch(build, Engine.DIRECT, streaming=False) as result:
            result.wait_until_finish()
        cases = ledger.cases(parts=("verdicts",))
        return {case.upload_id: case.verdict for case in cases if case.verdict}


def requested(some: list[Upload], cascade: bool) -> dict[str, Verdict]:
    with run(create_app(POLICY, ensemble(cascade))) as url:
        body = {"uploads": [json.loads(upload.to_bytes()) for upload in some]}
        answer = httpx.post(f"{url}/v1/moderate:batch", json=body, timeout=60)
        made = [Verdict.model_validate(one["verdict"]) for one in answer.json()["results"]]
    return {verdict.upload_id: verdict for verdict in made}


def moderated(some: list[Upload], cascade: bool) -> dict[str, Verdict]:
    made = Moderator(policy=POLICY, ensemble=ensemble(cascade)).moderate(some)
    return {one.verdict.upload_id: one.verdict for one in made}


def told(verdict: Verdict) -> tuple[object, ...]:
    said = [(one.detector, one.status, one.score, one.reason) for one in verdict.predictions]
    return (verdict.id, verdict.action, verdict.rule, verdict.reasons, sorted(said, key=str))


@pytest.mark.parametrize("seed", [1, 2])
def test_each_mode_decides_the_same_and_spares_the_same(tmp_path: Path, seed: int) -> None:
    some = uploads(90, seed)
    file = tmp_path / "in.jsonl"
    file.write_bytes(b"".join(upload.to_bytes() + b"\n" for upload in some))
    Costly.asked = 0
    without = moderated(some, cascade=False)
    asked_of_all = Costly.asked
    ways = []
    costs = []
    for decide in (
        lambda: streamed(file, tmp_path, True),
        lambda: batched(file, tmp_path, True),
        lambda: requested(some, True),
        lambda: moderated(some, True),
    ):
        Costly.asked = 0
        ways.append(decide())
        costs.append(Costly.asked)
    spared = 0
    for upload in some:
        first, *others = [told(way[upload.id]) for way in ways]
        assert others == [first] * 3, upload.id
        verdict = ways[0][upload.id]
        assert verdict.action is without[upload.id].action
        assert {one.detector for one in verdict.predictions} == set(NAMES)
        reasons = [one.reason for one in verdict.predictions if one.detector != "alpha"]
        if any((reason or "").startswith(NOT_ASKED) for reason in reasons):
            spared += 1
            assert set(reasons) == {"not asked: alpha-certain had settled the action (remove)"}
    assert spared == sum(
        isinstance(made := upload.script["alpha"], float) and made >= 0.9 for upload in some
    )
    assert spared > 10
    assert costs[-1] < asked_of_all


def test_a_changed_plan_changes_every_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = Ensemble.plan

    def changed(ensemble: Ensemble, settled: Settled) -> Plan:
        extract, first, further, second = shipped(ensemble, settled).phases
        moved = tuple(step for step in second if step.name == "Score gamma")
        assert len(moved) == 1
        others = tuple(step for step in second if step not in moved)
        return Plan((extract, (*first, *moved), further, others))

    some = uploads(60, 4)
    file = tmp_path / "in.jsonl"
    file.write_bytes(b"".join(upload.to_bytes() + b"\n" for upload in some))
    shipped_way = moderated(some, cascade=True)
    monkeypatch.setattr(Ensemble, "plan", changed)
    ways = [
        streamed(file, tmp_path, True, isolation=False),  # a child would not see the change
        batched(file, tmp_path, True),
        requested(some, True),
        moderated(some, True),
    ]
    settled_by_gamma = 0
    for upload in some:
        first, *others = [told(way[upload.id]) for way in ways]
        assert others == [first] * 3, upload.id
        assert ways[0][upload.id].action is shipped_way[upload.id].action
        gamma = upload.script["gamma"]
        if isinstance(gamma, float) and gamma >= 0.9:
            settled_by_gamma += 1
            for way, is_changed in [(shipped_way, False), *((way, True) for way in ways)]:
                reasons = {one.detector: one.reason for one in way[upload.id].predictions}
                why = "not asked: gamma-first had settled the action (remove)"
                assert (reasons["beta"] == why) is is_changed
                assert not (is_changed and reasons["gamma"])
    assert settled_by_gamma > 5


def test_a_batch_asks_who_was_spared_when_the_cascade_is_off(tmp_path: Path) -> None:
    some = uploads(30, 3)
    file = tmp_path / "in.jsonl"
    file.write_bytes(b"".join(upload.to_bytes() + b"\n" for upload in some))
    first = batched(file, tmp_path, True)
    again = batched(file, tmp_path, False, again=True)
    url = f"sqlite:///{tmp_path}/ledger.db"
    assert {name: one.action for name, one in first.items()} == {
        name: one.action for name, one in again.items()
    }
    with Ledger(url) as ledger:
        for case in ledger.cases(parts=("predictions",)):
            reasons = [one.reason or "" for one in case.predictions]
            assert not any(reason.startswith(NOT_ASKED) for reason in reasons)


def test_a_setting_turns_it_on() -> None:
    made = Ensemble.of([make(name) for name in NAMES], Settings(cascade=True))
    assert [one.name for one in made.first] == ["alpha"]
    made = Ensemble.of([make(name) for name in NAMES], Settings())
    assert [one.name for one in made.first] == list(NAMES)
