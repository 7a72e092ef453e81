"""Whole spam uploads against ordinary ones: ``python -m benchmarks.spam_uploads --data FOLDER``.

The spam was written for this test (``spam_uploads.yaml``), in fourteen languages: real spam
uploads may not be used. Ordinary uploads are those of channels that the shipped model was never
trained on, and those in the languages of ``traffic_made.yaml``. Prints the ROC-AUC of the score,
and the share that reaches each threshold of the shipped policies, also by language and kind. Then
the same of short messages and offers, spam against honest ones that look like it, and how often a
label names the kind: of ``spam_short.yaml``, which models were chosen by, and of
``spam_unread.yaml``, whose single scores nobody read.
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
from quorum.models.detectors import Features, Finding
from quorum.models.features.text import text_of
from quorum.models.spam.detector import ARTIFACT, SpamDetector

_SPAM = Path(__file__).with_name("spam_uploads.yaml")
_SHORT = Path(__file__).with_name("spam_short.yaml")
_UNREAD = Path(__file__).with_name("spam_unread.yaml")
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


def short(part: str, file: Path = _SHORT) -> list[tuple[Upload, str, str]]:
    """Short messages and offers, ``honest`` or ``spam``, each with its language and kind."""
    from ruamel.yaml import YAML

    with file.open(encoding="utf-8") as opened:
        by_language = YAML(typ="safe", pure=True).load(opened)[part]
    return [
        (
            Upload(
                id=f"{part}-{language}-{place}",
                uploader=f"{language}{place}",
                title=one.get("title", ""),
                description=one["text"] if "title" in one else "",
                comments=() if "title" in one else (one["text"],),
                published_at=AT,
            ),
            language,
            one.get("kind", "offers" if "title" in one else "messages"),
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


def findings_of(detector: SpamDetector, uploads: Sequence[Upload]) -> list[Finding]:
    """What the detector finds in each."""
    made: list[Finding] = []
    for start in range(0, len(uploads), _BATCH):
        batch = [Features(one, text_of(one)[0]) for one in uploads[start : start + _BATCH]]
        made += detector.score(batch)
    return made


def scores_of(detector: SpamDetector, uploads: Sequence[Upload]) -> list[float]:
    """The score of each; an upload that is not judged counts as 0."""
    return [one.score or 0.0 for one in findings_of(detector, uploads)]


def shares(groups: Sequence[tuple[str, Sequence[float]]]) -> str:
    """A table of the shares of groups that reach each threshold."""
    rows = [
        [name, str(len(found)), *(f"{np.mean(np.array(found) >= one):.1%}" for one in _THRESHOLDS)]
        for name, found in groups
        if found
    ]
    return table(["uploads", "count", *(f"at {one}" for one in _THRESHOLDS)], rows)


def tell_short(detector: SpamDetector, file: Path) -> None:
    """Print the tables of a file's short messages and offers."""
    from sklearn.metrics import roc_auc_score

    spam, honest = short("spam", file), short("honest", file)
    findings = findings_of(detector, [one for one, _, _ in spam])
    high = [one.score or 0.0 for one in findings]
    low = scores_of(detector, [one for one, _, _ in honest])
    auc = roc_auc_score([1] * len(high) + [0] * len(low), high + low)
    print(f"\n{file.stem}: {len(high)} short spam, {len(low)} honest, ROC-AUC {auc:.3f}")
    groups: list[tuple[str, list[float]]] = [("short spam", high), ("honest", low)]
    for rows, scores in ((spam, high), (honest, low)):
        for name in sorted({kind for _, _, kind in rows}):
            groups.append(
                (name, [score for one, score in zip(rows, scores, strict=True) if one[2] == name])
            )
    print(shares(groups))
    found = [(one.labels, kind) for one, (_, _, kind) in zip(findings, spam, strict=True)
             if (one.score or 0.0) >= _THRESHOLDS[0]]  # fmt: skip
    named = sum(f"spam/{kind}" in labels for labels, kind in found)
    print(f"A label names the kind of {named} of the {len(found)} that are found.")


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
    print(shares(groups))
    ranked = sorted(zip(high, (one.title for one, _, _ in spam), strict=True))
    false = sorted(zip(low, (one.upload.title for one in honest), strict=True), reverse=True)
    for score, title in [*ranked[: given.worst], *false[: given.worst]]:
        print(f"{score:.3f} {title}", file=sys.stderr)
    for file in (_SHORT, _UNREAD):
        tell_short(detector, file)


if __name__ == "__main__":
    main()
