"""Recall of a violent line within innocent text, and false positives of long innocent texts.

``python -m benchmarks.violence_padding --data FOLDER``; FOLDER holds ``youtube_spam``, whose
innocent comments surround the lines. The lines are the English held-out sentences of
``benchmarks/violence_kinds``; the detector is the shipped one.
"""

from __future__ import annotations

import argparse
import csv
import zlib
from pathlib import Path

import numpy as np

from benchmarks.violence_words import found_in, held_out
from quorum.models.contract import upload
from quorum.models.training.evasions import padded
from quorum.models.violence.detector import ViolenceDetector
from quorum.models.violence.sources import HARMFUL

#: Scores of the shipped policies.
THRESHOLDS = (0.25, 0.5, 0.75)


def innocent_comments(folder: Path) -> list[str]:
    """The comments of ordinary people under videos."""
    found: list[str] = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found += [row["CONTENT"] for row in csv.DictReader(file) if row["CLASS"] == "0"]
    return found


def main() -> None:
    """Command-line entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sentences", type=int, default=48)
    parser.add_argument("--innocent", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    calm = innocent_comments(given.data / "youtube_spam")
    lines = [line.text for line in held_out() if line.language == "en" and line.kind in HARMFUL]
    alone = sorted(lines, key=lambda text: zlib.crc32(text.encode()))[: given.sentences]
    forms = {"violent, alone": alone}
    for words in (50, 150):
        made = [padded(text, calm, rng, words) for text in alone]
        forms[f"within {words} words"] = made
        forms[f"within {words} words, on one line"] = [one.replace("\n", " ") for one in made]
    forms["innocent, 150 words"] = [
        padded(str(rng.choice(calm)), calm, rng) for _ in range(given.innocent)
    ]
    detector = ViolenceDetector()
    print("| text | texts | 0.25 or more | 0.5 | 0.75 |\n|---|---|---|---|---|")
    for name, texts in forms.items():
        made = found_in(detector, [upload(title=text) for text in texts])
        scores = np.array([finding.score or 0.0 for finding in made])
        told = [f"{(scores >= threshold).mean():.2f}" for threshold in THRESHOLDS]
        print(f"| {name} | {len(texts)} | {' | '.join(told)} |", flush=True)


if __name__ == "__main__":
    main()
