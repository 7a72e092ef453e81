"""Whole spam uploads against ordinary ones: ``python -m benchmarks.spam_uploads --data FOLDER``.

The spam was written for this test (``spam_uploads.yaml``), in fourteen languages: real spam
uploads may not be used. Ordinary uploads are those of channels that the shipped model was never
trained on, and those in the languages of ``traffic_made.yaml``. Prints the ROC-AUC of the score,
and the share that reaches each threshold of the shipped policies, also by language and kind.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.document import table
from benchmarks.texts import DATA
from benchmarks.traffic import AT, NEVER, WRITTEN, Sent, real, written
from quorum.core.messages import Upload
from quorum.models.detectors import Features
from quorum.models.features.text import text_of
from quorum.models.spam.detector import ARTIFACT, SpamDetector

_SPAM = Path(__file__).with_name("spam_uploads.yaml")
_THRESHOLDS = (0.4, 0.5, 0.7, 0.85, 0.98)
_BATCH = 32


def spam_uploads() -> list[tuple[Upload, str, str]]:
    """The spam as uploads, each with its language and kind."""
    from ruamel.yaml import YAML

    with _SPAM.open(encoding="utf-8") as file:
        by_language = YAML(typ="safe", pure=True).load(file)
    return [
        (
            Upload(
                id=f"s-{language}-{place}",
                uploader=f"s{place}",
                title=one["title"],
                description=one["description"],
                published_at=AT,
            ),
            language,
            one["kind"],
        )
        for language, uploads in by_language.items()
        for place, one in enumerate(uploads)
    ]


def ordinary(data: Path | None, count: int, seed: int) -> list[Sent]:
    """Ordinary uploads that no detector was trained on."""
    rng = np.random.default_rng(seed)
    made = list(written(rng, 1))
    if data is not None:
        never = [one for one in real(data, rng) if one.part == NEVER and one.upload.description]
        made += [never[int(index)] for index in rng.permutation(len(never))[:count]]
    return made


def scores_of(detector: SpamDetector, uploads: Sequence[Upload]) -> list[float]:
    """The score of each; an upload that is not judged counts as 0."""
    made: list[float] = []
    for start in range(0, len(uploads), _BATCH):
        batch = [Features(one, text_of(one)[0]) for one in uploads[start : start + _BATCH]]
        made += [one.score or 0.0 for one in detector.score(batch)]
    return made


def main() -> None:
    """Print the tables."""
    from sklearn.metrics import roc_auc_score

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=DATA if DATA.is_dir() else None)
    parser.add_argument("--model", type=Path, default=ARTIFACT, help="folder of the artifact")
    parser.add_argument("--uploads", type=int, default=300, help="ordinary uploads of channels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worst", type=int, default=0, help="print so many mistakes of each side")
    given = parser.parse_args()
    detector = SpamDetector(given.model)
    spam = spam_uploads()
    honest = ordinary(given.data, given.uploads, given.seed)
    high = scores_of(detector, [one for one, _, _ in spam])
    low = scores_of(detector, [one.upload for one in honest])
    labels = [1] * len(high) + [0] * len(low)
    print(f"{len(high)} spam, {len(low)} ordinary, ROC-AUC {roc_auc_score(labels, high + low):.3f}")
    groups: list[tuple[str, list[float]]] = [("spam", high)]
    groups += [
        (part, [score for one, score in zip(honest, low, strict=True) if one.part == part])
        for part in (NEVER, WRITTEN)
    ]
    for place, what in ((1, "language"), (2, "kind")):
        for name in sorted({str(one[place]) for one in spam}):
            groups.append(
                (f"spam, {what} {name}",
                 [score for one, score in zip(spam, high, strict=True) if one[place] == name])
            )  # fmt: skip
    rows = [
        [name, str(len(found)), *(f"{np.mean(np.array(found) >= one):.1%}" for one in _THRESHOLDS)]
        for name, found in groups
        if found
    ]
    print(table(["uploads", "count", *(f"at {one}" for one in _THRESHOLDS)], rows))
    ranked = sorted(zip(high, (one.title for one, _, _ in spam), strict=True))
    false = sorted(zip(low, (one.upload.title for one in honest), strict=True), reverse=True)
    for score, title in [*ranked[: given.worst], *false[: given.worst]]:
        print(f"{score:.3f} {title}", file=sys.stderr)


if __name__ == "__main__":
    main()
