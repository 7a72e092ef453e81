"""Violence in words: kinds and languages that no training sentence had, and ordinary uploads.

``python -m benchmarks.violence_words --data FOLDER [--uploads N]``. The sentences of
``benchmarks/violence_kinds`` are the project's own, and none was trained on; they were written
before any model was trained, but for those in Czech, Greek, Hebrew and Thai.
The figures over sources left out are those of training, in ``models/violence/artifact``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quorum.core.messages import Status, Upload
from quorum.core.settings import MediaAccess
from quorum.models.contract import upload
from quorum.models.detectors import Feature, Finding
from quorum.models.features.extract import Extractor
from quorum.models.violence.detector import ViolenceDetector
from quorum.models.violence.sources import HARMFUL, innocents
from quorum.models.violence.train_text import recall_at

KINDS = Path(__file__).parent / "violence_kinds"
#: Thresholds of the shipped policies.
THRESHOLDS = (0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.97)


class Line(NamedTuple):
    """A held-out sentence."""

    language: str
    kind: str
    text: str


def held_out(folder: Path = KINDS) -> list[Line]:
    """The held-out sentences: ``kind: text`` in a file of one language, else ``de kind: text``."""
    found = []
    for path in sorted(folder.glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip() and not line.startswith("#"):
                kind, _, text = line.partition(":")
                language, _, kind = f"{path.stem} {kind}".rpartition(" ")
                found.append(Line(language.removeprefix("more").strip(), kind, text.strip()))
    return found


def found_in(detector: ViolenceDetector, uploads: Sequence[Upload]) -> list[Finding]:
    """The findings of uploads without media."""
    extractor = Extractor(frozenset({Feature.TEXT, Feature.EMBEDDING}), MediaAccess())
    made: list[Finding] = []
    for start in range(0, len(uploads), 32):
        made += detector.score(extractor.extract(uploads[start : start + 32]))
    return made


def told(name: str, lines: Sequence[Line], scores: NDArray[np.float64]) -> str:
    """One row of the table of languages."""
    from sklearn.metrics import roc_auc_score

    labels = np.array([line.kind in HARMFUL for line in lines], dtype=np.int64)
    heard = ~np.isnan(scores)
    if not 0 < labels[heard].sum() < heard.sum():
        return f"| {name} | {len(lines)} | {heard.sum()} | | | | |"
    truth, odds = labels[heard], scores[heard]
    return (
        f"| {name} | {len(lines)} | {heard.sum()} | {roc_auc_score(truth, odds):.3f} "
        f"| {recall_at(truth, odds, 0.01):.2f} | {(odds[truth == 1] >= 0.5).mean():.2f} "
        f"| {(odds[truth == 0] >= 0.5).mean():.2f} |"
    )


def kinds(detector: ViolenceDetector) -> None:
    """Print what is flagged by kind, and how well languages are ranked."""
    lines = held_out()
    made = found_in(detector, [upload(title=line.text) for line in lines])
    scores = np.array(
        [one.score if one.status is Status.SCORED and one.score is not None else np.nan
         for one in made]
    )  # fmt: skip
    print("| kind | sentences | 0.5 or more | 0.75 or more |\n|---|---|---|---|")
    for kind in dict.fromkeys(line.kind for line in lines):
        rows = np.array([line.kind == kind for line in lines]) & ~np.isnan(scores)
        shares = [f"{(scores[rows] >= one).mean():.2f}" for one in (0.5, 0.75)]
        print(f"| {kind} | {rows.sum()} | {' | '.join(shares)} |")
    print("\n| language | sentences | not abstained | ROC-AUC | recall at 1 % | recall at 0.5 "
          "| false positives at 0.5 |\n|---|---|---|---|---|---|---|")  # fmt: skip
    choices: list[tuple[str, Callable[[Line], bool]]] = [("all", lambda line: True)]
    for language in dict.fromkeys(line.language for line in lines):
        choices.append((language, lambda line, it=language: line.language == it))  # type: ignore[misc]
    for name, chooses in choices:
        rows = [index for index, line in enumerate(lines) if chooses(line)]
        print(told(name, [lines[index] for index in rows], scores[rows]))
    for title, wanted in (("Worst false alarms", False), ("Worst misses", True)):
        print(f"\n{title}:")
        order = np.argsort(scores if wanted else -scores)
        chosen = [index for index in order if (lines[index].kind in HARMFUL) is wanted][:20]
        for index in chosen:
            print(f"{scores[index]:.2f} {lines[index].kind}: {lines[index].text}")


def traffic(detector: ViolenceDetector, data: Path, most: int) -> None:
    """Print how many ordinary uploads reach the thresholds of the shipped policies."""
    texts = [one.text for one in innocents(data) if one.source == "uploads"][:most]
    uploads = []
    for text in texts:
        title, _, description = text.partition("\n")
        uploads.append(upload(title=title, description=description))
    made = found_in(detector, uploads)
    scores = np.array([one.score or 0.0 for one in made])
    silent = sum(one.status is not Status.SCORED for one in made)
    print(f"\nOf {len(made)} real uploads without violence, {silent} abstained, and reached")
    print(", ".join(f"{one}: {(scores >= one).sum()}" for one in THRESHOLDS))
    for index in np.argsort(-scores)[:20]:
        print(f"{scores[index]:.2f} {texts[index][:100]!r}")


def main() -> None:
    """Command-line entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--uploads", type=int, default=10_000)
    given = parser.parse_args()
    detector = ViolenceDetector()
    kinds(detector)
    if given.data is not None:
        traffic(detector, given.data, given.uploads)


if __name__ == "__main__":
    main()
