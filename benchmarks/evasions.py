"""Recall of spam under evasions, on videos that the model has not seen.

``python -m benchmarks.evasions --data FOLDER`` with the YouTube Spam Collection. For each held-out
video, its spam is evaded, and scored at the threshold that flags 1 % of its unchanged innocent
comments.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quorum.models.features.embedding import shared_embedder
from quorum.models.features.normalise import normalise
from quorum.models.scoring.segments import segments_of
from quorum.models.spam.detector import handicap
from quorum.models.spam.model import SHARE_OF_MEANING, SpamModel, weighted_mean
from quorum.models.training.evasions import EVASIONS, padded
from quorum.models.training.unicode_evasions import UNICODE_EVASIONS, words_read

#: What ``--words`` evades.
SENTENCES = (
    "Subscribe to my channel and win free money today",
    "Check out this video and click the link in my profile",
    "I made five thousand dollars working from home, ask me how",
)

_cache: dict[str, NDArray[np.float32]] = {}


def embedded(texts: list[str]) -> NDArray[np.float32]:
    """Embeddings; each distinct text is embedded once."""
    new = [text for text in dict.fromkeys(texts) if text not in _cache]
    _cache.update(zip(new, shared_embedder().embed(new), strict=True))
    return np.stack([_cache[text] for text in texts])


def score(model: SpamModel, raw: list[str]) -> NDArray[np.float64]:
    """Log-odds of texts, computed as in the detector."""
    texts = [normalise(text) for text in raw]
    best, told = [], []
    for text in texts:
        cut = segments_of(text)
        odds = model.words.decide(cut)
        place = int(np.argmax(odds))
        best.append(odds[place] - handicap(len(cut)) / (1 - SHARE_OF_MEANING))
        told.append(cut[place] if len(cut) > 1 and odds[place] > 0 else text)
    both: NDArray[np.float64] = weighted_mean(np.array(best), model.meaning.decide(embedded(told)))
    return both


def measure(folder: Path, seed: int, percent: float) -> dict[str, list[float]]:
    """Recall by evasion, one value per held-out video."""
    files = sorted(folder.glob("*.csv"))
    raw, labels, videos = [], [], []
    for index, path in enumerate(files):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                raw.append(row["CONTENT"])
                labels.append(int(row["CLASS"]))
                videos.append(index)
    y, video = np.array(labels), np.array(videos)
    texts = [normalise(text) for text in raw]
    vectors = embedded(texts)
    found: dict[str, list[float]] = {}
    for left_out in range(len(files)):
        rng = np.random.default_rng(seed)
        kept = np.flatnonzero(video != left_out)
        model = SpamModel.fit([texts[row] for row in kept], vectors[kept], y[kept])
        innocent = [raw[row] for row in np.flatnonzero((video == left_out) & (y == 0))]
        spam = [raw[row] for row in np.flatnonzero((video == left_out) & (y == 1))]
        calm = np.sort(score(model, innocent))
        threshold = calm[int(np.ceil((1 - percent / 100) * len(calm))) - 1]
        forms = {"unchanged": spam}
        for name, evade in {**EVASIONS, **UNICODE_EVASIONS}.items():
            forms[name] = [evade(text, rng) for text in spam]
        pads = [padded(text, innocent, rng) for text in spam]
        forms["padding with innocent comments"] = pads
        forms["padding on the same line"] = [text.replace("\n", " ") for text in pads]
        for name, evaded in forms.items():
            found.setdefault(name, []).append(float((score(model, evaded) > threshold).mean()))
        pads = [padded(str(rng.choice(innocent)), innocent, rng) for _ in range(100)]
        for name, texts_of in (
            ("(false positives: 150 innocent words)", pads),
            ("(the same on one line)", [text.replace("\n", " ") for text in pads]),
        ):
            found.setdefault(name, []).append(float((score(model, texts_of) > threshold).mean()))
    return found


def main() -> None:
    """Command-line entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=Path)
    what.add_argument(
        "--words", action="store_true", help="only the share of words that is read again"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--false-positives", type=float, default=1.0, help="percent")
    given = parser.parse_args()
    if given.words:
        seeds = range(given.seed, given.seed + 60)
        for name, evade in UNICODE_EVASIONS.items():
            print(f"{name:40} {words_read(evade, SENTENCES, seeds):.3f}")
        return
    found = measure(given.data, given.seed, given.false_positives)
    base = np.mean(found["unchanged"])
    print("| evasion | recall | change in points |\n|---|---|---|")
    for name, values in found.items():
        mean = float(np.mean(values))
        print(f"| {name} | {mean:.3f} | {100 * (mean - base):+.1f} |")


if __name__ == "__main__":
    main()
