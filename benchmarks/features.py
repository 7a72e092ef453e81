"""What features over time cost: decisions with them beside without, and memory by key.

Uploads of a made-up day are decided by the one decider, with verdicts, as the stream does it: under
``balanced`` alone, and with 10 and 100 features and a rule that reads each. Memory is that of
a table after so many keys, one upload each, which is the most that a key of one upload costs.
Writes a section of ``docs/benchmarks.md``.

    python -m benchmarks.features [--uploads N] [--keys N] [--dry-run]
"""

from __future__ import annotations

import argparse
import random
import time
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice, product

from benchmarks.document import machine, table, write_section
from quorum.aggregator.decider import Decider
from quorum.aggregator.features.table import FeatureTable
from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.core.messages import Prediction, Status, Upload, prediction_id

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = ("count", "rate", "last_seen", "distinct, of: uploader", "sum, of: views")
KEYS = ("uploader", "ip", "domain", "text")
WINDOWS = ("1 min", "10 min", "1 h", "1 d", "30 d")
TEXTS = (
    "my holiday in the mountains, part {n}",
    "buy followers today, the best price, see https://shop{k}.example/now and tell your friends",
    "how to repair a bicycle in ten minutes {n}",
)


def policy(features: int) -> Policy:
    """``balanced`` with so many features, each of which one rule reads."""
    chosen = list(islice(cycle(product(KINDS, KEYS, WINDOWS)), features))
    random.Random(0).shuffle(chosen)
    lines = [
        f"  f{n}: {{kind: {kind}, by: {by}, over: {over}}}"
        for n, (kind, by, over) in enumerate(chosen)
    ]
    rules = [
        f"  - {{name: busy-{n}, when: 'feature(\"f{n}\", 0) > 1e9', action: review, reason: Busy.}}"
        for n in range(features)
    ]
    text = load_policy("balanced").text.rstrip() + "\n" + "\n".join(rules) + "\n"
    if features:
        text += "fields: {views: number, ip: text}\nfeatures:\n" + "\n".join(lines) + "\n"
    return Policy.from_text(text)


def uploads(count: int) -> list[tuple[Upload, list[Prediction]]]:
    """Uploads of a day, each with the predictions of three detectors."""
    draw = random.Random(1)
    made = []
    for number in range(count):
        at = BEGIN + timedelta(seconds=86400 * number / count)
        text = draw.choice(TEXTS).format(n=draw.randrange(10_000), k=draw.randrange(50))
        one = Upload(
            id=f"u{number}",
            uploader=f"c{int(draw.paretovariate(0.8)) % 50_000}",
            title=text,
            published_at=at,
            views=draw.randrange(1000),
            ip=f"10.0.{draw.randrange(40)}.{draw.randrange(250)}",
        )
        said = [
            Prediction(
                id=prediction_id(one.id, name, "1"),
                upload_id=one.id,
                detector=name,
                version="1",
                status=Status.SCORED,
                score=draw.random() ** 4,
                at=at,
            )
            for name in ("spam", "violence", "copyright")
        ]
        made.append((one, said))
    return made


def rates(counts: Sequence[int], day: Sequence[tuple[Upload, list[Prediction]]]) -> list[float]:
    """Seconds of processor time a decision, by number of features; the best of 7, in turns."""
    best = [float("inf")] * len(counts)
    for _ in range(7):
        for place, count in enumerate(counts):
            decider = Decider(policy(count))
            for one, said in day[:50]:
                decider.first(one, said, arrived=one.published_at, at=one.published_at)
            began = time.process_time()
            for one, said in day[50:]:
                decider.first(one, said, arrived=one.published_at, at=one.published_at)
            took = (time.process_time() - began) / (len(day) - 50)
            best[place] = min(best[place], took)
    return best


def bytes_a_key(kind: str, keys: int, each: int) -> float:
    """Bytes of one key of a feature, with so many uploads each, spread over the window."""
    text = (
        load_policy("balanced").text
        + f"\nfields: {{views: number}}\nfeatures:\n  f: {{kind: {kind}, by: uploader, over: 1 h, "
        "keys: 10000000}\n"
    )
    counted = FeatureTable([Policy.from_text(text)])
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for turn in range(each):
        for number in range(keys):
            at = BEGIN + timedelta(seconds=3600 * (turn + number / keys) / each)
            name = f"c{number}"
            counted.take(Upload(id=f"{turn} {number}", uploader=name, published_at=at, views=3))
    counted._seen = (set(), set())  # bounded by itself, whatever the features
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / keys


def main() -> None:
    """Measure, print, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=4_000)
    parser.add_argument("--keys", type=int, default=50_000)
    parser.add_argument("--dry-run", action="store_true", help="print, and write nothing")
    chosen = parser.parse_args()
    counts = (0, 10, 100)
    took = rates(counts, uploads(chosen.uploads))
    speed = table(
        ["features", "decisions/s", "of those without", "cost an upload, µs"],
        [
            [f"{count}", f"{1 / one:,.0f}", f"{took[0] / one:.2f}", f"{1e6 * (one - took[0]):,.0f}"]
            for count, one in zip(counts, took, strict=True)
        ],
    )
    memory = table(
        ["kind", "uploads a key", "keys measured", "bytes a key", "a million keys, MiB"],
        [
            [
                kind.split(",")[0],
                f"{each}",
                f"{keys:,}",
                f"{size:,.0f}",
                f"{size * 1e6 / 2**20:,.0f}",
            ]
            for kind in KINDS
            for each, keys in ((1, chosen.keys), (60, chosen.keys // 50))
            for size in [bytes_a_key(kind, keys, each)]
        ],
    )
    body = f"""## Features over time

`python -m benchmarks.features`, on {machine()}.

{chosen.uploads:,} uploads of a made-up day are decided under `balanced` with so many features of
all kinds, keys and windows, each read by a rule (processor time, best of 7); with their verdicts,
without a stream.

{speed}

Memory of a feature over 1 h (tracemalloc); that of a million keys is extrapolated from the keys
measured. Beside it a process remembers up to a million uploads, so that none counts twice.

{memory}"""
    print(body)
    if not chosen.dry_run:
        write_section("features", body)


if __name__ == "__main__":
    main()
