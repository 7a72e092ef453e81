"""A policy that is released while a job runs: two versions in flight, and a kill between them.

The second one is rolled out to half of the uploaders, and the roll-back stops that.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from quorum.aggregator.decision.evaluate import decide
from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import PolicyRelease, Prediction, Upload, Verdict, now, prediction_id
from tests.pipeline.doubles import policy, upload
from tests.pipeline.jobs import Job, Streams, wait_until

pytestmark = [pytest.mark.emulator, pytest.mark.prism, pytest.mark.timeout(300)]

START = policy()
#: Both decide the same predictions, and differently.
MILD = Policy.from_text(START.text.replace("name: scripted", "name: mild"))
STRICT = Policy.from_text(
    START.text.replace("name: scripted", "name: strict").replace(">= 0.9", ">= 0.6")
)
ROLLED = MILD.with_candidate(STRICT, 50)
SCORES = {"alpha": 0.7, "beta": 0.1}


def predictions(upload_id: str) -> list[Prediction]:
    return [
        Prediction.model_validate(
            {
                "id": prediction_id(upload_id, name, "1"),
                "upload_id": upload_id,
                "detector": name,
                "version": "1",
                "status": "scored",
                "score": score,
                "at": now(),
            }
        )
        for name, score in SCORES.items()
    ]


def publish(streams: Streams, names: list[str]) -> None:
    streams.publish("uploads", [upload(name, uploader=name) for name in names])
    streams.publish("predictions", [one.to_bytes() for name in names for one in predictions(name)])


def release(streams: Streams, made: Policy) -> None:
    one = PolicyRelease(policy_version=made.version, text=made.text, by="ana", at=now())
    streams.publish("policies", [one.to_bytes()])


def job(streams: Streams, folder: Path, policy_file: Path) -> Job:
    return Job(
        "decide",
        *("--uploads", streams.subscription("uploads-decide")),
        *("--predictions", streams.subscription("predictions-decide")),
        *("--verdicts", streams.topic("verdicts")),
        *("--dead-letters", streams.topic("dead-letters")),
        *("--policy", str(policy_file)),
        *("--policies", streams.subscription("policies-decide")),
        folder=folder,
    )


def of(streams: Streams, prefix: str) -> list[Verdict]:
    return [each for each in streams.verdicts if each.upload_id.startswith(prefix)]


def test_each_verdict_is_by_the_version_that_it_names_through_a_change_and_a_kill(
    emulator: str, prism: str, tmp_path: Path
) -> None:
    streams = Streams()
    file = tmp_path / "start.yaml"
    file.write_text(START.text)
    release(streams, MILD)
    published: list[str] = []

    def send(prefix: str, count: int) -> None:
        names = [f"{prefix}-{number}" for number in range(count)]
        published.extend(names)
        publish(streams, names)

    with job(streams, tmp_path, file) as first:
        send("before", 20)
        streams.await_verdicts(set(published), first)
        assert {each.policy_version for each in of(streams, "before")} == {MILD.version}

        release(streams, ROLLED)
        # Uploads go on arriving until one is decided by the new version.
        batches = iter(range(1000))

        def has_taken_over() -> bool:
            send(f"during-{next(batches)}", 5)
            streams.listen()
            return any(each.policy_version == STRICT.version for each in streams.verdicts)

        wait_until(has_taken_over, 60, first.log)
        send("killed", 50)
        first.kill()

    # The same command again, which names the policy from before both releases.
    with job(streams, tmp_path, file) as second:
        send("after", 20)
        streams.await_verdicts(set(published), second, 120)
        release(streams, MILD)
        wait_until(
            lambda: (
                send(f"back-{next(batches)}", 2)
                or streams.listen()
                or any(each.policy_version == MILD.version for each in of(streams, "back"))
            ),
            60,
            second.log,
        )
        streams.await_verdicts(set(published), second)
        assert second.stop() == 0, second.log()

    for each in of(streams, "after"):
        side = ROLLED.decides(each.upload_id, each.upload_id)
        assert each.policy_version == side.version
        assert each.rollout == {STRICT.version: "in" if side == STRICT else "out"}
    assert {each.policy_version for each in of(streams, "after")} == {
        STRICT.version,
        ROLLED.version,
    }
    assert streams.decided() == set(published)
    assert not streams.dead
    by_version = {made.version: made for made in (MILD, STRICT, ROLLED)}
    for verdict in streams.verdicts:
        named = by_version[verdict.policy_version]
        again = decide(
            named,
            Upload.model_validate_json(upload(verdict.upload_id, uploader=verdict.upload_id)),
            {one.detector: one for one in verdict.predictions},
        )
        assert (verdict.action, verdict.rule) == (again.action, again.rule)
