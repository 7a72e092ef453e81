"""How the stream on Flink scales with its workers, for a detector that waits.

``python -m benchmarks.flink.scaling`` decides a burst of uploads at 1, 2, 4 and 8 workers (slots,
and processes that score) with a detector that takes 20 ms a batch and no processor, as one that
asks a service elsewhere. The ratio to one worker is the result. A section of
``docs/benchmarks.md`` is written.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence

from benchmarks.document import machine, table, write_section
from benchmarks.flink.cluster import Flink
from benchmarks.flink.deployment import Given, cluster, running
from benchmarks.flink.detectors import WAIT_SECONDS, WAITING


def throughput(flink: Flink, workers: int, count: int, batch: int, bursts: int) -> float:
    """Uploads a second: the median of so many bursts of ``count`` uploads a worker."""
    given = Given(WAITING, batch=batch, processes=workers, parallelism=workers)
    with running(given, flink, warm=16 * workers) as job:
        # The first burst starts the processes that score, and is not counted.
        job.platform.throughput(count * workers, "first")
        found = [job.platform.throughput(count * workers, f"burst{turn}") for turn in range(bursts)]
    return statistics.median(found)


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8], metavar="N")
    parser.add_argument("--uploads", type=int, default=500, help="of a burst, for each worker")
    parser.add_argument("--batch", type=int, default=1, help="the most uploads of a batch")
    parser.add_argument("--bursts", type=int, default=3, help="of which the median counts")
    parser.add_argument("--note", default="", help="a sentence about the machine, for the page")
    parser.add_argument("--dry-run", action="store_true", help="do not write the page")
    args = parser.parse_args()
    head = ["workers", "uploads/s", "ratio to one", "of linear", "of what the waits allow"]
    rows: list[list[str]] = []
    with cluster(max(args.workers)) as flink:
        one = 0.0
        for workers in args.workers:
            found = throughput(flink, workers, args.uploads, args.batch, args.bursts)
            one = one or found / workers
            rows.append(_row(workers, found, one, args.batch))
            print("  ".join(rows[-1]), flush=True)
    print(table(head, rows))
    if args.dry_run:
        return
    write_section("flink-scaling", _section(args.batch, args.uploads, head, rows, args.note))


def _row(workers: int, found: float, one: float, batch: int) -> list[str]:
    most = workers * batch / WAIT_SECONDS
    ratio = found / one
    return [
        str(workers),
        f"{found:,.0f}",
        f"{ratio:.2f}",
        f"{ratio / workers:.2f}",
        f"{found / most:.2f}",
    ]


def _section(
    batch: int, count: int, head: Sequence[str], rows: Sequence[Sequence[str]], note: str
) -> str:
    return f"""## Workers on Flink

`python -m benchmarks.flink.scaling`, on {machine()}. {note}

`quorum stream --runner flink` on one TaskManager with so many slots, and so many processes that
score; the detector waits {WAIT_SECONDS * 1000:g} ms for each batch of at most {batch}. Bursts of
{count} uploads a worker, from the first publication to the last verdict.

{table(list(head), [list(row) for row in rows])}
"""


if __name__ == "__main__":
    main()
