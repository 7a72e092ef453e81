"""Open cases through the ends of a job: an upgrade, one that fails, a lost JobManager, a drain."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest

from benchmarks.flink.cluster import Flink, Pool
from tests.conftest import REPOSITORY
from tests.pipeline.flink.deployed import Deployment
from tests.pipeline.jobs import wait_until

pytestmark = [pytest.mark.emulator, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(2400)]


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
    before = flink.received_in_all(fifth)
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


def test_a_rollback_puts_the_version_before_back_with_its_open_cases(
    deployment: Deployment, flink: Flink
) -> None:
    names = [f"u{number}" for number in range(40)]
    parts = [names[at : at + 10] for at in range(0, 40, 10)]
    old, new = (
        deployment.command(deployment.policy(name, 3000), deployment.pool.address)
        for name in ("old", "new")
    )
    first = deployment.run(*old, "--detach").stdout.strip()

    # There is nothing before the first version, and the job is left alone.
    told = deployment.jobs("rollback", first, code=78).stderr
    assert "no version before this one" in told
    assert flink.running() == first

    deployment.publish(names)
    deployment.predict(parts[0])
    deployment.await_verdicts(parts[0])
    assert deployment.versions(parts[0]) == {"old"}

    second = deployment.jobs("upgrade", first, "--", *new).stdout.strip()
    deployment.predict(parts[1])
    deployment.await_verdicts(parts[1])
    assert deployment.versions(parts[1]) == {"new"}

    # Back, and forward again: what was rolled back is the version before now.
    third = deployment.jobs("rollback", second).stdout.strip()
    assert flink.running() == third not in ("", first, second)
    deployment.predict(parts[2])
    deployment.await_verdicts(parts[2])
    assert deployment.versions(parts[2]) == {"old"}
    fourth = deployment.jobs("rollback", third).stdout.strip()
    deployment.predict(parts[3])
    deployment.await_verdicts(parts[3])
    assert deployment.versions(parts[3]) == {"new"}
    flink.cancel(fourth)

    ids: dict[str, set[str]] = defaultdict(set)
    for verdict in deployment.streams.verdicts:
        ids[verdict.upload_id].add(verdict.id)
    assert set(ids) == set(names)
    assert all(len(each) == 1 for each in ids.values())
    assert not deployment.streams.dead
