"""Rows a second of a batch, beside a plain loop and a pandas script with the same models.

Each way runs in a process of its own, one after the other, over the same uploads in a SQLite
ledger, and writes predictions and verdicts: the batch as users run it, the loop and pandas into
tables of their own. With trivial models the cost is the machinery's, with the real ones the
models'. The peak of memory is told for a tenth of the rows and for all of them.

    python -m benchmarks.batch [--rows 100000] [--real-rows 3000]
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import apache_beam as beam

from benchmarks.document import machine, peak_megabytes, table, write_section
from benchmarks.texts import uploads
from quorum.aggregator.decision.evaluate import Uploader
from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.core.messages import Prediction, Upload
from quorum.core.settings import Settings
from quorum.models.detectors import Detector, Example, Feature, Features, Finding
from quorum.models.ensemble import Ensemble
from quorum.pipeline.batch.run import BatchOptions, ModerateBatch
from quorum.pipeline.batch.sources import LedgerBatch
from quorum.pipeline.engines import Engine, launch
from quorum.pipeline.moderator import Moderator
from quorum.store.ledger import Ledger, TimeRange

BATCH = 256

TRIVIAL_POLICY = Policy.from_text(
    """
name: trivial
deadline: 30 s
retention: 1 h
orphan_wait: 1 min
quorum: 1
detectors:
  even: {required: true, missing: review, failed: review, abstained: ignore}
  long: {required: true, missing: review, failed: review, abstained: ignore}
rules:
  - {name: even, when: score("even") >= 0.9, action: remove, category: spam, reason: It is even.}
  - {name: long, when: score("long") >= 0.9, action: review, category: spam, reason: It is long.}
"""
)


class Trivial(Detector):
    """Scores by the length of the title; needs no feature."""

    version = "t1"
    needs: frozenset[Feature] = frozenset()

    def __init__(self, name: str) -> None:
        self.name = name

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """See Detector."""
        if self.name == "even":
            return [Finding.scored(0.95 * (len(one.upload.title) % 2 == 0)) for one in batch]
        return [Finding.scored(min(0.99, len(one.upload.title) / 300)) for one in batch]

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """None: it is for measuring only."""
        return ()


def trivial() -> Ensemble:
    """Two detectors that cost nothing."""
    return Ensemble.of([Trivial("even"), Trivial("long")])


def real() -> Ensemble:
    """The detectors that ship."""
    return Ensemble.load(Settings())


KINDS: dict[str, tuple[Callable[[], Ensemble], Callable[[], Policy]]] = {
    "trivial": (trivial, lambda: TRIVIAL_POLICY),
    "real": (real, lambda: load_policy("balanced")),
}


def verdicts(
    moderator: Moderator, some: list[Upload]
) -> Iterator[tuple[Upload, list[Prediction], str, str]]:
    """The decision on each upload, as a script of one's own would make it."""
    for upload, said in zip(some, moderator.predict(some), strict=True):
        decision = moderator.decider.decision(lambda one=upload: one, said, {}, Uploader())
        yield upload, said, decision.action.value, decision.rule


def by_loop(kind: str, path: Path) -> int:
    """A plain loop: read, score, decide, write."""
    make, policy = KINDS[kind]
    moderator = Moderator(policy=policy(), ensemble=make())
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(f"{path}.out")) as out:
        out.execute("CREATE TABLE verdicts (id TEXT PRIMARY KEY, action TEXT, rule TEXT)")
        out.execute("CREATE TABLE predictions (id TEXT PRIMARY KEY, body TEXT)")
        rows = source.execute("SELECT body FROM uploads ORDER BY published_at, id")
        done = 0
        while some := [Upload.model_validate_json(row[0]) for row in islice(rows, BATCH)]:
            made = list(verdicts(moderator, some))
            with out:
                out.executemany(
                    "INSERT INTO verdicts VALUES (?, ?, ?)",
                    [(upload.id, action, rule) for upload, _, action, rule in made],
                )
                out.executemany(
                    "INSERT INTO predictions VALUES (?, ?)",
                    [(one.id, one.to_bytes().decode()) for _, said, _, _ in made for one in said],
                )
            done += len(some)
    return done


def by_pandas(kind: str, path: Path) -> int:
    """A script as one would write it with pandas: frames in, frames out, in chunks."""
    import pandas as pd

    make, policy = KINDS[kind]
    moderator = Moderator(policy=policy(), ensemble=make())
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(f"{path}.out")) as out:
        query = "SELECT body FROM uploads ORDER BY published_at, id"
        done = 0
        for frame in pd.read_sql_query(query, source, chunksize=BATCH):
            some = [Upload.model_validate_json(body) for body in frame["body"]]
            made = list(verdicts(moderator, some))
            pd.DataFrame(
                [(upload.id, action, rule) for upload, _, action, rule in made],
                columns=["id", "action", "rule"],
            ).to_sql("verdicts", out, if_exists="append", index=False)
            pd.DataFrame(
                [(one.id, one.to_bytes().decode()) for _, said, _, _ in made for one in said],
                columns=["id", "body"],
            ).to_sql("predictions", out, if_exists="append", index=False)
            done += len(some)
    return done


def by_batch(kind: str, path: Path) -> int:
    """The batch on the direct runner, with the ledger."""
    make, policy = KINDS[kind]
    url = f"sqlite:///{path}"
    source = LedgerBatch(url)
    how = BatchOptions(policy(), Settings(), url, ensemble=make)

    def build(pipeline: beam.Pipeline) -> None:
        pipeline | ModerateBatch(source, source.ranges(TimeRange(), 4), how)

    with launch(build, Engine.DIRECT, streaming=False) as result:
        result.wait_until_finish()
    with Ledger(url) as ledger:
        return ledger.stats()["verdicts"]


WAYS = {"plain loop": by_loop, "pandas": by_pandas, "quorum batch": by_batch}


def fill(path: Path, count: int) -> None:
    """A ledger with so many uploads."""
    made, _ = uploads(count)
    with Ledger(f"sqlite:///{path}", create=True) as ledger:
        for start in range(0, count, 5000):
            ledger.record(made[start : start + 5000])


def one(way: str, kind: str, path: Path) -> None:
    """One way in this process: prints what it took as JSON."""
    began, spent = time.perf_counter(), time.process_time()
    done = WAYS[way](kind, path)
    told = {
        "rows": done,
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - spent,
        "peak": peak_megabytes(),
    }
    print(json.dumps(told))


def run(way: str, kind: str, count: int) -> dict[str, float]:
    """One way in a process of its own, over a fresh ledger."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "l.db"
        fill(path, count)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.batch", "--one", way, kind, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        assert told["rows"] == count, told
        return told


def rows(kind: str, count: int) -> list[list[str]]:
    """A line of the table for each way."""
    loop: dict[str, float] = {}
    lines = []
    for way in WAYS:
        if way == "pandas" and find_spec("pandas") is None:
            lines.append([kind, "pandas: not installed", *["–"] * 5])
            continue
        made = run(way, kind, count)
        loop = loop or made
        lines.append(
            [
                kind,
                way,
                f"{count:,}",
                f"{count / made['seconds']:,.0f}",
                f"{loop['seconds'] / made['seconds']:.2f}",
                f"{loop['cpu'] / made['cpu']:.2f}",
                f"{made['peak']:,.0f}",
            ]
        )
        print(" | ".join(lines[-1]), flush=True)
    return lines


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="for the trivial models")
    parser.add_argument("--real-rows", type=int, default=3_000, help="for the real models")
    parser.add_argument("--dry-run", action="store_true", help="print, and write no page")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        one(asked.one[0], asked.one[1], Path(asked.one[2]))
        return
    # What the first process of all reads from the disk, the others find in memory.
    run("plain loop", "real", 8)
    lines = rows("trivial", asked.rows) + rows("real", asked.real_rows)
    few = max(1, asked.rows // 10)
    less = run("quorum batch", "trivial", few)["peak"]
    many = next(float(line[-1].replace(",", "")) for line in lines if line[1] == "quorum batch")
    _, origin = uploads(1)
    head = ["models", "way", "rows", "rows/s", "x loop", "x loop, CPU", "peak memory, MiB"]
    body = f"""## Batch

`python -m benchmarks.batch`, on {machine()}.

`quorum batch` on the direct runner, from the uploads of a SQLite ledger to predictions, verdicts
and statements in it, beside a plain loop and a pandas script with the same models, features and
decisions in batches of {BATCH}, which write predictions and verdicts to tables without an index or
a history. Each runs in a process of its own, one after the other; loading the models counts.
`trivial` detectors cost nothing: there the figures are the machinery's alone. `real` are those
that ship, on texts ({origin}): {asked.rows:,} rows with them would take more than an hour a way
here, so that it is fewer.

{table(head, lines)}

Memory: {few:,} rows peak at {less:,.0f} MiB, {asked.rows:,} at {many:,.0f} MiB.
"""
    print(body)
    if not asked.dry_run:
        write_section("batch", body)


if __name__ == "__main__":
    main()
