"""Train the violence detector on custom data: ``quorum models train violence``.

Examples with text train the text head, examples with media the frames head, examples with both
train both. A head without enough data is copied from the shipped model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quorum.core.errors import InputError, MediaRefused
from quorum.core.settings import MediaAccess
from quorum.models.features.embedding import EMBEDDING
from quorum.models.features.text import text_of
from quorum.models.media.fetch import fetched
from quorum.models.registry.artifacts import (
    Artifact,
    TrainingData,
    digest_of_file,
    open_artifact,
    write_artifact,
)
from quorum.models.scoring.calibration import expected_calibration_error, prevalence_weights
from quorum.models.training.dataset import Labelled
from quorum.models.violence.detector import ARTIFACT, fuse
from quorum.models.violence.gore import GoreCalibration
from quorum.models.violence.head import TrainedHead
from quorum.models.violence.train_frames import SMOOTHING, Clip, scene_features, train_frames
from quorum.models.violence.train_text import train_text

__all__ = ["load_clips", "train_from", "write"]

#: Minimum number of examples per class.
_FEWEST = 5


def train_from(
    data: Labelled, out: Path, seed: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """See ``quorum.models.training.trainer.Trainer``."""
    texts = [text_of(upload)[0].normalised for upload in data.uploads]
    with_text = [index for index, text in enumerate(texts) if any(map(str.isalpha, text))]
    with_media = [index for index, upload in enumerate(data.uploads) if upload.media]
    text = frames = None
    if _enough(data, with_text):
        text = train_text(
            [texts[index] for index in with_text],
            data.labels[with_text],
            [data.sources[index] for index in with_text],
            [data.origin],
            seed,
            progress,
        )
    if _enough(data, with_media):
        frames = train_frames(*load_clips(data, with_media, progress), seed, progress)
    if text is None and frames is None:
        msg = (
            f"{data.origin.name}: training needs at least {_FEWEST} examples with the harm and "
            f"{_FEWEST} without, all with text or all with media"
        )
        raise InputError(msg)
    return write(out, text, frames, None, seed, "as the training data allows")


def _enough(data: Labelled, chosen: Sequence[int]) -> bool:
    labels = data.labels[list(chosen)]
    return min(int(labels.sum()), int((1 - labels).sum())) >= _FEWEST


def load_clips(
    data: Labelled,
    chosen: Sequence[int],
    progress: Callable[[str], None],
    cache: Path | None = None,
    *,
    out_of_domain: bool = False,
) -> tuple[list[Clip], list[TrainingData]]:
    """Load the clips of examples.

    Args:
        data: The examples.
        chosen: Indices of the examples with media.
        progress: Called with progress messages.
        cache: Cache folder of clip features.
        out_of_domain: Exclude the clips from the headline metrics.

    Raises:
        InputError: If a medium cannot be read; the message names it.
    """
    clips: list[Clip] = []
    sha = hashlib.sha256()
    access = MediaAccess(folders=data.folders)
    for count, index in enumerate(chosen, 1):
        upload = data.uploads[index]
        try:
            with fetched(str(upload.media), access) as path:
                digest = digest_of_file(path)
                scenes = scene_features(path, cache)
        except MediaRefused as refused:
            msg = f"{upload.id}: {refused}"
            raise InputError(msg) from None
        sha.update(digest.encode())
        clips.append(
            Clip(scenes, int(data.labels[index]), data.sources[index], digest, out_of_domain)
        )
        if count % 10 == 0 or count == len(chosen):
            progress(f"watched {count} of {len(chosen)} clips")
    origin = TrainingData(data.origin.name, data.origin.licence, len(clips), sha.hexdigest())
    return clips, [origin]


def write(
    out: Path,
    text: TrainedHead | None,
    frames: TrainedHead | None,
    gore: tuple[GoreCalibration, dict[str, Any]] | None,
    seed: int,
    licence: str,
) -> dict[str, Any]:
    """Write an artifact; parts that were not trained are copied from the shipped model.

    Returns:
        The metrics.
    """
    whole = text is not None and frames is not None and gore is not None
    held = None if whole else open_artifact(ARTIFACT, "violence")
    document: dict[str, Any] = {"calibration": {}, "smoothing": SMOOTHING}
    metrics: dict[str, Any] = {}
    tensors: dict[str, Any] = {}
    kept: list[Path] = []
    sources: list[TrainingData] = []
    for name, half, file in (
        ("text", text, "meaning.safetensors"),
        ("frames", frames, "fights.safetensors"),
    ):
        if half is not None:
            tensors[file] = half.model.as_tensors()
            document["calibration"][name] = half.calibration.as_document()
            metrics[name] = half.metrics
            sources += half.sources
        elif held is not None:
            kept.append(held.file(file))
            document["calibration"][name] = held.document("model.json")["calibration"][name]
            metrics[name] = held.manifest.metrics.get(name, {})
            sources += _shipped_sources(held, name)
    if text is not None and frames is not None:
        metrics["both"] = _fusion(text, frames, seed)
    if gore is not None:
        document["gore"] = {"handicap": gore[0].handicap, "cap": gore[0].cap}
        metrics["gore"] = gore[1]
    elif held is not None and "gore" in held.document("model.json"):
        document["gore"] = held.document("model.json")["gore"]
        metrics["gore"] = held.manifest.metrics.get("gore", {})
    write_artifact(
        out,
        detector="violence",
        tensors=tensors,
        documents={"model.json": document},
        others=kept,
        training_data=sources,
        metrics=metrics,
        calibration=document["calibration"],
        licence=licence,
        seed=seed,
        embedding=EMBEDDING,
    )
    return metrics


def _shipped_sources(held: Artifact, half: str) -> list[TrainingData]:
    """Training data of one head of the shipped model: the first source is the texts."""
    data = held.manifest.training_data
    return list(data[:1] if half == "text" else data[1:])


def _fusion(text: TrainedHead, frames: TrainedHead, seed: int) -> dict[str, Any]:
    """Evaluate the fused score on random pairs of a text and a clip, positive if either is.

    No data set has both. The scores are out-of-fold.
    """
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(seed)
    # 10.56 % positives each, so that about one pair in five is positive.
    drawn = []
    for half in (text, frames):
        guilty = rng.random(20_000) < 0.1056
        places = [np.flatnonzero(half.labels == kind) for kind in (0, 1)]
        drawn.append(np.where(guilty, rng.choice(places[1], 20_000), rng.choice(places[0], 20_000)))
    scores = fuse(text.probabilities[drawn[0]], frames.probabilities[drawn[1]])
    labels = text.labels[drawn[0]] | frames.labels[drawn[1]]
    weights = prevalence_weights(labels, 0.2)
    return {
        "split": "20,000 pairs by chance of a text and a clip, each scored out of fold",
        "roc_auc": round(float(roc_auc_score(labels, scores)), 4),
        "expected_calibration_error": round(expected_calibration_error(scores, labels, weights), 4),
    }
