"""The commands of docs/operations.md for a job on a cluster, as they stand, on a real one."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from benchmarks.flink.cluster import Flink
from quorum.core.messages import Upload, now
from quorum.store.ledger import Ledger
from tests.conftest import REPOSITORY
from tests.pipeline.doubles import upload
from tests.pipeline.flink.deployed import Deployment

pytestmark = [pytest.mark.emulator, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(3600)]

_MARK = "<!-- run by tests/pipeline/flink/test_operations_page.py -->\n```\n"
#: Longer than a step takes, since cases must be open through it; the drain takes as long.
_DEADLINE = 200.0


def lines() -> list[str]:
    page = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
    return page.split(_MARK)[1].split("```")[0].strip().splitlines()


class Shell:
    """Runs lines of the page one by one; what a line sets, the next ones have."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.variables: dict[str, str] = {}
        (folder / "bin").mkdir()
        script = f'#!/bin/sh\nexec {sys.executable} -m quorum "$@"\n'
        (folder / "bin" / "quorum").write_text(script)
        (folder / "bin" / "quorum").chmod(0o755)

    def run(self, line: str) -> str:
        before = "".join(f"{key}={shlex.quote(one)}\n" for key, one in self.variables.items())
        kept = self._folder / "kept"
        done = subprocess.run(
            ["bash", "-euc", f"{before}{line}\ndeclare -p JOB > {kept} 2>/dev/null || true"],
            cwd=self._folder,
            env={**os.environ, "PATH": f"{self._folder}/bin:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=1700,
            check=False,
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr[-3000:])
        if found := re.search(r'JOB="(.*)"', kept.read_text()):
            self.variables["JOB"] = found[1]
        return done.stdout


def test_the_page_starts_upgrades_rolls_back_drains_and_restores(
    deployment: Deployment, flink: Flink, tmp_path: Path
) -> None:
    names = [f"u{number}" for number in range(12)]
    parts = [names[at : at + 3] for at in range(0, 12, 3)]
    old, new = (Path(deployment.policy(name, _DEADLINE)) for name in ("old", "new"))
    assert (old.parent, new.parent) == (tmp_path, tmp_path)
    shell = Shell(tmp_path)
    # What a reader has of his own: his streams, his cluster, his ledger.
    command = deployment.command("POLICY", deployment.pool.address)
    at = command.index("--policy")
    shell.variables["STREAMS"] = shlex.join([*command[1:at], *command[at + 2 :]])
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    shell.variables |= {"AT": f"--flink-master {flink.master}", "LEDGER": ledger}
    shell.variables["UPLOADS"] = deployment.streams.subscription("uploads-stream")

    start, upgrade, rollback, drain, restore, again = lines()

    shell.run(start)
    deployment.publish(names)
    deployment.predict(parts[0])
    deployment.await_verdicts(parts[0])
    shell.run(upgrade)
    deployment.predict(parts[1])
    deployment.await_verdicts(parts[1])
    assert deployment.versions(parts[1]) == {"new"}
    shell.run(rollback)
    deployment.predict(parts[2])
    deployment.await_verdicts(parts[2])
    assert deployment.versions([*parts[0], *parts[2]]) == {"old"}
    # The cases that nobody predicts end by their deadline.
    shell.run(drain)
    assert not flink.running()
    flink.await_slot()
    deployment.await_verdicts(names)

    # The ledger knows an upload that the lost state had, and no verdict on it.
    with Ledger(ledger, create=True) as kept:
        lost = Upload.from_bytes(upload("lost"))
        kept.record([lost.model_copy(update={"published_at": now()})])
    assert "1 uploads: published again" in shell.run(restore)
    shell.run(again)
    deployment.predict(["lost"])
    deployment.await_verdicts(["lost"])
    flink.cancel(shell.variables["JOB"])

    ids: dict[str, set[str]] = defaultdict(set)
    for verdict in deployment.streams.verdicts:
        ids[verdict.upload_id].add(verdict.id)
    assert set(ids) == {*names, "lost"}
    assert all(len(each) == 1 for each in ids.values())
