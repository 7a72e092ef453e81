"""Speed of the detectors of words on ordinary uploads, with and without their students.

``python -m benchmarks.text_speed --data FOLDER``, where FOLDER holds ``youtube_uploads``,
``youtube_trending`` and ``youtube_spam``. Three kinds of uploads: comments and titles alone, and
titles with their descriptions. Prints, for each, uploads a second of processor time of one thread,
in one run in which the ways alternate: the plan as all modes run it, the plain loop over the same
models, and both with every text embedded. Below it, at each threshold of the shipped policies, the
share of uploads on which the students change nothing. ``--never`` takes the uploads of
``benchmarks.traffic`` of channels that no student was trained on, their titles alone, and those
that were written in other languages; all of them are compared, however few are timed.
"""

from __future__ import annotations

import argparse
import csv
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.traffic import NEVER, real, written
from quorum.core.messages import Upload
from quorum.core.settings import MediaAccess
from quorum.models.detectors import Detector, Features, Finding
from quorum.models.features.embedding import Embedder, shared_embedder
from quorum.models.features.extract import Extractor
from quorum.models.runner import score_safely
from quorum.models.spam.detector import SpamDetector
from quorum.models.violence.detector import ViolenceDetector

#: The thresholds of the shipped policies.
THRESHOLDS = {
    "spam": (0.4, 0.5, 0.7, 0.85, 0.95, 0.98),
    "violence": (0.25, 0.4, 0.5, 0.6, 0.75, 0.97),
}
BATCH = 32
#: Seconds for a batch: a busy machine must not make findings fail.
_PATIENCE = 900.0

Score = Callable[[Detector, Sequence[Features]], Sequence[Finding]]


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def uploads_of(data: Path, count: int, seed: int) -> dict[str, list[Upload]]:
    """Distinct real uploads of each kind."""
    chance = random.Random(seed)
    at = datetime(2026, 1, 1, tzinfo=UTC)

    def made(texts: Sequence[tuple[str, str]]) -> list[Upload]:
        unique = list(dict.fromkeys(texts))
        return [
            Upload(
                id=f"u{number}",
                uploader=f"by-{number}",
                title=title[:300],
                description=description[:5000],
                published_at=at,
            )
            for number, (title, description) in enumerate(
                chance.sample(unique, min(count, len(unique)))
            )
        ]

    comments = [
        (row["CONTENT"], "")
        for path in sorted((data / "youtube_spam").glob("*.csv"))
        for row in rows(path)
        if row["CLASS"] == "0"
    ]
    titles = [(row["title"], "") for path in sorted((data / "youtube_trending").glob("*.csv"))
              for row in rows(path)]  # fmt: skip
    whole = [(row["title"], row["description"])
             for row in rows(data / "youtube_uploads" / "innocent.csv")]  # fmt: skip
    return {"comments": made(comments), "titles": made(titles), "descriptions": made(whole)}


def never_trained(data: Path, seed: int) -> dict[str, list[Upload]]:
    """Uploads of which no student saw the channel, and written ones in many languages."""
    rng = np.random.default_rng(seed)
    # The comments are of videos that taught.
    every = [one.upload for one in real(data, rng) if one.part == NEVER]
    whole = [one.model_copy(update={"comments": ()}) for one in every]
    bare = {"description": "", "tags": ()}
    return {
        "of channels never trained on": whole,
        "titles of these": [one.model_copy(update=bare) for one in whole],
        "written in other languages": [one.upload for one in written(rng, 2)],
    }


def forget() -> None:
    """Empty the embedder's memory, so that each way embeds by itself."""
    shared_embedder()._kept.clear()


def _scored(
    detectors: Sequence[Detector], uploads: Sequence[Upload], score: Score
) -> list[list[Finding]]:
    """The findings of each detector, with features that are made once a batch."""
    extractor = Extractor(frozenset().union(*(one.needs for one in detectors)), MediaAccess())
    made: list[list[Finding]] = [[] for _ in detectors]
    for place in range(0, len(uploads), BATCH):
        features = extractor.extract(uploads[place : place + BATCH])
        for found, detector in zip(made, detectors, strict=True):
            for start in range(0, len(features), detector.max_batch):
                found += score(detector, features[start : start + detector.max_batch])
    return made


def plan(detectors: Sequence[Detector], uploads: Sequence[Upload]) -> list[list[Finding]]:
    """As all modes do: each detector is guarded by the runner."""
    return _scored(detectors, uploads, lambda one, batch: score_safely(one, batch, _PATIENCE))


def loop(detectors: Sequence[Detector], uploads: Sequence[Upload]) -> list[list[Finding]]:
    """The plain loop: nothing around the models."""
    return _scored(detectors, uploads, lambda one, batch: one.score(batch))


def score_of(finding: Finding) -> float:
    """The score; of a finding without one a number under every threshold."""
    return -1.0 if finding.score is None else finding.score


def compared(
    taught: Sequence[Detector], alone: Sequence[Detector], uploads: Sequence[Upload]
) -> list[list[tuple[float, float]]]:
    """The scores of each detector with and without its student."""
    made: list[list[tuple[float, float]]] = [[] for _ in taught]
    for place in range(0, len(uploads), BATCH):
        some = uploads[place : place + BATCH]
        # What the students leave out is embedded first; the rest is known then.
        without, with_it = plan(alone, some), plan(taught, some)
        for pairs, *both in zip(made, with_it, without, strict=True):
            pairs += [(score_of(one), score_of(other)) for one, other in zip(*both, strict=True)]
    return made


def timed(act: Callable[[], Any]) -> tuple[float, int, Any]:
    """Processor seconds, texts embedded, and what was made."""
    forget()
    embedder: Embedder = shared_embedder()
    before, start = embedder.forwards, time.process_time()
    made = act()
    return time.process_time() - start, embedder.forwards - before, made


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=300, help="uploads of each kind to time")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--detectors", nargs="+", choices=THRESHOLDS, default=["violence"])
    parser.add_argument("--never", action="store_true", help="uploads of unseen channels")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    uncut, asking = SpamDetector(), ViolenceDetector()
    uncut._model = replace(uncut._model, cuts={})
    asking._student = None
    ways_of: dict[str, tuple[Detector, Detector]] = {
        "spam": (SpamDetector(), uncut),
        "violence": (ViolenceDetector(), asking),
    }
    taught, alone = zip(*(ways_of[one] for one in given.detectors), strict=True)
    print(
        "| uploads | with the student, uploads/s | plain loop | ratio | every text embedded "
        "| gain | texts embedded an upload, with and without |\n|---|---|---|---|---|---|---|"
    )
    seen: dict[str, list[tuple[float, float]]] = {one.name: [] for one in taught}
    chosen = (
        never_trained(given.data, given.seed)
        if given.never
        else uploads_of(given.data, given.count, given.seed)
    )
    for kind, uploads in chosen.items():
        few = uploads[:: -(-len(uploads) // given.count)]
        plan(taught, few[:4])
        ways = (
            lambda few=few: plan(taught, few),
            lambda few=few: loop(taught, few),
            lambda few=few: plan(alone, few),
        )
        found = [[timed(way) for way in ways] for _ in range(given.rounds)]
        rates = [len(few) / min(one[place][0] for one in found) for place in range(3)]
        texts = [found[0][place][1] / len(few) for place in (0, 2)]
        print(
            f"| {len(few)} {kind} | {rates[0]:.0f} | {rates[1]:.0f} | "
            f"{rates[0] / rates[1]:.2f} | {rates[2]:.0f} | {rates[0] / rates[2]:.1f} x | "
            f"{texts[0]:.2f}, {texts[1]:.2f} |",
            flush=True,
        )
        every = compared(taught, alone, uploads)
        for detector, scores in zip(taught, every, strict=True):
            seen[detector.name] += scores
    print("\n| detector | threshold | uploads | same side | over it without |")
    print("|---|---|---|---|---|")
    for name, pairs in seen.items():
        with_it, without = np.array(pairs).T
        for threshold in THRESHOLDS[name]:
            same = ((with_it >= threshold) == (without >= threshold)).mean()
            over = int((without >= threshold).sum())
            print(f"| {name} | {threshold} | {len(pairs)} | {100 * same:.2f} % | {over} |")


if __name__ == "__main__":
    main()
