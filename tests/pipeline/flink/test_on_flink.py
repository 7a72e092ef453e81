"""A stream on a real Flink cluster, by the command line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.flink.cluster import Flink, Pool
from quorum.aggregator.features.table import Counted, FeatureTable
from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import PolicyRelease, Upload, Verdict, now
from tests.hanging import hanging_environment, install_hanging
from tests.pipeline.doubles import upload
from tests.pipeline.jobs import Job, Streams, fused, wait_until

pytestmark = [pytest.mark.emulator, pytest.mark.slow, pytest.mark.timeout(600)]


#: Both count what the first one does, in the state that the first one began.
FEATURES = """
features:
  uploads: {kind: count, by: uploader, over: 1 d}
  copies: {kind: wave, by: media, over: 1 h, uploads: 3, uploaders: 3}
"""


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Options of a job with a cheap detector, which the workers find, too."""
    made = install_hanging(tmp_path / "plugin")
    with (tmp_path / "plugin" / "policy.yaml").open("a") as policy:
        policy.write(FEATURES)
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
        *("--policies", streams.subscription("policies-stream")),
    )


class Made:
    """Uploads, each part ten seconds later than the one before."""

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self.uploads: dict[str, Upload] = {}
        self.at = datetime(2026, 1, 31, 12, tzinfo=UTC)

    def publish(self, names: list[str], **more: str) -> set[str]:
        self.at += timedelta(seconds=10)
        at = self.at.isoformat()
        data = [upload(name, published_at=at, **more) for name in names]
        self.uploads |= {one.id: one for one in map(Upload.model_validate_json, data)}
        self.streams.publish("uploads", data)
        return set(names)

    def copies(self, names: list[str]) -> set[str]:
        """The same media by many."""
        for name in names:
            self.publish([name], uploader=name, media="https://m.example/1.mp4")
        return set(names)

    def by_table(self, policy: Policy) -> dict[str, Counted]:
        """What one table says of them in order, as a backtest has it."""
        table = FeatureTable([policy])
        return {one.id: table.count(one) for one in self.uploads.values()}


def test_nothing_is_lost_or_decided_twice_when_workers_and_taskmanager_are_killed(
    flink: Flink, pool: Pool, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features and waves are those of a table, and a policy is released between the kills."""
    monkeypatch.setenv("QUORUM_FLINK_JOB_SERVER", str(flink.jars))
    streams = Streams()
    made = Made(streams)
    names = [f"u{number}" for number in range(150)]
    first = Policy.from_text(Path(options[-1]).read_text())
    second = Policy.from_text(first.text.replace("name: hanging", "name: second"))
    with start(streams, tmp_path, flink, pool, options) as job:
        streams.publish("uploads", [b"no upload"])
        expected = made.publish(names[:50])
        streams.await_verdicts(expected, job, 180)
        expected |= made.copies(["copy0", "copy1", "copy2"])
        streams.await_verdicts(expected, job, 60)

        # The source keeps nothing: the checkpoint of an idle stream does not grow.
        begun = flink.checkpoint()[0]
        wait_until(lambda: flink.checkpoint()[0] >= begun + 2, 60, job.log)
        count, size = flink.checkpoint()
        wait_until(lambda: flink.checkpoint()[0] >= count + 5, 60, job.log)
        assert flink.checkpoint()[1] <= size * 1.001
        before = set(expected)

        release = PolicyRelease(policy_version=second.version, text=second.text, by="ana", at=now())
        streams.publish("policies", [release.to_bytes()])
        turns = iter(range(1000))

        def has_taken_over() -> bool:
            expected.update(made.publish([f"turn{next(turns)}"], uploader="ann"))
            streams.await_verdicts(expected, job, 60)
            return streams.verdicts[-1].policy_version == second.version

        wait_until(has_taken_over, 60, job.log)
        between = set(expected)
        expected |= made.publish(names[50:100]) | made.copies(["copy3"])
        pool.restart()
        streams.await_verdicts(expected, job, 180)

        # What no checkpoint has yet comes again, behind what is new: that would count too few.
        count = flink.checkpoint()[0]
        wait_until(lambda: flink.checkpoint()[0] >= count + 2, 60, job.log)
        expected |= made.publish(names[100:]) | made.copies(["copy4"])
        flink.restart_taskmanager()
        streams.await_verdicts(expected, job, 180)
        # Open cases are the cluster's: a client that is told to stop leaves its job.
        assert job.stop() == 0, job.log()
    assert flink.running()
    with start(streams, tmp_path, flink, pool, options) as again:
        assert again.process.wait(120) == 78
        assert "runs already" in again.log()
    expected |= made.publish(["after"])
    streams.await_verdicts(expected, job, 60)
    flink.cancel(flink.running())
    ids: dict[tuple[str, str], dict[str, Verdict]] = defaultdict(dict)
    counted = made.by_table(first)
    assert [len(counted[f"copy{n}"].campaigns) for n in range(5)] == [0, 0, 1, 1, 1]
    for verdict in streams.verdicts:
        name = verdict.upload_id
        ids[name, verdict.policy_version][verdict.id] = verdict
        assert verdict.features == counted[name].values, name
        assert (verdict.campaigns or ()) == counted[name].campaigns, name
        # What came while it was released may be decided by both, where a kill takes a checkpoint.
        if name in before or name not in between:
            wanted = first if name in before else second
            assert verdict.policy_version == wanted.version, name
    assert {name for name, _ in ids} == expected
    assert not [each for each in ids.values() if len(each) > 1]
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
