"""The direct runner on the real emulator, for a machine without Prism."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorum.core.errors import ConfigurationError
from quorum.pipeline.streams.open import source
from tests.pipeline.jobs import Job, Streams
from tests.pipeline.test_stream_job import mixed


@pytest.mark.parametrize("stream", ["predictions", "reviews"])
def test_only_uploads_are_taken_in_turns(stream: str) -> None:
    with pytest.raises(ConfigurationError, match=f"cannot take {stream}"):
        source("projects/quorum-test/subscriptions/some", stream, in_turns=True)


@pytest.mark.emulator
@pytest.mark.timeout(240)
def test_uploads_are_decided_in_turns_and_nothing_is_left(emulator: str, tmp_path: Path) -> None:
    streams = Streams()
    first, second = mixed("first", 12), mixed("second", 12)
    streams.publish("uploads", [*first.values(), b"nonsense"])
    with Job(
        "stream",
        *("--runner", "direct"),
        *("--uploads", streams.subscription("uploads-stream")),
        *("--predictions", streams.topic("predictions")),
        *("--verdicts", streams.topic("verdicts")),
        *("--dead-letters", streams.topic("dead-letters")),
        folder=tmp_path,
    ) as job:
        streams.await_verdicts(set(first), job)
        streams.publish("uploads", list(second.values()))
        streams.await_verdicts(set(second), job)
        assert job.stop() == 0, job.log()
        assert "in turns" in job.whole_log()
    streams.listen()
    assert [letter.data for letter in streams.dead] == [b"nonsense"]
    assert {verdict.decided_by for verdict in streams.verdicts} == {"policy"}
    assert streams.pull("uploads-stream") == []
