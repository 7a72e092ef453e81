"""librdkafka's own mock cluster of Kafka, in a process of its own on loopback.

It speaks the real protocol, consumer groups included, and keeps nothing when it ends
(``rdkafka_mock.h`` of librdkafka). The process takes commands from standard input, one a line:
``topic NAME PARTITIONS``, ``down`` and ``up``.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

BROKERS = 2


def library() -> ctypes.CDLL:
    """The librdkafka of the package ``confluent_kafka``."""
    import confluent_kafka

    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    (found,) = folder.glob("librdkafka*.so*")
    return ctypes.CDLL(str(found))


class KafkaMock:
    """The cluster, from the tests' side.

    Attributes:
        brokers: ``host:port``, with commas.
    """

    stoppable = True

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kafka_mock"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            text=True,
        )
        self.brokers = self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the mock cluster of Kafka did not start"
        return line

    def _say(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        assert self._answer() == "ok", command

    def topic(self, name: str, partitions: int = 4) -> None:
        self._say(f"topic {name} {partitions}")

    def down(self) -> None:
        self._say("down")

    def up(self) -> None:
        self._say("up")

    def __enter__(self) -> KafkaMock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()


def main() -> None:
    kafka = library()
    kafka.rd_kafka_new.restype = ctypes.c_void_p
    kafka.rd_kafka_conf_new.restype = ctypes.c_void_p
    kafka.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
    kafka.rd_kafka_mock_cluster_new.argtypes = [ctypes.c_void_p, ctypes.c_int]
    kafka.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    kafka.rd_kafka_mock_cluster_bootstraps.argtypes = [ctypes.c_void_p]
    kafka.rd_kafka_mock_topic_create.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_int,
    ]
    for name in ("set_down", "set_up"):
        function = getattr(kafka, f"rd_kafka_mock_broker_{name}")
        function.argtypes = [ctypes.c_void_p, ctypes.c_int32]
    producer, told = 0, ctypes.create_string_buffer(512)
    handle = kafka.rd_kafka_new(
        producer, ctypes.c_void_p(kafka.rd_kafka_conf_new()), told, ctypes.c_size_t(512)
    )
    assert handle, told.value
    cluster = kafka.rd_kafka_mock_cluster_new(handle, BROKERS)
    delay = kafka.rd_kafka_mock_group_initial_rebalance_delay_ms
    delay.argtypes = [ctypes.c_void_p, ctypes.c_int32]
    delay(cluster, 0)
    print(kafka.rd_kafka_mock_cluster_bootstraps(cluster).decode(), flush=True)
    for line in sys.stdin:
        command, *rest = line.split()
        if command == "topic":
            failed = kafka.rd_kafka_mock_topic_create(cluster, rest[0].encode(), int(rest[1]), 1)
        else:
            change = getattr(kafka, f"rd_kafka_mock_broker_set_{command}")
            failed = sum(change(cluster, broker + 1) for broker in range(BROKERS))
        print("failed" if failed else "ok", flush=True)


if __name__ == "__main__":
    main()
