"""Open cases through the ends of a job: an upgrade, one that fails, a lost JobManager, a drain."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorum.core.messages import Prediction, Status, now, prediction_id
from tests.conftest import REPOSITORY
from tests.hanging import hanging_environment, install_hanging
from tests.pipeline.doubles import upload
from tests.pipeline.flink.running import Flink, Pool
from tests.pipeline.jobs import Streams, wait_until

pytestmark = [pytest.mark.emulator, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(2400)]

#: A case is open until the prediction of a detector elsewhere comes.
POLICY = """
name: {name}
deadline: {deadline} s
retention: 1 h
orphan_wait: {deadline} s
detectors:
  hanging: {{required: true, missing: review, failed: review, abstained: ignore}}
  elsewhere: {{required: true, missing: review, failed: review, abstained: ignore}}
rules:
  - {{name: sure, when: score("elsewhere") >= 0.9, action: remove, category: spam, reason: Sure.}}
"""


class Deployment:
    """What a user has: streams, pools, a policy, and the command line."""

    def __init__(self, flink: Flink, folder: Path) -> None:
        self.flink = flink
        self.folder = folder
        self.streams = Streams()
        self.settings = install_hanging(folder / "plugin")[1]
        self.pool = Pool(folder)

    def policy(self, name: str, deadline: float) -> str:
        path = self.folder / f"{name}.yaml"
        path.write_text(POLICY.format(name=name, deadline=f"{deadline:g}"))
        return str(path)

    def command(self, policy: str, pool: str) -> list[str]:
        return [
            "stream",
            *("--settings", self.settings, "--policy", policy),
            *("--uploads", self.streams.subscription("uploads-stream")),
            *("--other-predictions", self.streams.subscription("predictions-decide")),
            *("--verdicts", self.streams.topic("verdicts")),
            *("--dead-letters", self.streams.topic("dead-letters")),
            *("--runner", "flink", "--flink-master", self.flink.master, "--flink-pool", pool),
        ]

    def run(self, *args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "quorum", *args],
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == code, (args, done.stdout, done.stderr[-3000:])
        return done

    def jobs(self, *args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        verb, *more = args
        return self.run("jobs", verb, "--flink-master", self.flink.master, *more, code=code)

    def publish(self, names: list[str]) -> None:
        self.streams.publish("uploads", [upload(name) for name in names])

    def predict(self, names: list[str]) -> None:
        made = [
            Prediction(
                id=prediction_id(name, "elsewhere", "1"),
                upload_id=name,
                detector="elsewhere",
                version="1",
                status=Status.SCORED,
                score=0.95,
                at=now(),
            )
            for name in names
        ]
        self.streams.publish("predictions", [one.to_bytes() for one in made])

    def await_verdicts(self, names: list[str]) -> None:
        def arrived() -> bool:
            self.streams.listen()
            return set(names) <= self.streams.decided()

        lacking = lambda: f"{sorted(set(names) - self.streams.decided())[:5]}"  # noqa: E731
        wait_until(arrived, 300, lacking)

    def versions(self, names: list[str]) -> set[str]:
        chosen = [one for one in self.streams.verdicts if one.upload_id in names]
        return {one.policy_version.partition("@")[0] for one in chosen}

    def close(self) -> None:
        self.pool.close()


@pytest.fixture
def deployment(
    flink: Flink, emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployment]:
    monkeypatch.setenv("QUORUM_FLINK_JOB_SERVER", str(flink.jars))
    monkeypatch.setenv("PYTHONPATH", hanging_environment(tmp_path / "plugin")["PYTHONPATH"])
    made = Deployment(flink, tmp_path)
    yield made
    made.close()


def test_open_cases_outlive_upgrades_a_failed_one_a_lost_jobmanager_and_a_drain(
    deployment: Deployment, flink: Flink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = deployment.pool.address
    names = [f"u{number}" for number in range(80)]
    parts = [names[at : at + 20] for at in range(0, 80, 20)]

    # The client ends, and the job runs.
    first = deployment.run(
        *deployment.command(deployment.policy("old", 3000), pool), "--detach"
    ).stdout.strip()
    assert flink.running() == first
    (listed,) = json.loads(deployment.jobs("list", "--json").stdout)
    assert (listed["id"], listed["state"], listed["problem"]) == (first, "running", None)
    deployment.publish(names)
    deployment.predict(parts[0])
    deployment.await_verdicts(parts[0])
    assert deployment.versions(parts[0]) == {"old"}

    # A new version, from a savepoint.
    new = deployment.command(deployment.policy("new", 3000), pool)
    second = deployment.jobs("upgrade", first, "--", *new).stdout.strip()
    assert second not in ("", first)
    assert flink.running() == second
    deployment.predict(parts[1])
    deployment.await_verdicts(parts[1])
    assert deployment.versions(parts[1]) == {"new"}

    # One whose workers cannot run it: its pool lacks the detector.
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("PYTHONPATH", str(REPOSITORY))
        (tmp_path / "bad").mkdir()
        bad = Pool(tmp_path / "bad")
    try:
        failing = deployment.command(deployment.policy("bad", 3000), bad.address)
        told = deployment.jobs("upgrade", second, "--", *failing, code=1).stderr
    finally:
        bad.close()
    (line,) = [line for line in told.splitlines() if line.startswith("quorum: ")]
    assert "the old one runs again" in line
    assert "restarted" in line
    assert "hanging" in line
    third = flink.running()
    assert third in line

    # A JobManager without high availability forgets its jobs, and keeps their checkpoints.
    flink.restart_jobmanager()
    assert "no job" in deployment.jobs("show", third, code=1).stderr
    fourth = deployment.jobs("resume", third).stdout.strip()
    assert flink.running() == fourth
    deployment.predict(parts[2])
    deployment.await_verdicts(parts[2])
    assert deployment.versions(parts[2]) == {"new"}

    # The cases that are open end by their deadline, and no upload is pulled meanwhile.
    short = deployment.command(deployment.policy("short", 5), pool)
    fifth = deployment.jobs("upgrade", fourth, "--", *short).stdout.strip()
    deployment.predict(parts[3])
    deployment.await_verdicts(parts[3])
    before = flink.received(fifth)
    deployment.publish(["last"])
    wait_until(lambda: flink.received(fifth) > before, 60, lambda: "the upload did not come")
    deployment.jobs("drain", fifth)
    assert not flink.running()
    flink.await_slot()
    deployment.await_verdicts(["last"])

    ids: dict[str, set[str]] = defaultdict(set)
    for verdict in deployment.streams.verdicts:
        ids[verdict.upload_id].add(verdict.id)
    assert set(ids) == {*names, "last"}
    assert all(len(each) == 1 for each in ids.values())
    assert not deployment.streams.dead
