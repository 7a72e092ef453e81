"""The whole graph on files and the direct runner: each input comes to exactly one end."""

from __future__ import annotations

import base64
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import MAX_MESSAGE_BYTES, Prediction, Verdict, now, prediction_id
from quorum.core.settings import MediaAccess
from quorum.models.supervision.spec import EnsembleSpec
from quorum.pipeline import graph
from quorum.pipeline.engines import Engine, launch
from quorum.pipeline.streams.open import sink, source
from tests.pipeline.doubles import POLICY, ensemble, lines, policy, upload


class Run:
    """One bounded run of the fused graph over some messages."""

    def __init__(self, folder: Path, messages: list[bytes], **more: Any) -> None:
        self.folder = folder
        (folder / "uploads.jsonl").write_bytes(b"\n".join(messages) + b"\n")

        def at(name: str) -> str:
            return str(folder / f"{name}.jsonl")

        with launch(
            lambda pipeline: graph.stream(
                pipeline,
                uploads=source(at("uploads"), "uploads"),
                verdicts=sink(at("verdicts"), origin="/test"),
                dead_letters=sink(at("dead"), origin="/test"),
                predictions=sink(at("predictions"), origin="/test"),
                ensemble=EnsembleSpec(more.pop("detectors", None) or ensemble(), MediaAccess()),
                policy=more.pop("rules", None) or policy(),
                **more,
            ),
            Engine.DIRECT,
            streaming=False,
        ) as result:
            result.wait_until_finish()
        self.verdicts = {each["upload_id"]: each for each in lines(folder / "verdicts.jsonl")}
        self.all_verdicts = lines(folder / "verdicts.jsonl")
        self.predictions = lines(folder / "predictions.jsonl")
        self.dead = lines(folder / "dead.jsonl")


def test_each_upload_becomes_a_verdict_with_all_its_predictions(tmp_path: Path) -> None:
    run = Run(
        tmp_path,
        [
            upload("clean"),
            upload("bad", script={"alpha": 0.95}),
            upload("mild", script={"beta": 0.6}),
            upload("silent", script={"alpha": "abstain"}),
        ],
    )
    assert {name: each["action"] for name, each in run.verdicts.items()} == {
        "clean": "allow",
        "bad": "remove",
        "mild": "restrict",
        "silent": "allow",
    }
    assert not run.dead
    assert len(run.predictions) == 8
    for verdict in run.all_verdicts:
        assert {each["detector"] for each in verdict["predictions"]} == {"alpha", "beta"}
        assert verdict["decided_by"] == "policy"
        assert verdict["reasons"]


def test_one_bad_record_takes_nothing_else_with_it(tmp_path: Path) -> None:
    deep = b"[" * 20_000 + b"]" * 20_000
    bad = {
        "not json": b'{"id": "x", ',
        "not an object": b"[1, 2]",
        "wrong shape": b'{"id": 5, "uploader": "u", "published_at": "2026-01-31T12:00:00Z"}',
        "no id": b'{"uploader": "u", "published_at": "2026-01-31T12:00:00Z"}',
        "invalid utf-8": b'{"id": "\xff\xfe"}',
        "absurd time": upload("t", published_at="9999-12-31T23:59:59Z"),
        "a time to come": upload("t", published_at="2099-01-01T00:00:00Z"),
        "time without zone": upload("t", published_at="2026-01-31T12:00:00"),
        "time as number": upload("t", published_at=1e30),
        "control characters": upload("a\u0000b"),
        "five megabytes": upload("big", title="x" * 5_000_000),
        "deep": deep,
    }
    good = [upload(f"good-{index}") for index in range(20)]
    mixed = [*good[:10], *bad.values(), *good[10:]]
    run = Run(tmp_path, mixed)
    assert set(run.verdicts) == {f"good-{index}" for index in range(20)}
    assert sorted(base64.b64decode(each["data"]) for each in run.dead) == sorted(bad.values())
    assert all(each["stage"] == "stream.uploads" and each["error"] for each in run.dead)


def test_unknown_fields_and_empty_texts_are_accepted(tmp_path: Path) -> None:
    run = Run(
        tmp_path,
        [
            upload("unknown", season=3, nested={"a": [1, None]}),
            upload("empty", title="", description="", tags=[], comments=[]),
            upload("large", title="x" * (MAX_MESSAGE_BYTES - 500)),
        ],
    )
    assert set(run.verdicts) == {"unknown", "empty", "large"}
    assert not run.dead


@pytest.mark.parametrize(
    ("script", "told"),
    [("raise", "broke"), ("hang", "time"), ("short", "")],
    ids=["raises", "hangs", "wrong length"],
)
def test_a_detector_that_fails_is_a_prediction_that_failed(
    tmp_path: Path, script: str, told: str
) -> None:
    run = Run(
        tmp_path,
        [upload("fine"), upload("bad", script={"alpha": script}), upload("fine-too")],
        detectors=ensemble(timeout=1.0),
    )
    assert set(run.verdicts) == {"fine", "bad", "fine-too"}
    by_upload = {each["upload_id"]: each for each in run.predictions if each["detector"] == "alpha"}
    assert by_upload["bad"]["status"] == "failed"
    assert told in by_upload["bad"]["reason"]
    assert "score" not in by_upload["bad"]
    assert run.verdicts["bad"]["action"] == "review"
    if script != "hang":
        assert by_upload["fine"]["status"] == by_upload["fine-too"]["status"] == "scored"
        assert run.verdicts["fine"]["action"] == "allow"
    betas = [each for each in run.predictions if each["detector"] == "beta"]
    assert all(each["status"] == "scored" for each in betas)


def test_a_duplicate_changes_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path, [upload("twice", script={"alpha": 0.95})] * 3)
    assert len({each["id"] for each in run.all_verdicts}) == 1
    assert [each["revision"] for each in run.all_verdicts] == [1]


def test_predictions_from_elsewhere_join_and_orphans_die_whole(tmp_path: Path) -> None:
    def elsewhere(upload_id: str) -> bytes:
        return Prediction(
            id=prediction_id(upload_id, "gamma", "1"),
            upload_id=upload_id,
            detector="gamma",
            version="1",
            status="scored",
            score=0.99,
            at=now(),
        ).to_bytes()

    orphan = elsewhere("nobody")
    (tmp_path / "others.jsonl").write_bytes(
        b"\n".join([elsewhere("known"), orphan, b"nonsense"]) + b"\n"
    )
    run = Run(
        tmp_path,
        [upload("known")],
        rules=policy(),
        others=[source(str(tmp_path / "others.jsonl"), "predictions")],
    )
    assert {each["detector"] for each in run.verdicts["known"]["predictions"]} >= {"alpha", "beta"}
    assert set(run.verdicts) == {"known"}
    by_stage = {each["stage"]: base64.b64decode(each["data"]) for each in run.dead}
    assert by_stage == {"decide.predictions": by_stage["decide.predictions"]}
    assert sorted(base64.b64decode(each["data"]) for each in run.dead) == sorted(
        [orphan, b"nonsense"]
    )


def test_apart_gives_the_same_verdicts_as_fused(tmp_path: Path) -> None:
    messages = [
        upload("clean"),
        upload("bad", script={"alpha": 0.95}),
        upload("broken", script={"beta": "raise"}),
        b"nonsense",
    ]
    fused = Run(tmp_path, messages)
    apart = tmp_path / "apart"
    apart.mkdir()
    uploads = str(tmp_path / "uploads.jsonl")
    with launch(
        lambda pipeline: graph.detect(
            pipeline,
            uploads=source(uploads, "uploads"),
            predictions=sink(str(apart / "predictions.jsonl"), origin="/test"),
            dead_letters=sink(str(apart / "dead.jsonl"), origin="/test"),
            ensemble=EnsembleSpec(ensemble(), MediaAccess()),
        ),
        Engine.DIRECT,
        streaming=False,
    ) as result:
        result.wait_until_finish()
    with launch(
        lambda pipeline: graph.decide(
            pipeline,
            sources=[
                source(uploads, "uploads"),
                source(str(apart / "predictions.jsonl"), "predictions"),
            ],
            verdicts=sink(str(apart / "verdicts.jsonl"), origin="/test"),
            dead_letters=sink(str(apart / "dead.jsonl"), origin="/test"),
            policy=policy(),
        ),
        Engine.DIRECT,
        streaming=False,
    ) as result:
        result.wait_until_finish()
    found = {each["upload_id"]: each for each in lines(apart / "verdicts.jsonl")}
    for name, verdict in fused.verdicts.items():
        assert found[name]["action"] == verdict["action"]
        assert found[name]["rule"] == verdict["rule"]
    assert len(found) == 3
    assert {each["stage"] for each in lines(apart / "dead.jsonl")} == {
        "detect.uploads",
        "decide.uploads",
    }


def test_verdicts_are_valid_messages(tmp_path: Path) -> None:
    run = Run(tmp_path, [upload("one")])
    verdict = Verdict.from_bytes(json.dumps(run.all_verdicts[0]).encode())
    assert verdict.policy_version == policy().version
    assert verdict.latency >= 0


def test_removals_stop_at_the_policys_cap(tmp_path: Path) -> None:
    capped = Policy.from_text(f"{POLICY}\ncaps:\n  each_rule: {{removals: 3, per: 1 h}}\n")
    uploads = [upload(f"bad-{n}", script={"alpha": 0.95}) for n in range(8)]
    run = Run(tmp_path, [*uploads, upload("clean")], rules=capped)
    ends = Counter((each["action"], each["decided_by"]) for each in run.all_verdicts)
    assert ends == {("remove", "policy"): 3, ("review", "cap"): 5, ("allow", "policy"): 1}
