"""How a job was started is kept for its owner, with the version before it."""

from __future__ import annotations

import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from quorum.core.errors import ConfigurationError, QuorumError
from quorum.pipeline.control import launching
from quorum.pipeline.control.flink_client import check_state
from quorum.pipeline.control.launching import plain, start_from, start_update, with_options
from quorum.pipeline.control.records import (
    Command,
    StartedJob,
    changing,
    keep,
    keep_state,
    recorded,
    recorded_jobs,
)
from quorum.pipeline.control.retained import last_checkpoint
from quorum.pipeline.flink.options import FlinkOptions

FIRST = Command(("python", "-m", "quorum", "stream"), "/where")
ONE = StartedJob("http://a:1", "quorum-p-s", "1", FIRST, "0.3.0")


def homeless() -> Path:
    msg = "Could not determine home directory."
    raise RuntimeError(msg)


def gone() -> Path:
    raise FileNotFoundError


def test_a_start_is_kept_with_the_one_before_it(jobs_folder: Path) -> None:
    keep(ONE)
    assert recorded("http://a:1", "quorum-p-s") == ONE
    # The same again, after a restart, leaves the way back as it is.
    keep(replace(ONE, job="2"))
    assert recorded("http://a:1", "quorum-p-s") == replace(ONE, job="2")
    new = replace(ONE, job="3", command=Command(("other", "stream")), version="0.4.0")
    keep(new)
    keep(replace(new, job="4"))
    found = recorded("http://a:1", "quorum-p-s")
    assert found == replace(new, job="4", before=FIRST)
    assert recorded_jobs("http://a:1") == [found]
    assert recorded_jobs("http://b:1") == []
    (path,) = jobs_folder.glob("*.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_where_a_job_was_stopped_is_kept_until_it_is_started_again() -> None:
    keep_state(ONE.place, ONE.name, "s3://x")  # of a job that was started elsewhere
    assert recorded(ONE.place, ONE.name) is None
    keep(ONE)
    keep_state(ONE.place, ONE.name, "s3://x")
    assert recorded(ONE.place, ONE.name) == replace(ONE, state="s3://x")
    keep(ONE)
    assert recorded(ONE.place, ONE.name) == ONE


def test_a_start_without_the_state_that_a_stop_left_is_refused() -> None:
    flink = FlinkOptions(master="a:1", job_name=ONE.name)
    check_state(flink, [])
    keep(ONE)
    check_state(flink, [])
    keep_state(ONE.place, ONE.name, "s3://x")
    with pytest.raises(ConfigurationError, match=r"resume quorum-p-s`.*--savepoint_path=s3://x"):
        check_state(flink, ["--parallelism=2"])
    check_state(flink, ["--parallelism=2", "--savepoint_path=s3://x"])
    check_state(replace(flink, allow_loss=True), [])
    check_state(replace(flink, job_name="another"), [])


def test_a_job_is_changed_by_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with changing(ONE.place, ONE.name):
        with pytest.raises(QuorumError, match="quorum-p-s now"), changing(ONE.place, ONE.name):
            pytest.fail("two at once")
        with changing(ONE.place, "another"):
            pass
    with changing(ONE.place, ONE.name):
        pass
    (tmp_path / "file").touch()
    monkeypatch.setenv("QUORUM_JOBS", str(tmp_path / "file" / "jobs"))
    with changing(ONE.place, ONE.name):
        pass


def test_a_record_that_cannot_be_read_or_written_stops_nothing(
    jobs_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keep(ONE)
    (path,) = jobs_folder.glob("*.json")
    path.write_text('{"place": 1')
    assert recorded("http://a:1", "quorum-p-s") is None
    blocked = jobs_folder.parent / "file"
    blocked.touch()
    monkeypatch.setenv("QUORUM_JOBS", str(blocked / "jobs"))
    keep(ONE)
    assert "an upgrade has no way back" in caplog.text
    caplog.clear()
    for name in ("QUORUM_JOBS", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    # A container's user without a home.
    monkeypatch.setattr(Path, "home", homeless)
    keep(ONE)
    assert "this user has no home; set QUORUM_JOBS" in caplog.text
    assert recorded("http://a:1", "quorum-p-s") is None
    assert recorded_jobs("http://a:1") == []


def test_a_command_is_repeated_without_how_it_was_started() -> None:
    given = ["q", "stream", "--detach", "--uploads", "u", "--", "--parallelism=4",
             "--savepoint_path=x", "--savepoint_path", "y"]  # fmt: skip
    kept = ("q", "stream", "--uploads", "u", "--", "--parallelism=4")
    assert plain(given) == kept
    assert plain(["q", "stream", "--", "--savepointPath=x"]) == ("q", "stream")
    assert with_options(kept, ["--detach"], ["--savepoint_path=z"]) == [
        *("q", "stream", "--uploads", "u", "--detach", "--", "--parallelism=4"),
        "--savepoint_path=z",
    ]
    assert with_options(("q",), (), ["--a=b"]) == ["q", "--", "--a=b"]
    assert with_options(("q",), ["--c"]) == ["q", "--c"]


def shows(code: str, folder: str = "") -> Command:
    return Command((sys.executable, "-c", f"import sys; {code}"), folder)


def test_a_command_is_repeated_where_it_was_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "policy.yaml").write_text("ours")
    reads = shows("print(open('policy.yaml').read())", str(tmp_path))
    assert start_from(reads, "") == "ours"
    with pytest.raises(QuorumError, match=r"cannot be run in /no/such"):
        start_from(Command((sys.executable,), "/no/such"), "")
    monkeypatch.chdir(tmp_path)
    assert Command.here(["q"]) == Command(("q",), str(tmp_path))
    monkeypatch.setattr(Path, "cwd", gone)
    assert Command.here(["q"]) == Command(("q",))


def test_a_cluster_that_is_not_ready_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "_POLL_SECONDS", 0.01)
    seen = tmp_path / "seen"
    code = f"""import pathlib
seen = pathlib.Path({str(seen)!r})
if seen.exists():
    sys.exit(print("id"))
seen.touch()
print("quorum: no Flink cluster answers at http://a:1", file=sys.stderr)
sys.exit(69)"""
    assert start_from(shows(code), "") == "id"


def test_a_start_gives_the_id_or_its_own_error() -> None:
    assert start_from(shows("print('seen'); print(sys.argv[-1])"), "s3://x").split() == [
        "--savepoint_path=s3://x"
    ]
    told = start_update(shows("print(*sys.argv[1:], sep=',')"), "name")
    assert told == "--detach,--,--update,--job_name=name"
    with pytest.raises(QuorumError, match=r"^no pool$"):
        start_from(shows("sys.exit(print('quorum: no pool', file=sys.stderr) or 69)"), "")
    with pytest.raises(QuorumError, match="exit code 3"):
        start_from(shows("sys.exit(3)"), "")
    with pytest.raises(ConfigurationError, match=r"^no such policy$"):
        start_from(shows("sys.exit(print('quorum: no such policy', file=sys.stderr) or 78)"), "")
    with pytest.raises(QuorumError, match="cannot be run"):
        start_from(Command(("/no/such/quorum",)), "")
    with pytest.raises(QuorumError, match="not handed over after"):
        start_from(shows("import time; time.sleep(60)"), "", seconds=0.5)


def test_the_last_checkpoint_of_a_job_is_found_by_its_number(tmp_path: Path) -> None:
    for number in (9, 44, 100):
        made = tmp_path / "job" / f"chk-{number}"
        made.mkdir(parents=True)
        if number != 100:  # one that was not completed
            (made / "_metadata").touch()
    for folder in (f"file://{tmp_path}", f"file:{tmp_path}/", str(tmp_path)):
        assert last_checkpoint(folder, "job") == f"file://{tmp_path}/job/chk-44"
    with pytest.raises(QuorumError, match="quorum jobs restore"):
        last_checkpoint(f"file://{tmp_path}", "other")
    with pytest.raises(QuorumError, match="--from"):
        last_checkpoint("", "job")
