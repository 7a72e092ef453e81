"""Whole jobs on the real emulator and Prism, as an on-call engineer runs, stops and kills them."""

from __future__ import annotations

import json
import os
import random
import time
from collections import defaultdict
from pathlib import Path

import httpx
import pytest

from benchmarks.soak.processes import descendants
from quorum.core.messages import Action, Review, now
from quorum.pipeline.streams.emulator import free_port
from tests.pipeline.doubles import upload
from tests.pipeline.jobs import Job, Streams, fused, wait_until

pytestmark = [pytest.mark.emulator, pytest.mark.prism, pytest.mark.timeout(300)]

SPAM = "Check out my channel and subscribe!! FREE gift cards >>> http://win-cash.example click now"
NICE = "A quiet walk along the river on a sunny afternoon"


def mixed(prefix: str, count: int) -> dict[str, bytes]:
    return {
        f"{prefix}-{index}": upload(
            f"{prefix}-{index}",
            title=SPAM if index % 5 == 0 else NICE,
            comments=[f"comment {index}"],
        )
        for index in range(count)
    }


def engine_seconds(job: int, seconds: float) -> float:
    """Processor seconds that the Prism of a job uses in so many seconds."""

    def spent() -> float:
        (prism,) = [one.pid for one in descendants(job) if one.is_prism]
        fields = Path(f"/proc/{prism}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = spent()
    time.sleep(seconds)
    return spent() - before


def test_a_stream_decides_reports_is_reviewed_and_drains(
    emulator: str, prism: str, tmp_path: Path
) -> None:
    streams = Streams()
    port = free_port()
    uploads = mixed("first", 20)
    streams.publish("uploads", [*uploads.values(), b"nonsense", upload("x", title=5)])
    with fused(streams, tmp_path, "--metrics-port", str(port), "--log-format", "json") as job:
        streams.await_verdicts(set(uploads), job)
        wait_until(lambda: streams.listen() or len(streams.dead) == 2, 20, job.log)
        assert {letter.data for letter in streams.dead} >= {b"nonsense"}
        assert all(verdict.latency >= 0 and verdict.reasons for verdict in streams.verdicts)
        actions = {verdict.upload_id: verdict.action for verdict in streams.verdicts}
        assert actions["first-1"] is Action.ALLOW
        assert actions["first-0"] is not Action.ALLOW

        told = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        assert "quorum_uploads_total 20.0" in told
        assert 'quorum_verdicts_total{action="allow"' in told
        assert 'quorum_predictions_total{detector="spam",status="scored"} 20.0' in told
        assert 'quorum_dead_letters_total{stage="stream.uploads"} 2.0' in told
        assert "quorum_verdict_latency_seconds_bucket" in told

        verdict = next(each for each in streams.verdicts if each.upload_id == "first-0")
        review = Review(
            upload_id="first-0",
            verdict_id=verdict.id,
            action=Action.ALLOW if verdict.action is not Action.ALLOW else Action.REMOVE,
            reviewer="ada",
            at=now(),
        )
        streams.publish("reviews", [review.to_bytes()])
        wait_until(
            lambda: streams.listen() or any(each.revision == 2 for each in streams.verdicts),
            30,
            job.log,
        )
        second = next(each for each in streams.verdicts if each.revision == 2)
        assert second.supersedes == verdict.id
        assert second.decided_by == "reviewer"
        assert second.action is review.action

        assert engine_seconds(job.process.pid, 2.0) < 1.0, "the idle engine keeps a processor busy"
        assert job.stop() == 0, job.log()
        told = [json.loads(line) for line in job.whole_log().splitlines()]
        assert {line["upload_id"] for line in told if line["message"] == "verdict"} == set(uploads)
        assert sum(line["message"] == "dead letter" for line in told) == 2
    assert streams.pull("uploads-stream") == []


def test_the_halves_apart_share_only_the_predictions_stream(
    emulator: str, prism: str, tmp_path: Path
) -> None:
    streams = Streams()
    uploads = mixed("apart", 15)
    dead = ("--dead-letters", streams.topic("dead-letters"))
    detect = Job(
        "detect",
        *("--uploads", streams.subscription("uploads-detect")),
        *("--predictions", streams.topic("predictions")),
        *dead,
        folder=tmp_path,
    )
    decide = Job(
        "decide",
        *("--uploads", streams.subscription("uploads-decide")),
        *("--predictions", streams.subscription("predictions-decide")),
        *("--verdicts", streams.topic("verdicts")),
        *dead,
        folder=tmp_path,
    )
    with detect, decide:
        streams.publish("uploads", list(uploads.values()))
        streams.await_verdicts(set(uploads), decide, 120)
        assert {each.decided_by for each in streams.verdicts} == {"policy"}
        assert detect.stop() == 0, detect.log()
        assert decide.stop() == 0, decide.log()
    for name in ("uploads-detect", "uploads-decide", "predictions-decide"):
        assert streams.pull(name) == []


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_lost_when_the_job_is_killed_three_times(
    emulator: str, prism: str, tmp_path: Path
) -> None:
    streams = Streams()
    uploads = mixed("killed", 400)
    names = list(uploads)
    random.Random(7).shuffle(names)
    parts = [names[start : start + 100] for start in range(0, 400, 100)]
    for part in parts[:3]:
        streams.publish("uploads", [uploads[name] for name in part])
        with fused(streams, tmp_path) as job:
            before = len(streams.decided())

            def under_way(before: int = before) -> bool:
                streams.listen()
                return len(streams.decided()) >= before + 10

            wait_until(under_way, 120, job.log)
            job.kill()
    streams.publish("uploads", [uploads[name] for name in parts[3]])
    with fused(streams, tmp_path) as job:
        streams.await_verdicts(set(uploads), job, 240)
        assert job.stop() == 0, job.log()
    streams.listen()
    assert streams.decided() == set(uploads)
    ids: dict[str, set[str]] = defaultdict(set)
    for verdict in streams.verdicts:
        ids[verdict.upload_id].add(verdict.id)
    assert all(len(each) == 1 for each in ids.values())
    assert not streams.dead
