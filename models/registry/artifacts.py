"""A model's artifact: a folder of safetensors and JSON with a manifest that names each file.

Nothing in it can run: no pickle, no code. The version is the digest of the files, so that a
retrained model is another version and the same bytes are the same one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import ArtifactError
from quorum.models.registry.seen_rows import FILE as SEEN_ROWS
from quorum.models.registry.seen_rows import SeenRows

__all__ = [
    "Artifact",
    "Manifest",
    "TrainingData",
    "digest_of_file",
    "file_digests",
    "files_digest",
    "open_artifact",
    "write_artifact",
]

MANIFEST = "manifest.json"
_FORMAT = 1
#: The most bytes of a manifest or JSON document.
_MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
#: The formats of an artifact's files; each holds data only.
_SUFFIXES = (".safetensors", ".json", ".onnx", ".txt")
#: The files of a model in the Hugging Face format that are read, and that its digest covers.
_MODEL_SUFFIXES = (".json", ".safetensors", ".txt", ".model")


@dataclass(frozen=True, slots=True)
class TrainingData:
    """One source that a model was trained on.

    Attributes:
        name: What it is called and where it comes from.
        licence: Under which terms.
        rows: How many examples of it were used.
        sha256: Digest of the file's bytes, or of its files' digests in order.
        seen: Its rows, for the artifact's file of them; the manifest does not hold it.
    """

    name: str
    licence: str
    rows: int
    sha256: str
    seen: SeenRows | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an artifact is, and how it was trained.

    Attributes:
        detector: The detector that it is for.
        version: Digest of the files, 16 hexadecimal digits.
        files: SHA-256 of each file by name.
        training_data: What it was trained on.
        code_version: Version of the package whose code trained it.
        metrics: Figures measured on held-out data, with their split.
        calibration: How scores became probabilities, and how well.
        licence: Under which terms the weights may be used.
        seed: The seed that the training was run with.
        embedding: The sentence embedding that it was trained on, name and version; empty if none.
    """

    detector: str
    version: str
    files: Mapping[str, str]
    training_data: Sequence[TrainingData] = ()
    code_version: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    seed: int | None = None
    embedding: str = ""


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1024 * 1024):
            sha.update(chunk)
    return sha.hexdigest()


def file_digests(folder: Path) -> str:
    """A line with the name and the digest of each file of a model, in the order of names."""
    return "".join(
        f"{path.name}\0{digest_of_file(path)}\n"
        for path in sorted(folder.iterdir())
        if path.is_file() and path.suffix in _MODEL_SUFFIXES
    )


def files_digest(folder: Path) -> str:
    """The digest of a model's files, 16 hexadecimal digits, as a reference names it after ``#``."""
    return hashlib.sha256(file_digests(folder).encode()).hexdigest()[:16]


def _version_of(files: Mapping[str, str]) -> str:
    lines = "".join(f"{name}\0{files[name]}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def _checked_name(name: str) -> str:
    if Path(name).name != name or not name.endswith(_SUFFIXES) or name == MANIFEST:
        msg = (
            f"an artifact may not hold {name!r}: only plain names ending in {', '.join(_SUFFIXES)}"
        )
        raise ArtifactError(msg)
    return name


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact whose files have the digests that its manifest names.

    Attributes:
        folder: Its folder.
        manifest: What it is.
    """

    folder: Path
    manifest: Manifest

    @property
    def version(self) -> str:
        """The version of the model."""
        return self.manifest.version

    def file(self, name: str) -> Path:
        """One of its files.

        Raises:
            ArtifactError: If the manifest does not name it.
        """
        if name not in self.manifest.files:
            msg = f"the artifact {self.folder} holds no {name}; it is not one of this detector"
            raise ArtifactError(msg)
        return self.folder / name

    def tensors(self, name: str) -> dict[str, NDArray[Any]]:
        """The arrays of one of its safetensors files."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return dict(load_file(self.file(name)))
        except (SafetensorError, OSError) as error:
            msg = f"cannot read {name} of the artifact {self.folder}: {error}"
            raise ArtifactError(msg) from None

    def seen_rows(self) -> tuple[SeenRows, ...]:
        """The rows that it was trained on; nothing where they were not kept.

        Raises:
            ArtifactError: If the file of them is damaged.
        """
        if SEEN_ROWS not in self.manifest.files:
            return ()
        return tuple(SeenRows.from_document(one) for one in self.document(SEEN_ROWS))

    def document(self, name: str) -> Any:
        """The content of one of its JSON files."""
        return _read_json(self.file(name))


def _read_json(path: Path) -> Any:
    try:
        if path.stat().st_size > _MAX_DOCUMENT_BYTES:
            msg = f"{path} is too large for a JSON document of an artifact"
            raise ArtifactError(msg)
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        msg = f"cannot read {path}: {error}"
        raise ArtifactError(msg) from None


def open_artifact(folder: Path, detector: str | None = None) -> Artifact:
    """Open an artifact and check every file against its manifest.

    Args:
        folder: Its folder.
        detector: The detector that it must be for; any if None.

    Raises:
        ArtifactError: If it is absent, altered, of an unknown format or another detector's.
    """
    if not (folder / MANIFEST).is_file():
        msg = f"no artifact at {folder}: it has no {MANIFEST}"
        raise ArtifactError(msg)
    content = _read_json(folder / MANIFEST)
    try:
        if content.pop("format") != _FORMAT:
            msg = f"the artifact {folder} is of an unknown format; this version reads {_FORMAT}"
            raise ArtifactError(msg)
        told = content.pop("training_data", ())
        data = tuple(TrainingData(**entry) for entry in told if "seen" not in entry)
        if len(data) < len(told):
            msg = "it has rows in its list of training data"
            raise ValueError(msg)
        manifest = Manifest(training_data=data, **content)
        files = {_checked_name(str(name)): str(value) for name, value in manifest.files.items()}
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        msg = f"{folder / MANIFEST} is not an artifact's manifest: {error}"
        raise ArtifactError(msg) from None
    for name, wanted in files.items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            msg = f"the artifact {folder} lacks its file {name}"
            raise ArtifactError(msg)
        if digest_of_file(path) != wanted:
            msg = f"{path} was altered: its digest is not the one that the manifest names"
            raise ArtifactError(msg)
    if manifest.version != _version_of(files):
        msg = f"{folder / MANIFEST} was altered: its version does not fit its files"
        raise ArtifactError(msg)
    if detector is not None and manifest.detector != detector:
        msg = f"the artifact {folder} is for the detector {manifest.detector}, not for {detector}"
        raise ArtifactError(msg)
    return Artifact(folder, manifest)


def write_artifact(
    folder: Path,
    *,
    detector: str,
    tensors: Mapping[str, Mapping[str, NDArray[Any]]],
    documents: Mapping[str, Any],
    others: Sequence[Path] = (),
    training_data: Sequence[TrainingData] = (),
    metrics: Mapping[str, Any] | None = None,
    calibration: Mapping[str, Any] | None = None,
    licence: str = "",
    seed: int | None = None,
    embedding: str = "",
) -> Artifact:
    """Write an artifact; the same content gives the same bytes.

    Args:
        folder: The target folder, created if needed; an earlier artifact there is replaced.
        detector: The detector that it is for.
        tensors: Arrays by file (``*.safetensors``) and name.
        documents: JSON content by file (``*.json``).
        others: Files that are copied as they are.
        training_data: What it was trained on; the rows that they name become a file of digests.
        metrics: Figures measured on held-out data.
        calibration: How scores became probabilities.
        licence: Under which terms the weights may be used.
        seed: The seed of the training.
        embedding: The sentence embedding that it was trained on.
    """
    from safetensors.numpy import save_file

    from quorum import __version__

    folder.mkdir(parents=True, exist_ok=True)
    # Before anything is removed: they may be of the artifact that is replaced.
    kept = {source.name: source.read_bytes() for source in others}
    if (folder / MANIFEST).is_file():
        for name in _read_json(folder / MANIFEST).get("files", {}):
            (folder / _checked_name(name)).unlink(missing_ok=True)
    seen = [one.seen.as_document() for one in training_data if one.seen is not None]
    if seen:
        documents = {**documents, SEEN_ROWS: seen}
    files: dict[str, str] = {}
    for name, arrays in tensors.items():
        path = folder / _checked_name(name)
        whole = {key: np.ascontiguousarray(arrays[key]) for key in sorted(arrays)}
        save_file(whole, path)
        path.chmod(0o644)
        files[name] = digest_of_file(path)
    for name, content in documents.items():
        path = folder / _checked_name(name)
        path.write_text(_as_json(content), encoding="utf-8")
        files[name] = digest_of_file(path)
    for name, held in kept.items():
        path = folder / _checked_name(name)
        path.write_bytes(held)
        files[name] = digest_of_file(path)
    manifest = Manifest(
        detector=detector,
        version=_version_of(files),
        files=dict(sorted(files.items())),
        training_data=tuple(training_data),
        code_version=__version__,
        metrics=dict(metrics or {}),
        calibration=dict(calibration or {}),
        licence=licence,
        seed=seed,
        embedding=embedding,
    )
    content = {"format": _FORMAT, **asdict(replace(manifest, training_data=()))}
    content["training_data"] = [
        {"name": one.name, "licence": one.licence, "rows": one.rows, "sha256": one.sha256}
        for one in training_data
    ]
    text = json.dumps(content, indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return open_artifact(folder, detector)


def _as_json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n"
