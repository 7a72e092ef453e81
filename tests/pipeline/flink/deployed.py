"""What an operator of a job on Flink has: streams, a worker pool, policies, the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.flink.cluster import Flink, Pool
from quorum.core.messages import Prediction, Status, now, prediction_id
from tests.hanging import install_hanging
from tests.pipeline.doubles import upload
from tests.pipeline.jobs import Streams, wait_until

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
