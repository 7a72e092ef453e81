"""Text and image classifiers in the Hugging Face format as detectors, by configuration alone.

The settings name a file for a detector of any new name:

.. code-block:: yaml

    detectors:
      toxicity: {model: file:toxicity.yaml}

and the file describes the model and maps its labels:

.. code-block:: yaml

    task: text-classification            # or image-classification
    model: hf:org/name@revision#digest   # or file:folder; the digest of its files is checked
    labels: {toxic: hate/insult, threat: violence/threat}
    others: [obscene, insult]            # its other labels; omit not to have them checked
    language: [en]                       # abstains on others; omit for any
    calibration: {slope: 1.3, offset: -0.4, prevalence: 0.2}   # by quorum models calibrate

Only safetensors are loaded, and no code of the model repository is executed.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from quorum.core.errors import ArtifactError, ConfigurationError
from quorum.core.messages import Evidence
from quorum.core.settings import Settings
from quorum.models.detectors import Detector, Example, Feature, Features, Finding, Text
from quorum.models.features.languages import ALL, Languages
from quorum.models.features.sights import seen, told_of, unread
from quorum.models.features.text import evidence_of
from quorum.models.registry.artifacts import file_digests, files_digest
from quorum.models.registry.descriptions import (
    Calibration,
    LanguageCode,
    read_description,
    reference_of,
    validated,
)
from quorum.models.registry.references import digest_of, local_folder
from quorum.models.scoring.calibration import Platt, log_odds
from quorum.models.scoring.segments import sentences
from quorum.models.scoring.timeline import runs, smoothed, spread

__all__ = ["HuggingFaceDetector", "Recipe", "read_recipe"]

_log = logging.getLogger(__name__)

_EXPLAIN_FROM = 0.5
_MOST_EVIDENCE = 3
_MOST_SENTENCES = 12
_MOST_FRAMES = 16
_SMOOTHING = 3
#: Tokens of a piece of text, at most, and how many pieces of an upload are judged.
_TOKENS, _MOST_PIECES = 512, 16
#: Characters by which pieces overlap, so that a sentence at a cut is whole in one of them.
_OVERLAP = 80
_SPACE = re.compile(r"\s+")


class Recipe(BaseModel):
    """The content of the file; see the module."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Literal["text-classification", "image-classification"]
    model: str
    #: Maps the model's harmful labels to paths in the tree of labels.
    labels: Annotated[dict[str, str], Field(min_length=1)]
    #: The model's other labels. With them, the model must have these and no more, so that another
    #: model under the same name is noticed; None if they are not checked.
    others: tuple[str, ...] | None = None
    #: Whether several labels may hold at once; None for what the model's own file says.
    several: bool | None = None
    #: The model's licence, for people.
    licence: str | None = None
    language: tuple[LanguageCode, ...] = ()
    calibration: Calibration | None = None


def read_recipe(reference: str) -> tuple[Recipe, Path]:
    """Read the file that a reference names.

    Raises:
        ConfigurationError: If it cannot be read or is invalid.
    """
    data, path = read_description(reference)
    return validated(Recipe, data, path), path


@dataclass(frozen=True, slots=True)
class _Classifier:
    """A model with its preprocessor."""

    model: Any
    prepare: Any
    names: list[str]
    several: bool


def _load(folder: Path, task: str) -> _Classifier:
    import torch
    from transformers import (
        AutoImageProcessor,
        AutoModelForImageClassification,
        AutoModelForSequenceClassification,
        AutoTokenizer,
    )

    torch.set_num_threads(1)
    safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    text = task == "text-classification"
    kind = AutoModelForSequenceClassification if text else AutoModelForImageClassification
    try:
        model = kind.from_pretrained(folder, use_safetensors=True, **safe).eval()
        prepare = (AutoTokenizer if text else AutoImageProcessor).from_pretrained(folder, **safe)
    except Exception as error:  # the library raises many types for an unsuitable folder
        reason = str(error).strip().split("\n")[0]
        msg = f"{folder} holds no model for {task} in safetensors: {reason}"
        raise ArtifactError(msg) from error
    names = [str(model.config.id2label[index]) for index in range(model.config.num_labels)]
    several = model.config.problem_type == "multi_label_classification"
    return _Classifier(model, prepare, names, several)


class HuggingFaceDetector(Detector):
    """A detector described by a configuration file.

    Args:
        name: Name of the detector in the settings.
        reference: Reference of the file.

    Raises:
        ConfigurationError: If the file is invalid or names labels that the model does not have.
        ArtifactError: If the model is unavailable or of another kind.
    """

    max_batch = 16

    def __init__(self, name: str, reference: str) -> None:
        self.recipe, path = read_recipe(reference)
        self.name = name
        folder = _checked_folder(self.recipe.model, path)
        self._classifier = _load(folder, self.recipe.task)
        if self.recipe.several is not None:
            self._classifier = replace(self._classifier, several=self.recipe.several)
        _check_labels(self.recipe, self._classifier.names, path)
        self._text = self.recipe.task == "text-classification"
        self._longest = _longest(self._classifier) if self._text else 0
        self._languages = Languages(self.recipe.language or (ALL,))
        self.needs = frozenset({Feature.TEXT if self._text else Feature.FRAMES})
        self.version = _version(folder, self.recipe)
        platt = self.recipe.calibration
        self._calibration = Platt(platt.slope, platt.offset, platt.prevalence) if platt else None
        self._lock = threading.Lock()

    @classmethod
    def of(cls, name: str, settings: Settings) -> Self:
        """Create the detector that the settings describe under a name."""
        return cls(name, reference_of(name, settings))

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """See Detector."""
        return self._languages.judged(batch, self._judged)

    def _judged(self, batch: Sequence[Features]) -> list[Finding]:
        return [self._score_one(features) for features in batch]

    def _score_one(self, features: Features) -> Finding:
        if self._text:
            return self._score_text(features)
        return self._score_frames(features)

    def _score_text(self, features: Features) -> Finding:
        text = features.text
        if text is None:
            return Finding.without(features, Feature.TEXT)
        pieces = [piece for part in _parts(text) for piece in self._pieces(part)]
        made = self._harms(self._texts(pieces[:_MOST_PIECES]))
        score = float(made["score"].max())
        if score < _EXPLAIN_FROM and len(pieces) > _MOST_PIECES:
            return Finding.failed(
                f"the text is too long: {_MOST_PIECES} parts of {self._longest} tokens are judged; "
                f"they score {score:.2f}"
            )
        evidence = self._sentences(text) if score >= _EXPLAIN_FROM else []
        return Finding.scored(score, self._labels(made), evidence)

    def _score_frames(self, features: Features) -> Finding:
        frames = features.frames
        if frames is None:
            return Finding.without(features, Feature.FRAMES)
        best: dict[str, float] = {}
        evidence: list[Evidence] = []
        looks = []
        for sight in frames.sights:
            # Long media has more bursts of frames than are looked at of a short one.
            most = max(_MOST_FRAMES, math.ceil(sight.length / sight.reach))
            chosen = spread(len(sight.times), most)
            made = self._harms(self._pictures(sight.pixels[chosen]))
            made = {name: smoothed(values, _SMOOTHING) for name, values in made.items()}
            for name, values in made.items():
                best[name] = max(best.get(name, 0.0), float(values.max()))
            times = sight.times[chosen]
            what = told_of(self.name, sight)
            evidence += [
                Evidence(kind="video", what=what, start=start, end=end, weight=weight)
                for start, end, weight in runs(made["score"], times, _EXPLAIN_FROM, _MOST_EVIDENCE)
            ]
            looks.append(times)
        score = best.pop("score")
        if score < _EXPLAIN_FROM and frames.unread:
            return unread(frames, score)
        return Finding.scored(score, best, [*evidence, seen(frames, looks)])

    def _labels(self, made: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
        return {name: float(values.max()) for name, values in made.items() if name != "score"}

    def _harms(self, probabilities: NDArray[np.float64]) -> Mapping[str, NDArray[np.float64]]:
        """Calibrated score of each item, and the probability of each mapped label."""
        made: dict[str, NDArray[np.float64]] = {}
        together = np.maximum if self._classifier.several else np.add
        for theirs, ours in self.recipe.labels.items():
            column = probabilities[:, self._classifier.names.index(theirs)]
            made[ours] = together(made[ours], column) if ours in made else column
        score = np.max(list(made.values()), axis=0)
        if not self._classifier.several:
            score = np.sum(list(made.values()), axis=0)
        if self._calibration is not None:
            score = self._calibration.apply(log_odds(score))
        made = {name: np.clip(values, 0.0, 1.0) for name, values in made.items()}
        return {**made, "score": np.clip(score, 0.0, 1.0)}

    def _pieces(self, text: str) -> list[str]:
        """A text in pieces that the model reads to their end, somewhat overlapping."""
        with self._lock:  # the tokenizer's padding and truncation settings are mutable state
            tokens = self._classifier.prepare(text, truncation=False, verbose=False)["input_ids"]
        if len(tokens) <= self._longest or len(text) <= 4 * _OVERLAP:
            return [text]
        middle = len(text) // 2
        first = _cut(text, middle + _OVERLAP // 2)
        second = _cut(text, middle - _OVERLAP // 2)
        return [*self._pieces(text[:first]), *self._pieces(text[second:])]

    def _texts(self, texts: list[str]) -> NDArray[np.float64]:
        with self._lock:
            return self._run(
                self._classifier.prepare(
                    texts,
                    padding=True,
                    truncation=True,
                    max_length=self._longest,
                    return_tensors="pt",
                )
            )

    def _pictures(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        with self._lock:
            return self._run(self._classifier.prepare(images=list(pixels), return_tensors="pt"))

    def _run(self, given: Any) -> NDArray[np.float64]:
        import torch

        with torch.inference_mode():
            logits = self._classifier.model(**given).logits.double()
        made = logits.sigmoid() if self._classifier.several else logits.softmax(dim=-1)
        return np.asarray(made.numpy())

    def _sentences(self, text: Text) -> list[Evidence]:
        """The sentences with the highest scores of their own."""
        places = [
            (field, start, end)
            for field, value in text.fields.items()
            for start, end in sentences(value, _MOST_SENTENCES)
        ][:_MOST_SENTENCES]
        if not places:
            return []
        found = [text.fields[field][start:end] for field, start, end in places]
        scores = self._harms(self._texts(found))["score"]
        best = np.argsort(-scores, kind="stable")[:_MOST_EVIDENCE]
        return [
            evidence_of(text, field, start, end, found[index], float(scores[index]))
            for index in best
            for field, start, end in [places[index]]
        ]

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """Empty: the labels depend on the configured model."""
        return ()


def _checked_folder(reference: str, path: Path) -> Path:
    """The folder of a model, whose files have the digest that its reference names.

    A reference without one is used as it is, with a warning if others may change what it names.

    Raises:
        ArtifactError: If it cannot be had, or was changed.
    """
    folder = local_folder(reference)
    digest, wanted = files_digest(folder), digest_of(reference)
    if wanted is not None and digest != wanted:
        msg = (
            f"{path}: the files of {reference} have the digest {digest}: they are not those that "
            "the description names"
        )
        raise ArtifactError(msg)
    if wanted is None and not reference.startswith("file:"):
        _log.warning(
            "%s names no digest of %s, so that it is whatever is there today; to keep what was "
            "fetched now, write model: %s#%s",
            path,
            reference,
            reference,
            digest,
        )
    return folder


def _check_labels(recipe: Recipe, names: Sequence[str], path: Path) -> None:
    there = f"it has {', '.join(names)}"
    unknown = sorted((set(recipe.labels) | set(recipe.others or ())) - set(names))
    if unknown:
        msg = f"{path}: the model has no label {', '.join(unknown)}; {there}"
        raise ConfigurationError(msg)
    unnamed = sorted(set(names) - set(recipe.labels) - set(recipe.others or names))
    if unnamed:
        msg = f"{path}: neither labels nor others name {', '.join(unnamed)}; {there}"
        raise ConfigurationError(msg)


def _longest(classifier: _Classifier) -> int:
    """The most tokens that a model of text reads at once."""
    config = classifier.model.config
    places = int(getattr(config, "max_position_embeddings", _TOKENS))
    # Their first places stand for padding.
    places -= 2 if "roberta" in config.model_type else 0
    return min(_TOKENS, int(classifier.prepare.model_max_length), places)


def _cut(text: str, place: int) -> int:
    """Where to cut: behind the next white space, if some is near."""
    space = _SPACE.search(text, place, place + _OVERLAP)
    return space.end() if space else place


def _parts(text: Text) -> list[str]:
    """The upload's own text and that in its frames, scored separately."""
    own = "\n".join(value for field, value in text.fields.items() if field not in text.seen)
    seen = "\n".join(text.fields[field] for field in text.seen)
    return [part for part in (own, seen) if part]


def _version(folder: Path, recipe: Recipe) -> str:
    # What came later is left out where it says nothing, so that versions stay what they were.
    silent = {name for name in ("several",) if getattr(recipe, name) is None}
    left_out = {"model", "others", "licence"} | silent
    sha = hashlib.sha256(recipe.model_dump_json(exclude=left_out).encode())
    sha.update(file_digests(folder).encode())
    return sha.hexdigest()[:16]
