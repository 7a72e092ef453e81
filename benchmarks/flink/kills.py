"""Kills on Flink: what is lost, repeated or decided twice, with the state on heap or in RocksDB.

``python -m benchmarks.flink.kills`` publishes uploads at a steady rate, kills the worker pool and
the TaskManager in turn, each twice, and counts the verdicts. It exits with 1 where an upload is
lost or has two verdicts that differ. A section of ``docs/benchmarks.md`` is written.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.document import machine, table, write_section
from benchmarks.flink.cluster import Flink
from benchmarks.flink.deployment import Given, Running, cluster, running
from benchmarks.stream import Platform, uploads

_TO_END = 300.0
#: Seconds of publishing, at most.
_LONGEST = 600.0


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the uploads of a run.

    Attributes:
        published: Uploads.
        lost: Those without a verdict.
        repeated: Those with more than one message of a verdict.
        differing: Those with verdicts of more than one id.
        longest: Seconds from publication to the verdict, at most.
    """

    published: int
    lost: int
    repeated: int
    differing: int
    longest: float


def counted(platform: Platform, sent: Sequence[float]) -> Counts:
    """What became of ``kills-0`` and so on, which were published at these times."""
    names = [f"kills-{number}" for number in range(len(sent))]
    found, came = [platform.verdicts[name] for name in names], dict(platform.came)
    waits = [came[name] - at for name, at in zip(names, sent, strict=True) if name in came]
    return Counts(
        published=len(sent),
        lost=sum(not each for each in found),
        repeated=sum(len(each) > 1 for each in found),
        differing=sum(len(set(each.values())) > 1 for each in found),
        longest=max(waits, default=0.0),
    )


def _publish(platform: Platform, rate: float, ended: threading.Event, sent: list[float]) -> None:
    data = uploads(round(rate * _LONGEST), "kills")
    began = time.perf_counter()
    for number in range(len(data)):
        if ended.wait(max(0.0, began + number / rate - time.perf_counter())):
            return
        sent.append(time.perf_counter())
        platform.publish([data[number]])


def _kills(flink: Flink, job: Running) -> Sequence[tuple[str, Callable[[], None]]]:
    assert job.pool is not None
    each = (("the worker pool", job.pool.restart), ("the TaskManager", flink.restart_taskmanager))
    return (*each, *each)


def measure(backend: str, slots: int, rate: float, between: float) -> Counts:
    """Publish uploads at a rate, and kill each so many seconds."""
    more = {"state.backend.type": backend, "state.backend.incremental": "true"}
    given = Given(parallelism=slots)
    with cluster(slots, more) as flink, running(given, flink) as job:
        sent: list[float] = []
        ended = threading.Event()
        publishing = threading.Thread(
            target=_publish, args=(job.platform, rate, ended, sent), daemon=True
        )
        publishing.start()
        for name, kill in _kills(flink, job):
            time.sleep(between)
            decided = job.platform.decided["kills"]
            print(f"{len(sent)} published, {decided} decided: kill {name}", flush=True)
            kill()
        time.sleep(between)
        ended.set()
        publishing.join()
        end = time.perf_counter() + _TO_END
        while counted(job.platform, sent).lost and time.perf_counter() < end:
            time.sleep(0.2)
        # What is delivered again comes after the first verdict.
        time.sleep(between)
        return counted(job.platform, sent)


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=50.0, help="uploads a second")
    parser.add_argument("--between", type=float, default=20.0, help="seconds between two kills")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--backend", nargs="+", choices=("hashmap", "rocksdb"), default=["hashmap"],
        help="where Flink keeps the state; see benchmarks.flink.state",
    )  # fmt: skip
    parser.add_argument("--note", default="", help="a sentence about the machine, for the page")
    parser.add_argument("--dry-run", action="store_true", help="do not write the page")
    args = parser.parse_args()
    rows, failed = [], False
    for backend, slots in itertools.product(args.backend, args.slots):
        found = measure(backend, slots, args.rate, args.between)
        failed |= bool(found.lost or found.differing)
        numbers = (found.published, found.lost, found.repeated, found.differing)
        rows.append([backend, str(slots), *(f"{one:,}" for one in numbers), f"{found.longest:.1f}"])
        print("  ".join(rows[-1]), flush=True)
    head = ["state", "slots", "uploads", "lost", "repeated", "differing", "longest wait, s"]
    made = table(head, rows)
    print(made)
    if not args.dry_run:
        slots, backends = " ".join(map(str, args.slots)), " ".join(args.backend)
        how = (
            f"--rate {args.rate:g} --between {args.between:g} --slots {slots} --backend {backends}"
        )
        write_section(
            "flink-kills",
            f"""## Kills on Flink

`python -m benchmarks.flink.kills {how}`, on {machine()}. {args.note}

`quorum stream --runner flink` with trivial detectors at {args.rate:g} uploads/s, a checkpoint each
second; the worker pool and the TaskManager are killed in turn, each twice, {args.between:g} s
apart. `hashmap` keeps the state on the heap, `rocksdb` on the disk, with incremental checkpoints.
Repeated are uploads whose verdict was published more than once, differing those with verdicts of
more than one id.

{made}
""",
        )
    if failed:
        sys.exit("an upload was lost, or decided twice")


if __name__ == "__main__":
    main()
