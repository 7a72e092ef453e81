"""A stream on a real Flink cluster, by the command line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.flink.cluster import Flink, Pool
from tests.hanging import hanging_environment, install_hanging
from tests.pipeline.doubles import upload
from tests.pipeline.jobs import Job, Streams, fused, wait_until

pytestmark = [pytest.mark.emulator, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Options of a job with a cheap detector, which the workers find, too."""
    made = install_hanging(tmp_path / "plugin")
    found = hanging_environment(tmp_path / "plugin")["PYTHONPATH"]
    monkeypatch.setenv("PYTHONPATH", found)
    return made


@pytest.fixture
def pool(emulator: str, options: list[str], tmp_path: Path) -> Iterator[Pool]:
    made = Pool(tmp_path)
    yield made
    made.close()


def start(streams: Streams, folder: Path, flink: Flink, pool: Pool, options: list[str]) -> Job:
    return fused(
        streams,
        folder,
        *options,
        *("--runner", "flink", "--flink-master", flink.master, "--flink-pool", pool.address),
    )


def test_nothing_is_lost_or_decided_twice_when_workers_and_taskmanager_are_killed(
    flink: Flink, pool: Pool, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUORUM_FLINK_JOB_SERVER", str(flink.jars))
    streams = Streams()
    names = [f"u{number}" for number in range(150)]
    parts = [names[at : at + 50] for at in range(0, 150, 50)]
    with start(streams, tmp_path, flink, pool, options) as job:
        streams.publish("uploads", [upload(name) for name in parts[0]] + [b"no upload"])
        streams.await_verdicts(set(parts[0]), job, 180)

        # The source keeps nothing: the checkpoint of an idle stream does not grow.
        wait_until(lambda: flink.checkpoint()[0] >= 2, 60, job.log)
        count, size = flink.checkpoint()
        wait_until(lambda: flink.checkpoint()[0] >= count + 5, 60, job.log)
        assert flink.checkpoint()[1] <= size * 1.001

        streams.publish("uploads", [upload(name) for name in parts[1]])
        pool.restart()
        streams.await_verdicts(set(parts[1]), job, 180)

        streams.publish("uploads", [upload(name) for name in parts[2]])
        flink.restart_taskmanager()
        streams.await_verdicts(set(parts[2]), job, 180)
        # Open cases are the cluster's: a client that is told to stop leaves its job.
        assert job.stop() == 0, job.log()
    assert flink.running()
    with start(streams, tmp_path, flink, pool, options) as second:
        assert second.process.wait(120) == 78
        assert "runs already" in second.log()
    streams.publish("uploads", [upload("after")])
    streams.await_verdicts({"after"}, job, 60)
    flink.cancel(flink.running())
    names.append("after")
    ids: dict[str, set[str]] = defaultdict(set)
    for verdict in streams.verdicts:
        ids[verdict.upload_id].add(verdict.id)
    assert set(ids) == set(names)
    assert all(len(each) == 1 for each in ids.values())
    assert len({letter.error for letter in streams.dead}) == 1


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        (["--flink-pool", "localhost:1"], 69, "no worker pool listens at localhost:1"),
        (["--job-endpoint", "localhost:1"], 69, "no job server of Beam listens at localhost:1"),
        (["--", "--paralelism=2"], 78, "--paralelism; did you mean --parallelism?"),
    ],
)
def test_what_a_start_on_flink_lacks_is_told_in_one_line(
    flink: Flink,
    pool: Pool,
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    code: int,
    told: str,
) -> None:
    monkeypatch.setenv("QUORUM_FLINK_JOB_SERVER", str(flink.jars))
    job = fused(
        Streams(),
        tmp_path,
        *options,
        *("--runner", "flink", "--flink-master", flink.master, "--flink-pool", pool.address),
        *more,
    )
    with job:
        assert job.process.wait(120) == code, job.log()
    (line,) = [line for line in job.whole_log().splitlines() if line.startswith("quorum: ")]
    assert told in line
