"""Resolve references to an MLflow registry, and fetch their artifacts.

============================= ==================================================================
``mlflow:models:/spam@champion``  the version that an alias names; it may move
``mlflow:models:/spam/3``     one version, which stays what it is
``mlflow:models:/spam/latest``    the newest version, or the newest of a stage (``/Production``)
============================= ==================================================================
"""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quorum.core.errors import ArtifactError
from quorum.models.registry.artifacts import MANIFEST, open_artifact
from quorum.models.registry.mlflow_client import connect, registry_address, registry_error
from quorum.models.registry.model_cache import add_to_cache, cached_folder, new_folder

__all__ = ["VERSION_TAG", "ModelVersion", "fetch", "is_movable", "resolve_version"]

#: The tag of a model version that holds the artifact's own version, its digest.
VERSION_TAG = "quorum.version"

_REGISTERED = re.compile(
    r"mlflow:models:/+(?P<name>[^/@#]+)(?:@(?P<alias>[^/@#]+)|/(?P<part>[^/@#]+))"
    r"(?P<digest>#[0-9a-f]{16})?"
)
_DIGEST = re.compile(r"[0-9a-f]{16}")

#: A model of more files or bytes than this is not one of ours.
_MAX_FILES = 200
_MAX_BYTES = 4 * 1024**3


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version of a registered model.

    Attributes:
        name: The registered model.
        number: Its version there, counted from 1.
        digest: The artifact's own version, of its content.
    """

    name: str
    number: str
    digest: str

    @property
    def reference(self) -> str:
        """The reference of just this version and content."""
        return f"mlflow:models:/{self.name}/{self.number}#{self.digest}"


def is_movable(reference: str | None) -> bool:
    """Whether a reference may resolve to another version later."""
    found = _REGISTERED.fullmatch(reference or "")
    return found is not None and not (found["part"] or "").isdigit()


def resolve_version(reference: str) -> ModelVersion:
    """Ask the registry for the version that a reference names now.

    Raises:
        ArtifactError: If the registry has no such model, alias or version, or it has no digest, or
            another digest than the reference names.
        ConfigurationError: If no registry is named, or it refuses the credentials.
        EngineUnavailable: If the registry cannot be reached.
    """
    found = _REGISTERED.fullmatch(reference)
    if found is None:
        msg = f"{reference} names no registered model; write mlflow:models:/NAME@ALIAS"
        raise ArtifactError(msg)
    client = connect()
    try:
        if found["alias"]:
            version = client.get_model_version_by_alias(found["name"], found["alias"])
        elif found["part"].isdigit():
            version = client.get_model_version(found["name"], found["part"])
        else:
            version = _newest(client, found["name"], found["part"])
    except Exception as error:
        failure = registry_error(f"does not know {reference}", error)
        raise failure from error
    return _checked(version, reference, (found["digest"] or "").removeprefix("#"))


def _newest(client: Any, name: str, part: str) -> Any:
    with warnings.catch_warnings():
        # MLflow deprecates stages; registries still use them.
        warnings.simplefilter("ignore", FutureWarning)
        found = client.get_latest_versions(name, None if part == "latest" else [part])
    if not found:
        msg = f"the registry at {registry_address()} has no version of {name} in {part}"
        raise ArtifactError(msg)
    return max(found, key=lambda one: int(one.version))


def _checked(version: Any, reference: str, wanted: str) -> ModelVersion:
    number, tagged = str(version.version), str(version.tags.get(VERSION_TAG, ""))
    if not number.isdecimal():
        msg = f"the registry at {registry_address()} does not count the versions of {reference}"
        raise ArtifactError(msg)
    digest = tagged or wanted
    if not _DIGEST.fullmatch(digest):
        msg = (
            f"{reference}: version {number} in the registry has no tag {VERSION_TAG} with its "
            "digest; register it with: quorum models register"
        )
        raise ArtifactError(msg)
    if wanted and digest != wanted:
        msg = f"{reference}: its version {number} in the registry has the digest {digest}"
        raise ArtifactError(msg)
    return ModelVersion(str(version.name), number, digest)


def fetch(reference: str, wanted: str | None, patterns: Sequence[str]) -> Path:
    """Fetch the artifact of a reference, or find it in the cache.

    Args:
        reference: With ``mlflow:``, without a digest.
        wanted: The digest that the artifact must have; None if the reference names none.
        patterns: Suffixes of the files that are fetched.

    Returns:
        The artifact's folder. The digest of a registered model was checked.

    Raises:
        ArtifactError: If it is damaged, has another digest, or is not in the registry.
        ConfigurationError: If no registry is named, or it refuses the credentials.
        EngineUnavailable: If the registry cannot be reached.
    """
    one = _REGISTERED.fullmatch(reference)
    if one is None:
        return _download(connect(), reference.removeprefix("mlflow:"), patterns)
    if wanted and not is_movable(reference):
        cached = cached_folder(registry_address(), one["name"], one["part"])
        if _holds(cached, wanted):
            return cached
    named = resolve_version(f"{reference}#{wanted}" if wanted else reference)
    cached = cached_folder(registry_address(), named.name, named.number)
    if _holds(cached, named.digest):
        return cached
    client = connect()
    try:
        source = client.get_model_version_download_uri(named.name, named.number)
    except Exception as error:
        failure = registry_error(f"does not say where {named.reference} lies", error)
        raise failure from error
    folder = _download(client, source, patterns)
    try:
        digest = open_artifact(folder).version
        if digest != named.digest:
            msg = (
                f"{reference}: the registry names the digest {named.digest}, and the artifact that "
                f"it gives has {digest}; register it again"
            )
            raise ArtifactError(msg)
    except ArtifactError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return add_to_cache(folder, registry_address(), named.name, named.number)


def _holds(folder: Path, digest: str) -> bool:
    try:
        return open_artifact(folder).version == digest
    except ArtifactError:
        return False


def _download(client: Any, source: str, patterns: Sequence[str]) -> Path:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    target = new_folder("mlflow")
    try:
        store = get_artifact_repository(source)
        listed = [each for each in store.list_artifacts() if not each.is_dir]
        if not any(Path(each.path).name == MANIFEST for each in listed):
            store = get_artifact_repository(f"{source}/artifact")
            listed = [each for each in store.list_artifacts() if not each.is_dir]
        files = [each for each in listed if each.path.endswith(tuple(patterns))]
        total = sum(int(each.file_size or 0) for each in files)
        if len(files) > _MAX_FILES or total > _MAX_BYTES:
            msg = f"mlflow:{source} holds more than an artifact does"
            raise ArtifactError(msg)
        for each in files:
            if Path(each.path).name == each.path:
                store.download_artifacts(each.path, str(target))  # type: ignore[no-untyped-call]
    except Exception as error:
        shutil.rmtree(target, ignore_errors=True)
        failure = registry_error("does not give the artifact", error)
        raise failure from error
    return target
