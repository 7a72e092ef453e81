"""The job under test: it is started again when it ends, and what ended it is told."""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.soak.history import History, JobEnded, JobStarted, read_history
from benchmarks.soak.job import Job


def test_a_job_that_ends_by_itself_is_told_with_the_end_of_its_log_and_started_again(
    tmp_path: Path,
) -> None:
    history = History(tmp_path / "history.jsonl")
    job = Job(["no-such-verb"], os.environ, history, tmp_path / "job.log")
    end = time.monotonic() + 60
    while job.ends < 2 and time.monotonic() < end:
        time.sleep(0.1)
    job.close()
    history.close()
    events = list(read_history(tmp_path / "history.jsonl"))
    ended = [event for event in events if isinstance(event, JobEnded)]
    assert len(ended) >= 2
    assert (ended[0].code, ended[0].by) == (2, "")
    assert "no-such-verb" in ended[0].tail
    assert sum(isinstance(event, JobStarted) for event in events) >= 2
    assert b"no-such-verb" in (tmp_path / "job.log").read_bytes()


def test_an_end_by_our_doing_is_told_as_such(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    job = Job(["no-such-verb"], os.environ, history, tmp_path / "job.log")
    job.expect_end("kill")
    end = time.monotonic() + 60
    while not job.ends and time.monotonic() < end:
        time.sleep(0.05)
    job.close()
    history.close()
    events = list(read_history(tmp_path / "history.jsonl"))
    first = next(event for event in events if isinstance(event, JobEnded))
    assert (first.by, first.tail) == ("kill", "")
