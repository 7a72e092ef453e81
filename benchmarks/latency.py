"""Latency of text uploads with none, few and many media uploads beside them, in one job.

``python -m benchmarks.latency`` starts the Pub/Sub emulator and ``quorum stream`` with the shipped
detectors, publishes texts at a steady rate in phases that differ in the media beside them, and
writes a section of ``docs/benchmarks.md``. The phases are repeated in turn, so that a change of the
machine's load falls on all of them; the ratios to the phase without media are the result.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path

from benchmarks.document import machine, table, write_section
from benchmarks.soak.workload import clips
from benchmarks.stream import Platform, uploads
from benchmarks.texts import ROOT
from quorum.pipeline.streams.emulator import emulator

_MEDIA = ROOT / "examples" / "media"
_SHARES = (0.0, 0.05, 0.2)
_PROJECT, _PREFIX = "quorum-bench", "bench"
_TO_START, _TO_END = 180.0, 300.0


def _start(folder: Path) -> subprocess.Popen[bytes]:
    settings = folder / "settings.yaml"
    settings.write_text(f'media:\n  folders: ["{_MEDIA}"]\n')

    def topic(name: str) -> str:
        return f"projects/{_PROJECT}/topics/{_PREFIX}-{name}"

    with (folder / "job.log").open("wb") as log:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "quorum", "stream", "--settings", str(settings)),
                *("--uploads", f"projects/{_PROJECT}/subscriptions/{_PREFIX}-uploads-stream"),
                *("--verdicts", topic("verdicts")),
                *("--predictions", topic("predictions")),
                *("--dead-letters", topic("dead-letters")),
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _with_media(count: int, prefix: str) -> list[bytes]:
    whole, _ = clips(_MEDIA)
    return [
        json.dumps({**json.loads(data), "media": clip}).encode()
        for data, clip in zip(uploads(count, prefix), cycle(whole), strict=False)
    ]


def phase(platform: Platform, rate: float, seconds: float, share: float, name: str) -> list[float]:
    """Milliseconds from publication to verdict of each text, with media beside them.

    Args:
        platform: Publishes and listens.
        rate: Texts a second.
        seconds: How long.
        share: Media uploads for each text upload.
        name: Of the phase, for ids.
    """
    texts = uploads(round(rate * seconds), f"{name}-text")
    media = _with_media(round(len(texts) * share), f"{name}-media")
    every = len(texts) / len(media) if media else 0.0
    sent: list[float] = []
    beside = 0
    began = time.perf_counter()
    for index, data in enumerate(texts):
        time.sleep(max(0.0, began + index / rate - time.perf_counter()))
        while beside < len(media) and beside * every <= index:
            platform.publish([media[beside]])
            beside += 1
        sent.append(time.perf_counter())
        platform.publish([data])
    platform.await_all(len(texts), f"{name}-text", _TO_END)
    # The next phase begins with an empty stream.
    platform.await_all(len(media), f"{name}-media", _TO_END)
    return [(platform.came[f"{name}-text-{index}"] - at) * 1000 for index, at in enumerate(sent)]


def measure(
    rate: float, seconds: float, rounds: int
) -> tuple[dict[float, list[float]], dict[float, tuple[int, int]]]:
    """Measure the phases in turn.

    Returns:
        By the share of media beside them, the latencies of texts, sorted; and how many media
        uploads there were, and how many of them were decided by the deadline with what was there.
    """
    found: dict[float, list[float]] = {share: [] for share in _SHARES}
    with tempfile.TemporaryDirectory() as folder, emulator():
        platform = Platform()
        process = _start(Path(folder))
        try:
            platform.publish([*uploads(20, "warm-text"), *_with_media(4, "warm-media")])
            platform.await_all(20, "warm-text", _TO_START)
            platform.await_all(4, "warm-media", _TO_START)
            for number in range(rounds):
                for share in _SHARES:
                    name = f"round{number}-{share:g}"
                    found[share] += phase(platform, rate, seconds, share, name)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    late = {}
    for share in _SHARES:
        names = [name for name in platform.came if f"-{share:g}-media-" in name]
        late[share] = (len(names), sum(name in platform.by_deadline for name in names))
    return {share: sorted(values) for share, values in found.items()}, late


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=10.0, help="texts a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each phase")
    parser.add_argument("--rounds", type=int, default=3, help="how often each phase comes")
    parser.add_argument("--dry-run", action="store_true", help="do not write the page")
    args = parser.parse_args()
    found, late = measure(args.rate, args.seconds, args.rounds)
    head = ["media beside texts", "p50, ms", "ratio", "p99, ms", "ratio", "media uploads", "late"]
    rows = []
    base: tuple[float, float] | None = None
    for share, values in found.items():
        p50 = statistics.median(values)
        p99 = values[min(len(values) - 1, int(len(values) * 0.99))]
        base = base or (p50, p99)
        rows.append(
            [
                f"{share:.0%}",
                f"{p50:,.0f}",
                f"{p50 / base[0]:.2f}",
                f"{p99:,.0f}",
                f"{p99 / base[1]:.2f}",
                *(f"{count}" for count in late[share]),
            ]
        )
    made = table(head, rows)
    print(made)
    if args.dry_run:
        return
    told = "" if os.nice(0) == 0 else f" All of it ran with `nice -n {os.nice(0)}`."
    texts = round(args.rate * args.seconds) * args.rounds
    write_section(
        "latency",
        f"""## Texts beside media

`python -m benchmarks.latency`, on {machine()}.

`quorum stream` with the shipped detectors on Prism; texts at {args.rate:g}/s, and so many media
uploads (the shipped clips) for each text beside them. From publication to the verdict at the
platform, of {texts:,} texts a row, in {args.rounds} rounds of {args.seconds:g} s. `late` counts
media uploads that the deadline decided with what was there.{told}

{made}
""",
    )


if __name__ == "__main__":
    main()
