"""A whole job whose broker stalls, dies and comes back empty: it goes on, on Prism."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from quorum.pipeline.streams.emulator import find_emulator, free_port
from quorum.pipeline.streams.pubsub_clients import publisher_client, subscriber_client
from quorum.pipeline.streams.topics import create_topics
from tests.pipeline.jobs import Streams, fused
from tests.pipeline.test_stream_job import mixed


class OwnEmulator:
    """An emulator on a port of its own, which a test may stop and start."""

    def __init__(self) -> None:
        command, told = find_emulator()
        if command is None:
            pytest.skip(told)
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self._command = [*command, "--host=127.0.0.1", f"--port={self.port}"]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self._command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        with grpc.insecure_channel(self.host) as channel:
            grpc.channel_ready_future(channel).result(60)

    def send(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnEmulator]:
    made = OwnEmulator()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", made.host)
    yield made
    made.kill()


@pytest.mark.long
@pytest.mark.emulator
@pytest.mark.prism
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_job_goes_on_after_a_broker_that_stalled_died_and_came_back_empty(
    broker: OwnEmulator, prism: str, tmp_path: Path
) -> None:
    streams = Streams()
    with fused(streams, tmp_path) as job:
        first = mixed("first", 20)
        streams.publish("uploads", list(first.values()))
        streams.await_verdicts(set(first), job)

        second = mixed("second", 20)
        streams.publish("uploads", list(second.values()))
        broker.send(signal.SIGSTOP)
        time.sleep(12)
        broker.send(signal.SIGCONT)
        streams.await_verdicts(set(second), job)

        broker.kill()
        time.sleep(5)
        assert job.process.poll() is None, job.log()
        broker.start()
        time.sleep(5)
        assert job.process.poll() is None, job.log()
        create_topics(streams.plan)
        streams.publisher, streams.subscriber = publisher_client(), subscriber_client()
        third = mixed("third", 20)
        streams.publish("uploads", list(third.values()))
        streams.await_verdicts(set(third), job)
        assert "Subscription does not exist" in job.whole_log()
        assert job.stop() == 0, job.log()
    assert streams.pull("uploads-stream") == []
    assert not streams.dead
