"""Recall of spam under evasions, on videos that the model has not seen.

``python -m benchmarks.evasions --data FOLDER`` with the YouTube Spam Collection. For each held-out
video, its spam is evaded, and scored at the threshold that flags 1 % of its unchanged innocent
comments.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quorum.models.registry.artifacts import open_artifact
from quorum.models.scoring.calibration import Platt
from quorum.models.spam.detector import ARTIFACT
from quorum.models.spam.judge import judge
from quorum.models.spam.model import GROUPS, Heads, SpamModel
from quorum.models.spam.reading import Part, Unit, units_of
from quorum.models.spam.sources import comments_of
from quorum.models.spam.vectors import CachedVectors, vectors_of
from quorum.models.training.evasions import EVASIONS, padded
from quorum.models.training.unicode_evasions import UNICODE_EVASIONS, words_read

#: What ``--words`` evades.
SENTENCES = (
    "Subscribe to my channel and win free money today",
    "Check out this video and click the link in my profile",
    "I made five thousand dollars working from home, ask me how",
)

EMBED = CachedVectors()


def comment(text: str) -> Unit:
    """A text as a comment."""
    return units_of({"comments[0]": text})[0]


def score(model: SpamModel, raw: list[str]) -> NDArray[np.float64]:
    """Log-odds of comments, computed as in the detector."""
    embed = EMBED if model.heads.meaning else None
    found = judge(model, [[comment(text)] for text in raw], embed)
    return np.array([-20.0 if one is None else one.raw for one in found])


def fitted(raw: list[str], labels: list[int]) -> SpamModel:
    """A model of these comments alone; how the heads are weighed is the shipped model's."""
    shipped = SpamModel.read(open_artifact(ARTIFACT, "spam"))
    parts: list[Part] = []
    of_part: list[int] = []
    for text, label in zip(raw, labels, strict=True):
        made = comment(text).trained[:2]
        parts += made
        of_part += [label] * len(made)
    vectors = vectors_of(parts, EMBED) if shipped.heads.meaning else None
    heads = Heads.fit(
        parts, np.array(of_part), ["promotion" if one else "" for one in of_part],
        [""] * len(parts),
        np.ones(len(parts)), vectors,
    )  # fmt: skip
    return SpamModel(heads, shipped.stacks, dict.fromkeys(GROUPS, Platt(1.0, 0.0)), shipped.clear)


def measure(
    folder: Path, seed: int, percent: float, most: int | None
) -> tuple[list[str], dict[str, list[float]]]:
    """The held-out videos, and the recall under each evasion, one value per video.

    Args:
        folder: Of the collection.
        seed: Of what is drawn.
        percent: Of the innocent comments, the share that the threshold flags.
        most: Spam comments of a video that are evaded, drawn at random; None for all.
    """
    files = sorted(folder.glob("*.csv"))
    raw, labels, videos = [], [], []
    for index, path in enumerate(files):
        for text, label in comments_of(path):
            raw.append(text)
            labels.append(label)
            videos.append(index)
    y, video = np.array(labels), np.array(videos)
    found: dict[str, list[float]] = {}
    for left_out in range(len(files)):
        rng = np.random.default_rng(seed)
        kept = np.flatnonzero(video != left_out)
        model = fitted([raw[row] for row in kept], [labels[row] for row in kept])
        innocent = [raw[row] for row in np.flatnonzero((video == left_out) & (y == 0))]
        hidden = rng.permutation(np.flatnonzero((video == left_out) & (y == 1)))[:most]
        spam = [raw[row] for row in hidden]
        calm = np.sort(score(model, innocent))
        threshold = calm[int(np.ceil((1 - percent / 100) * len(calm))) - 1]
        forms = {"unchanged": spam}
        for name, evade in {**EVASIONS, **UNICODE_EVASIONS}.items():
            forms[name] = [evade(text, rng) for text in spam]
        pads = [padded(text, innocent, rng) for text in spam]
        forms["padding with innocent comments"] = pads
        forms["padding on the same line"] = [text.replace("\n", " ") for text in pads]
        few = [padded(text, innocent, rng, 50).replace("\n", " ") for text in spam]
        forms["the same with 50 words"] = few
        for name, evaded in forms.items():
            found.setdefault(name, []).append(float((score(model, evaded) > threshold).mean()))
        pads = [padded(str(rng.choice(innocent)), innocent, rng) for _ in range(100)]
        few = [padded(str(rng.choice(innocent)), innocent, rng, 50) for _ in range(100)]
        for name, texts_of in (
            ("(false positives: 150 innocent words)", pads),
            ("(the same on one line)", [text.replace("\n", " ") for text in pads]),
            ("(50 words on one line)", [text.replace("\n", " ") for text in few]),
        ):
            found.setdefault(name, []).append(float((score(model, texts_of) > threshold).mean()))
    return [path.stem for path in files], found


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
    parser.add_argument("--most", type=int, help="spam comments of a video; all by default")
    given = parser.parse_args()
    if given.words:
        seeds = range(given.seed, given.seed + 60)
        for name, evade in UNICODE_EVASIONS.items():
            print(f"{name:40} {words_read(evade, SENTENCES, seeds):.3f}")
        return
    videos, found = measure(given.data, given.seed, given.false_positives, given.most)
    base = np.mean(found["unchanged"])
    print(f"| evasion | {' | '.join(videos)} | change in points, mean |")
    print("|---|" + "---|" * (len(videos) + 1))
    for name, values in found.items():
        each = " | ".join(f"{value:.2f}" for value in values)
        print(f"| {name} | {each} | {100 * (np.mean(values) - base):+.1f} |")


if __name__ == "__main__":
    main()
