"""What a cascade saves, and that it changes no decision.

``python benchmarks/cascade.py --data FOLDER``, where FOLDER holds ``youtube_spam`` and ``clips``:
real comments as titles of real clips, under the policy that ships, with several shares of spam. The
first tier is spam, the second is violence and NSFW. Seconds are those of the processor.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from aggregator.decision import decide, weigh
from aggregator.policy import load_policy
from models.cascade import Cascade
from models.nsfw.detector import NsfwDetector
from models.spam.detector import SpamDetector
from models.violence.detector import ViolenceDetector
from quorum.messages import Action, Prediction, Upload
from quorum.settings import MediaAccess

AT = datetime(2026, 1, 1, tzinfo=UTC)


def made_of(folder: Path, count: int, share: float, seed: int) -> list[Upload]:
    """Uploads of which a share has a spam comment for its title."""
    rng = np.random.default_rng(seed)
    texts: dict[str, list[str]] = {"0": [], "1": []}
    for path in sorted((folder / "youtube_spam").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                texts[row["CLASS"]].append(row["CONTENT"])
    clips = sorted((folder / "clips").glob("*.m*"))
    return [
        Upload(
            id=f"u{index}",
            uploader="x",
            title=str(rng.choice(texts["1" if rng.random() < share else "0"])),
            media=clips[int(rng.integers(len(clips)))].resolve().as_uri(),
            published_at=AT,
        )
        for index in range(count)
    ]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    policy = load_policy("balanced")
    access = MediaAccess(folders=(str((given.data / "clips").resolve()),))
    cheap, costly = [SpamDetector()], [ViolenceDetector(), NsfwDetector()]

    def settled(upload: Upload, said: Sequence[Prediction], later: frozenset[str]) -> bool:
        # Nothing is more severe than a removal, whichever rule is named for it.
        weighed = weigh(policy, lambda: upload, said, {}, later)
        return weighed.settled or weighed.decision.action is Action.REMOVE

    print("| share of spam | all, s | cascade, s | saved | skipped | decisions changed |")
    print("|---|---|---|---|---|---|")
    Cascade([[*cheap, *costly]], access, 300).run(made_of(given.data, 2, 0.5, 9), settled, AT)
    for share in (0.05, 0.2, 0.5):
        uploads = made_of(given.data, given.count, share, given.seed)
        found, seconds = [], []
        for tiers in ([[*cheap, *costly]], [cheap, costly]):
            start = time.process_time()
            found.append(Cascade(tiers, access, 300).run(uploads, settled, AT))
            seconds.append(time.process_time() - start)
        changed = sum(
            decide(policy, upload, {p.detector: p for p in one.predictions}).action
            != decide(policy, upload, {p.detector: p for p in other.predictions}).action
            for upload, one, other in zip(uploads, *found, strict=True)
        )
        skipped = sum(bool(one.skipped) for one in found[1])
        print(
            f"| {share:.0%} | {seconds[0]:.1f} | {seconds[1]:.1f} "
            f"| {1 - seconds[1] / seconds[0]:.0%} | {skipped} of {len(uploads)} | {changed} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
