"""What an open case costs in the state of the stream on Flink, in bytes.

``python -m benchmarks.flink.state`` starts a cluster and a job, decides so many uploads, whose
cases are kept for their retention, and reads the bytes of the checkpoints on the disk: at two
numbers of cases, so that what does not depend on them falls out. A section of
``docs/benchmarks.md`` is written.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.document import machine, table, write_section
from benchmarks.flink.cluster import Flink
from benchmarks.flink.deployment import Given, Running, cluster, running
from benchmarks.flink.detectors import TRIVIAL
from benchmarks.stream import uploads
from quorum.core.errors import EngineUnavailable

__all__ = ["Measured", "bytes_a_case"]

_MANY = 100_000_000
_TO_CHECKPOINT = 120.0
_KINDS = {"trivial": TRIVIAL, "real": ()}


@dataclass(frozen=True, slots=True)
class Measured:
    """The bytes of a checkpoint.

    Attributes:
        cases: How many are kept in it.
        size: Its bytes, as Flink tells.
        on_disk: The bytes of its files.
    """

    cases: int
    size: int
    on_disk: int


def bytes_a_case(measured: Sequence[Measured]) -> float:
    """The slope between the first and the last measurement, by what is on the disk."""
    first, last = measured[0], measured[-1]
    return (last.on_disk - first.on_disk) / (last.cases - first.cases)


def _checkpoint(flink: Flink, job: str, cases: int) -> Measured:
    """The first checkpoint that is triggered from now on.

    Raises:
        EngineUnavailable: If none is completed in time.
    """
    since, end = time.time() * 1000, time.monotonic() + _TO_CHECKPOINT
    while time.monotonic() < end:
        latest = flink.cluster.get(f"/jobs/{job}/checkpoints")["latest"]["completed"] or {}
        folder = Path(str(latest.get("external_path") or "").removeprefix("file:"))
        if latest.get("trigger_timestamp", 0) > since and folder.is_dir():
            try:
                # Files that incremental checkpoints share lie beside them.
                kept = (folder, folder.parent / "shared")
                paths = [path for each in kept for path in each.rglob("*") if path.is_file()]
                on_disk = sum(path.stat().st_size for path in paths)
            except FileNotFoundError:  # the next one has replaced it
                continue
            return Measured(cases, int(latest["state_size"]), on_disk)
        time.sleep(0.1)
    msg = f"no checkpoint was completed within {_TO_CHECKPOINT:g} s"
    raise EngineUnavailable(msg)


def _grow(job: Running, flink: Flink, counts: Sequence[int]) -> list[Measured]:
    made = []
    kept = 0
    for number, count in enumerate(counts):
        job.platform.publish(uploads(count - kept, f"cases{number}"))
        job.platform.await_all(count - kept, f"cases{number}", 1200.0)
        kept = count
        made.append(_checkpoint(flink, job.job, count))
        print(f"{count:,} cases: {made[-1].on_disk:,} bytes", flush=True)
    return made


def measure(kind: str, counts: Sequence[int], backend: str) -> list[Measured]:
    """Checkpoints with so many cases, of ``trivial`` detectors or the ``real`` ones that ship."""
    # Far apart, so that a checkpoint's files are still there when they are read.
    given = Given(_KINDS[kind], checkpoint_milliseconds=3000)
    more = {"state.backend.type": backend, "state.backend.incremental": "true"}
    with cluster(more=more) as flink, running(given, flink, warm=0) as job:
        return _grow(job, flink, counts)


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, nargs=2, default=(2000, 10_000), metavar="N")
    parser.add_argument(
        "--real", type=int, nargs=2, default=(300, 1500), metavar="N",
        help="the same with the detectors that ship; 0 0 for none",
    )  # fmt: skip
    parser.add_argument(
        "--backend", nargs="+", choices=("hashmap", "rocksdb"), default=["hashmap"],
        help="where Flink keeps the state; RocksDB is in flink-dist's jar (PyPI: "
        "apache-flink-libraries), which the folder of QUORUM_FLINK then has among its jars",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="do not write the page")
    args = parser.parse_args()
    rows = []
    kinds = (("trivial", args.cases), ("real", args.real))
    for backend, (kind, counts) in itertools.product(args.backend, kinds):
        if not all(counts):
            continue
        found = measure(kind, counts, backend)
        each = bytes_a_case(found)
        rows.append(
            [
                backend,
                kind,
                " and ".join(f"{one.cases:,}" for one in found),
                " and ".join(f"{one.on_disk:,}" for one in found),
                f"{each:,.0f}",
                f"{each * _MANY / 1e9:,.0f}",
            ]
        )
    head = [
        "state",
        "detectors",
        "cases",
        "bytes of the checkpoint",
        "bytes a case",
        "100 million, GB",
    ]
    made = table(head, rows)
    print(made)
    if args.dry_run:
        return
    write_section(
        "flink-state",
        f"""## State of a case on Flink

`python -m benchmarks.flink.state`, on {machine()}.

The files of a retained checkpoint of `quorum stream --runner flink` with so many decided cases
that are kept for their retention of an hour; the uploads have the texts of the shipped examples.
`trivial` are three detectors, `real` those that ship; `hashmap` keeps the state on the heap,
`rocksdb` on the disk, with incremental checkpoints of its compressed files. The last column is the
slope times 100 million, not a measurement.

{made}
""",
    )


if __name__ == "__main__":
    main()
