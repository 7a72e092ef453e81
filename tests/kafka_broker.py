"""A real broker of Kafka for tests: one that runs, or a distribution, started on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType

from quorum.core.errors import EngineUnavailable
from quorum.pipeline.streams.emulator import free_port
from quorum.pipeline.streams.kafka_admin import KafkaCluster, KafkaPlan

_START_SECONDS = 90.0
_SCRIPT = Path("bin/kafka-server-start.sh")


def find_kafka() -> tuple[str | None, str]:
    """``host:port`` of a broker that runs, or the folder of a distribution.

    Returns:
        What was found, or None; and what was found or is missing.
    """
    named = os.environ.get("QUORUM_KAFKA", "")
    if named and not Path(named).exists():
        return named, named
    script = shutil.which("kafka-server-start.sh")
    for folder in (named, str(Path(script).resolve().parents[1]) if script else "", "/opt/kafka"):
        if folder and (Path(folder) / _SCRIPT).is_file():
            return folder, folder
    return None, "no Kafka: QUORUM_KAFKA names a broker (host:port) or a folder of a distribution"


class KafkaBroker:
    """A broker, from the tests' side.

    Args:
        found: From ``find_kafka``.
        folder: Where one that is started keeps its log.

    Attributes:
        brokers: ``host:port``.
        stoppable: Whether it was started here.
    """

    def __init__(self, found: str, folder: Path) -> None:
        self._home = Path(found) if Path(found).exists() else None
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.stoppable = self._home is not None
        if self._home is None:
            self.brokers = found
            return
        port, controller = free_port(), free_port()
        self.brokers = f"127.0.0.1:{port}"
        self._config = folder / "server.properties"
        self._config.write_text(
            f"""
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={folder}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""
        )
        storage = [str(self._home / "bin/kafka-storage.sh"), "format", "-c", str(self._config)]
        subprocess.run([*storage, "-t", "MkU3OEVBNTcwNTJENDM2Qg"], check=True, capture_output=True)
        self.up()

    def topic(self, name: str, partitions: int = 4) -> None:
        KafkaCluster(self.brokers).create(KafkaPlan(self.brokers, (name,), {}), partitions, 1)

    def down(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def up(self) -> None:
        if self._home is None:
            return
        with (self._folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._home / _SCRIPT), str(self._config)],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + _START_SECONDS
        while True:
            try:
                KafkaCluster(self.brokers).topics()
            except EngineUnavailable:
                assert time.monotonic() < end, "the broker does not answer"
            else:
                return

    def __enter__(self) -> KafkaBroker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()
