"""Time saved by a cascade, and changed actions.

``python -m benchmarks.cascade --data FOLDER [--uploads 60]``, where FOLDER holds
``youtube_spam`` and ``clips``: real comments as titles of real clips, all detectors, the policy
``balanced``, several shares of spam. The same uploads are decided with all detectors and with
``cascade: true``. Seconds are processor time of all threads.
"""

from __future__ import annotations

import argparse
import csv
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.document import machine, table
from quorum.core.messages import NOT_ASKED, Upload
from quorum.core.settings import MediaAccess, Settings
from quorum.models.ensemble import Ensemble
from quorum.pipeline.moderator import Moderated, Moderator

AT = datetime(2026, 1, 1, tzinfo=UTC)
SHARES = (0.05, 0.2, 0.5, 0.9)


def made_of(folder: Path, count: int, share: float, seed: int) -> list[Upload]:
    """Uploads of which a share has a spam comment as title; the clips are always the same."""
    rng = np.random.default_rng(seed)
    texts: dict[str, list[str]] = {"0": [], "1": []}
    for path in sorted((folder / "youtube_spam").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                texts[row["CLASS"]].append(row["CONTENT"])
    clips = sorted((folder / "clips").glob("*.m*"))
    chosen = [clips[int(index)] for index in rng.integers(len(clips), size=count)]
    spam = rng.permutation(count) < round(share * count)
    return [
        Upload(
            id=f"u{index}",
            uploader="x",
            title=str(rng.choice(texts["1" if spam[index] else "0"])),
            media=clip.resolve().as_uri(),
            published_at=AT,
        )
        for index, clip in enumerate(chosen)
    ]


def decided(uploads: list[Upload], settings: Settings) -> tuple[list[Moderated], float]:
    """Moderate uploads; returns results and seconds, without loading the models."""
    moderator = Moderator(settings, ensemble=Ensemble.load(settings))
    moderator.moderate(uploads[:1])
    start = time.process_time()
    made = moderator.moderate(uploads)
    return made, time.process_time() - start


def main() -> None:
    """Command-line entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--uploads", type=int, default=60, help="for each share of spam")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    count = given.uploads
    access = MediaAccess(folders=(str((given.data / "clips").resolve()),))
    rows = []
    for share in SHARES:
        uploads = made_of(given.data, count, share, given.seed)
        full, seconds = decided(uploads, Settings(media=access))
        less, fewer = decided(uploads, Settings(media=access, cascade=True))
        answers = [one for each in less for one in each.predictions]
        spared = sum((one.reason or "").startswith(NOT_ASKED) for one in answers)
        pairs = [(one.verdict, two.verdict) for one, two in zip(full, less, strict=True)]
        rows.append(
            [
                f"{share:.0%}",
                f"{seconds:.0f}",
                f"{fewer:.0f}",
                f"{1 - fewer / seconds:.0%}",
                f"{spared} of {len(answers)} ({spared / len(answers):.0%})",
                str(sum(one.action is not two.action for one, two in pairs)),
                str(sum(one.rule != two.rule for one, two in pairs)),
            ]
        )
        print(" | ".join(rows[-1]), flush=True)
    head = ["share of spam", "all, s", "cascade, s", "saved", "not asked"]
    head += ["actions changed", "rules changed"]
    print(f"\n{count} uploads a row; {machine()}\n\n{table(head, rows)}")


if __name__ == "__main__":
    main()
