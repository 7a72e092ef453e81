"""Train the violence detector on custom data: ``quorum models train violence``.

Examples with text train the text head, examples with media the frames head, examples with both
train both. A head without enough data is copied from the shipped model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from quorum.core.errors import InputError, MediaRefused
from quorum.core.settings import MediaAccess
from quorum.models.features.accents import with_accents
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
from quorum.models.scoring.student import Student
from quorum.models.training.dataset import Labelled
from quorum.models.violence.detector import ARTIFACT, STUDENT
from quorum.models.violence.fights import FIGHTS, MOTION
from quorum.models.violence.gore import GoreCalibration
from quorum.models.violence.head import TrainedFights, TrainedWords
from quorum.models.violence.lessons import FOR_STUDENT
from quorum.models.violence.train_frames import SMOOTHING, Clip, clip_features, train_frames
from quorum.models.violence.train_text import train_text

__all__ = ["load_clips", "train_from", "write", "write_student"]

#: Lowest ROC-AUC, on sentences of a language left out of training, of a covered language.
_COVERED = 0.85
#: Languages that ``benchmarks.violence_words`` measured above 0.9.
_BESIDE = ("bn", "cs", "el", "fa", "he", "ko", "nl", "sv", "th", "uk", "vi")
#: Minimum number of examples per class.
_FEWEST = 5
_WORDS, _CONTEXT = "words.safetensors", "context.safetensors"


def train_from(
    data: Labelled, out: Path, seed: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """See ``quorum.models.training.trainer.Trainer``."""
    told = [text_of(upload)[0] for upload in data.uploads]
    texts = [with_accents(text.joined, text.normalised) for text in told]
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
                scenes, windows = clip_features(path, cache)
        except MediaRefused as refused:
            msg = f"{upload.id}: {refused}"
            raise InputError(msg) from None
        sha.update(digest.encode())
        clips.append(
            Clip(
                scenes,
                int(data.labels[index]),
                data.sources[index],
                digest,
                out_of_domain,
                windows,
            )
        )
        if count % 10 == 0 or count == len(chosen):
            progress(f"watched {count} of {len(chosen)} clips")
    origin = replace(data.origin, rows=len(clips), sha256=sha.hexdigest())
    return clips, [origin]


def write(
    out: Path,
    text: TrainedWords | None,
    frames: TrainedFights | None,
    gore: tuple[GoreCalibration, dict[str, Any]] | None,
    seed: int,
    licence: str,
) -> dict[str, Any]:
    """Write an artifact; parts that were not trained are copied from the shipped model.

    Returns:
        The metrics.
    """
    told = text is not None and text.context is not None
    whole = told and frames is not None and gore is not None
    held = None if whole else open_artifact(ARTIFACT, "violence")
    shipped = {} if held is None else held.document("model.json")
    calibration: dict[str, Any] = {}
    document: dict[str, Any] = {"calibration": calibration, "smoothing": SMOOTHING}
    metrics: dict[str, Any] = {}
    tensors: dict[str, Any] = {}
    kept: list[str] = []
    sources: list[TrainingData] = []
    if text is not None:
        tensors[_WORDS] = text.network.as_tensors()
        if text.student is not None:
            tensors[STUDENT] = text.student.as_tensors()
        calibration["text"] = text.calibration.as_document()
        metrics["text"] = text.metrics
        sources += text.sources
    elif held is not None:
        kept += [one for one in (_WORDS, STUDENT) if one in held.manifest.files]
        calibration["text"] = shipped["calibration"]["text"]
        metrics["text"] = held.manifest.metrics["text"]
        sources += held.manifest.training_data[: shipped["sources_of_text"]]
    document["sources_of_text"] = len(sources)
    measured = text.metrics.get("languages") if text is not None else None
    document["languages"] = _covered(measured) if measured else shipped["languages"]
    if text is not None and text.context is not None and text.reports is not None:
        tensors[_CONTEXT] = text.context.as_tensors()
        calibration["news"] = text.reports.as_document()
    else:
        kept.append(_CONTEXT)
        calibration["news"] = shipped["calibration"]["news"]
    if frames is not None:
        tensors |= frames.fights.tensors()
        calibration |= frames.fights.as_document()
        metrics["frames"] = frames.metrics
        sources += frames.sources
    elif held is not None:
        kept += [one for one in (FIGHTS, MOTION) if one in held.manifest.files]
        calibration |= {
            one: shipped["calibration"][one]
            for one in ("frames", "motion")
            if one in shipped["calibration"]
        }
        metrics["frames"] = held.manifest.metrics["frames"]
        sources += held.manifest.training_data[shipped["sources_of_text"] :]
    if gore is not None:
        document["gore"] = {"handicap": gore[0].handicap, "cap": gore[0].cap}
        metrics["gore"] = gore[1]
    elif held is not None and "gore" in shipped:
        document["gore"] = shipped["gore"]
        metrics["gore"] = held.manifest.metrics.get("gore", {})
    write_artifact(
        out,
        detector="violence",
        tensors=tensors,
        documents={"model.json": document},
        others=[held.file(name) for name in kept] if held is not None else [],
        training_data=sources,
        metrics=metrics,
        calibration=calibration,
        licence=licence,
        seed=seed,
        embedding=EMBEDDING,
    )
    return metrics


def write_student(
    out: Path,
    student: Student,
    metrics: Mapping[str, Any],
    origins: Sequence[TrainingData],
    held: Artifact,
    seed: int,
    licence: str,
) -> None:
    """Write an artifact that differs from another one by its student alone.

    Args:
        out: Output folder.
        student: The new student.
        metrics: Its agreement with the words.
        origins: The texts that taught it, beside those of the words.
        held: The other artifact; its text is of the shipped sources.
        seed: Seed of the training.
        licence: Licence of the artifact.
    """
    document = dict(held.document("model.json"))
    sources = list(held.manifest.training_data)
    count = int(document["sources_of_text"])
    text = [one for one in sources[:count] if not one.name.endswith(FOR_STUDENT)] + list(origins)
    document["sources_of_text"] = len(text)
    write_artifact(
        out,
        detector="violence",
        tensors={STUDENT: student.as_tensors()},
        documents={"model.json": document},
        others=[
            held.file(name) for name in held.manifest.files if name not in (STUDENT, "model.json")
        ],
        training_data=[*text, *sources[count:]],
        metrics={
            **held.manifest.metrics,
            "text": {**held.manifest.metrics["text"], "student": dict(metrics)},
        },
        calibration=held.manifest.calibration,
        licence=licence,
        seed=seed,
        embedding=EMBEDDING,
    )


def _covered(measured: Mapping[str, float]) -> list[str]:
    """Languages in which the words are judged: English, and those that others teach well."""
    taught = [language for language, rank in measured.items() if rank >= _COVERED]
    return sorted({"en", *_BESIDE, *taught})
