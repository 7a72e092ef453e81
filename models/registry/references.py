"""Fetch a model's artifact by its reference, and check its digest.

========================= =====================================================================
``package:quorum.models.spam``   the folder ``artifact`` of an installed package
``file:/models/spam``     a folder of this machine; a relative one is of the working directory
``hf:org/name@revision``  a repository of the Hugging Face Hub (or of ``HF_ENDPOINT``)
``gs://bucket/folder``    a folder of a Google Cloud Storage bucket
``mlflow:models:/spam@champion``  an alias, version or stage of an MLflow registry
========================= =====================================================================

A reference may end in ``#`` and the version that the artifact must have. Every artifact is checked
against its own manifest in any case, and holds data only: nothing of it is executed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from quorum.core.errors import ArtifactError
from quorum.core.settings import Settings
from quorum.models.registry.artifacts import Artifact, open_artifact
from quorum.models.registry.model_cache import new_folder

__all__ = [
    "SCHEMES",
    "chosen_artifact",
    "digest_of",
    "is_recipe",
    "local_folder",
    "open_reference",
]

#: Only what an artifact may hold is fetched; in particular no pickle.
_PATTERNS = ("*.json", "*.safetensors", "*.onnx", "*.txt", "*.model")
_VERSION = re.compile(r"#([0-9a-f]{16})$")
#: The most files and bytes of a model.
_MAX_FILES = 200
_MAX_BYTES = 4 * 1024**3


def _from_package(place: str, _version: str | None) -> Path:
    try:
        found = find_spec(place)
    except (ImportError, ValueError):
        found = None
    if found is None:
        msg = f"package:{place}: no package of this name is installed"
        raise ArtifactError(msg)
    return Path(str(files(place))) / "artifact"


def _from_file(place: str, _version: str | None) -> Path:
    folder = Path(place.removeprefix("//")).expanduser()
    if not folder.is_dir():
        msg = f"file:{place}: no such folder"
        raise ArtifactError(msg)
    return folder


def _from_hub(place: str, _version: str | None) -> Path:
    from huggingface_hub import snapshot_download

    name, _, revision = place.removeprefix("//").partition("@")
    try:
        return Path(
            snapshot_download(name, revision=revision or None, allow_patterns=list(_PATTERNS))
        )
    except Exception as error:  # the hub's many errors, and those of the network
        reason = str(error).strip().split("\n")[0]
        msg = f"hf:{place} cannot be had: {reason or type(error).__name__}"
        raise ArtifactError(msg) from error


def _from_bucket(place: str, _version: str | None) -> Path:
    try:
        from google.cloud import storage  # type: ignore[attr-defined, unused-ignore]
    except ImportError:
        msg = f"gs:{place} needs the package google-cloud-storage; install it"
        raise ArtifactError(msg) from None
    bucket, _, folder = place.removeprefix("//").partition("/")
    prefix = folder.rstrip("/") + "/" if folder else ""
    target = new_folder("gs", bucket, folder)
    total = 0
    try:
        for count, blob in enumerate(storage.Client().list_blobs(bucket, prefix=prefix)):
            name = blob.name[len(prefix) :]
            if not name or Path(name).name != name or not _wanted(name):
                continue
            total += int(blob.size or 0)
            if count >= _MAX_FILES or total > _MAX_BYTES:
                msg = f"gs:{place} holds more than an artifact does; name the artifact's own folder"
                raise ArtifactError(msg)
            blob.download_to_filename(str(target / name))
    except ArtifactError:
        raise
    except Exception as error:  # the client's errors, and those of the network
        msg = f"gs:{place} cannot be had: {error}"
        raise ArtifactError(msg) from error
    return target


def _from_registry(place: str, version: str | None) -> Path:
    from quorum.models.registry.mlflow_registry import fetch

    return fetch(f"mlflow:{place}", version, [pattern[1:] for pattern in _PATTERNS])


def _wanted(name: str) -> bool:
    return any(name.endswith(pattern[1:]) for pattern in _PATTERNS)


#: By scheme: what fetches a place to a local folder.
SCHEMES: dict[str, Callable[[str, str | None], Path]] = {
    "package": _from_package,
    "file": _from_file,
    "hf": _from_hub,
    "gs": _from_bucket,
    "mlflow": _from_registry,
}


def local_folder(reference: str) -> Path:
    """Fetch what a reference names to a local folder, unchecked.

    Raises:
        ArtifactError: If the scheme is unknown, or it cannot be had.
        ConfigurationError: If no registry is named, or it refuses the credentials.
        EngineUnavailable: If it is in a registry that cannot be reached.
    """
    scheme, colon, place = _VERSION.sub("", reference).partition(":")
    if not colon or scheme not in SCHEMES or not place.strip("/"):
        known = ", ".join(f"{name}:" for name in SCHEMES)
        msg = f"{reference!r} is not a model's reference; it must begin with one of {known}"
        raise ArtifactError(msg)
    wanted = _VERSION.search(reference)
    return SCHEMES[scheme](place, wanted[1] if wanted else None)


def open_reference(reference: str, detector: str | None = None) -> Artifact:
    """Open the artifact that a reference names, with every file's digest checked.

    Args:
        reference: See the table above.
        detector: The detector that it must be for; any if None.

    Raises:
        ArtifactError: If it cannot be had, is altered, is another detector's, or has another
            version than the reference asks for.
        ConfigurationError: See ``local_folder``.
        EngineUnavailable: See ``local_folder``.
    """
    artifact = open_artifact(local_folder(reference), detector)
    wanted = _VERSION.search(reference)
    if wanted and artifact.version != wanted[1]:
        msg = f"{reference}: the artifact there has the version {artifact.version}"
        raise ArtifactError(msg)
    return artifact


def digest_of(reference: str) -> str | None:
    """The digest that a reference ends in; None if it names none."""
    found = _VERSION.search(reference)
    return found[1] if found else None


def is_recipe(reference: str | None) -> bool:
    """Whether a reference names a description: ``quorum.models.registry.descriptions``."""
    return reference is not None and (
        re.fullmatch(r"file:.+\.ya?ml(#[0-9a-f]{16})?", reference) is not None
    )


def chosen_artifact(detector: str, settings: Settings) -> Artifact | None:
    """The artifact that the settings choose for a detector; None for the shipped one.

    Raises:
        ArtifactError: See ``open_reference``.
    """
    chosen = (settings.detectors or {}).get(detector)
    if chosen is None or chosen.model is None:
        return None
    return open_reference(chosen.model, detector)
