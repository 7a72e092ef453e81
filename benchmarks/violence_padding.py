"""Recall of violent text within innocent text, and false positives of long innocent texts.

``python -m benchmarks.violence_padding --data FOLDER``; FOLDER holds ``openai_moderation`` and
``youtube_spam``. Violent prompts of up to sixty words are inserted into innocent comments and
scored by models that have not seen them (five folds).
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np

from quorum.core.settings import MediaAccess
from quorum.models.contract import upload
from quorum.models.detectors import Feature
from quorum.models.features.embedding import shared_embedder
from quorum.models.features.extract import Extractor
from quorum.models.training.dataset import read_labelled
from quorum.models.training.evasions import padded
from quorum.models.training.trainer import folds_of, normalised
from quorum.models.violence.detector import ViolenceDetector
from quorum.models.violence.train_text import train_binary
from quorum.models.violence.words import features_of


def scores(detector: ViolenceDetector, texts: list[str]) -> np.ndarray:
    """The score of each text."""
    extractor = Extractor(frozenset({Feature.TEXT, Feature.EMBEDDING}), MediaAccess())
    made = detector.score(extractor.extract([upload(title=text) for text in texts]))
    return np.array([finding.score or 0.0 for finding in made])


def main() -> None:
    """Command-line entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--innocent", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    data = read_labelled(given.data / "openai_moderation" / "violence_filtered.jsonl")
    texts = normalised(data)
    features = features_of(texts, shared_embedder().embed(texts))
    calm: list[str] = []
    for path in sorted((given.data / "youtube_spam").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            calm += [row["CONTENT"] for row in csv.DictReader(file) if row["CLASS"] == "0"]
    detector = ViolenceDetector()
    found: dict[str, list[float]] = {}
    for kept, left in folds_of(texts, data.labels, data.sources, given.seed):
        network = train_binary(features[kept], data.labels[kept], given.seed)
        detector._words = replace(detector._words, network=network)
        chosen = [
            data.uploads[index].title
            for index in left
            if data.labels[index] and len(texts[index].split()) <= 60
        ]
        forms = {"violent, alone": chosen}
        for words in (50, 150):
            pads = [padded(text, calm, rng, words) for text in chosen]
            forms[f"violent, within {words} words"] = pads
            forms[f"the same on one line ({words})"] = [one.replace("\n", " ") for one in pads]
        pads = [padded(str(rng.choice(calm)), calm, rng) for _ in range(given.innocent // 5)]
        forms["innocent, 150 words"] = pads
        for name, made in forms.items():
            found.setdefault(name, []).extend(scores(detector, made).tolist())
    print("| text | texts | 0.5 | 0.75 | 0.97 |\n|---|---|---|---|---|")
    for name, values in found.items():
        told = [f"{(np.array(values) >= threshold).mean():.2f}" for threshold in (0.5, 0.75, 0.97)]
        print(f"| {name} | {len(values)} | {' | '.join(told)} |", flush=True)


if __name__ == "__main__":
    main()
