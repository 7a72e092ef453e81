"""Register artifacts in an MLflow registry, and move the alias of the version in service.

The earlier versions of an alias are kept in a tag of the registered model, so that one command
rolls a bad champion back. MLflow has no transactions: of two concurrent moves of the same alias
both succeed, and the later one stands.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from quorum.core.errors import ArtifactError, ConfigurationError
from quorum.models.registry.artifacts import MANIFEST, Artifact
from quorum.models.registry.mlflow_client import connect, registry_error
from quorum.models.registry.mlflow_registry import VERSION_TAG, ModelVersion, resolve_version
from quorum.models.registry.references import open_reference

__all__ = ["Move", "Registered", "promote", "register", "rollback", "versions"]

#: The experiment whose runs hold the registered artifacts.
EXPERIMENT = "quorum"

#: The most earlier versions of an alias that are kept.
MAX_HISTORY = 20

_DETECTOR_TAG = "quorum.detector"
_NAME = re.compile(r"[\w.-]{1,100}")


@dataclass(frozen=True, slots=True)
class Registered:
    """A version of a registered model, as the registry describes it.

    Attributes:
        model: The version.
        detector: The detector that it is for.
        aliases: The aliases that name it.
        metrics: The figures of its manifest.
        new: Whether this call created it, or would have.
    """

    model: ModelVersion
    detector: str
    aliases: tuple[str, ...] = ()
    metrics: Mapping[str, str] = field(default_factory=dict)
    new: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """The version of an alias, and its earlier version.

    Attributes:
        alias: The alias.
        model: The version that it names.
        before: The number of the version that it named before; None if it named none.
        moved: Whether it was moved, or would be.
    """

    alias: str
    model: ModelVersion
    before: str | None
    moved: bool = True


@contextlib.contextmanager
def _registry_call(what: str) -> Iterator[Any]:
    try:
        yield connect()
    except Exception as error:
        failure = registry_error(what, error)
        raise failure from error


def _named(text: str, what: str) -> str:
    if not _NAME.fullmatch(text):
        msg = f"{text!r} cannot be {what}: use letters, digits, dots, underscores and dashes"
        raise ConfigurationError(msg)
    return text


def register(name: str, artifact: Artifact, *, dry_run: bool = False) -> Registered:
    """Register an artifact as the next version of a model.

    If a version has the same content, that version is returned.

    Args:
        name: The registered model; created if it does not exist.
        artifact: The artifact; only the files that its manifest names are uploaded.
        dry_run: Read the registry, and change nothing.

    Raises:
        ConfigurationError: If the name cannot be one, or the registry refuses the credentials.
        ArtifactError: If the model's versions are of another detector, or the registry refuses it.
        EngineUnavailable: If the registry cannot be reached.
    """
    _named(name, "a model's name")
    manifest = artifact.manifest
    with _registry_call(f"does not take {name}") as client:
        absent = not client.search_registered_models(f"name = '{name}'")
        known = [] if absent else _all(client, name)
        for one in known:
            if one.model.digest == artifact.version:
                return one
        others = {one.detector for one in known} - {manifest.detector}
        if others:
            msg = f"the versions of {name} are for {others.pop()}, not for {manifest.detector}"
            raise ArtifactError(msg)
        metrics = dict(_figures(manifest.metrics))
        if dry_run:
            number = str(max((int(one.model.number) for one in known), default=0) + 1)
        else:
            if absent:
                client.create_registered_model(name)
            number = _create_version(client, name, artifact, metrics)
        made = ModelVersion(name, number, artifact.version)
        return Registered(made, manifest.detector, (), _formatted(metrics), new=True)


def _create_version(
    client: Any, name: str, artifact: Artifact, metrics: Mapping[str, float]
) -> str:
    manifest = artifact.manifest
    experiment = client.get_experiment_by_name(EXPERIMENT)
    where = experiment.experiment_id if experiment else client.create_experiment(EXPERIMENT)
    run = client.create_run(where, run_name=f"{name}-{artifact.version}")
    number, ended = run.info.run_id, "FAILED"
    try:
        for key, value in metrics.items():
            client.log_metric(number, key, value)
        for file in (*manifest.files, MANIFEST):
            client.log_artifact(number, str(artifact.folder / file), "artifact")
        made = client.create_model_version(
            name,
            source=f"{run.info.artifact_uri}/artifact",
            run_id=number,
            tags={
                VERSION_TAG: artifact.version,
                _DETECTOR_TAG: manifest.detector,
                "quorum.licence": manifest.licence,
                "quorum.code": manifest.code_version,
                **{f"quorum.metric.{key}": value for key, value in _formatted(metrics).items()},
            },
        )
        ended = "FINISHED"
    finally:
        with contextlib.suppress(Exception):  # the first error matters more
            client.set_terminated(number, ended)
    return str(made.version)


def versions(name: str) -> list[Registered]:
    """The versions of a registered model that are Quorum's, newest first.

    Raises:
        ConfigurationError: If the registry refuses the credentials.
        ArtifactError: If there is no model of this name.
        EngineUnavailable: If the registry cannot be reached.
    """
    with _registry_call(f"does not know {name}") as client:
        client.get_registered_model(_named(name, "a model's name"))
        return _all(client, name)


def promote(name: str, version: str, alias: str = "champion", *, dry_run: bool = False) -> Move:
    """Move an alias to a version, after its artifact was fetched and checked.

    Args:
        name: The registered model.
        version: Its number there, or the artifact's digest.
        alias: The alias.
        dry_run: Check, and change nothing.

    Raises:
        ConfigurationError: If the name or the alias cannot be one, or the registry refuses the
            credentials.
        ArtifactError: If there is no such version, or its artifact is damaged or not the one that
            was registered.
        EngineUnavailable: If the registry cannot be reached.
    """
    _named(name, "a model's name")
    _named(alias, "an alias")
    chosen = _chosen(name, version)
    open_reference(chosen.reference)
    with _registry_call(f"does not promote {chosen.reference}") as client:
        before, past = _alias_history(client, name, alias)
        if before == chosen.number:
            return Move(alias, chosen, past[-1] if past else None, moved=False)
        if before is not None:
            past = [*past, before][-MAX_HISTORY:]
        if not dry_run:
            # In this order: a crash in between leaves one version too many, which rollback skips.
            client.set_registered_model_tag(name, _tag(alias), json.dumps(past))
            client.set_registered_model_alias(name, alias, chosen.number)
    return Move(alias, chosen, before)


def rollback(name: str, alias: str = "champion", *, dry_run: bool = False) -> Move:
    """Move an alias back to its earlier version.

    Args:
        name: The registered model.
        alias: The alias.
        dry_run: Return the move, and change nothing.

    Returns:
        The version that it names now; ``before`` is the one that it was rolled back from.

    Raises:
        ConfigurationError: If it has named no other version, or the registry refuses the
            credentials.
        ArtifactError: If there is no such model, or that version is gone.
        EngineUnavailable: If the registry cannot be reached.
    """
    _named(name, "a model's name")
    _named(alias, "an alias")
    with _registry_call(f"does not roll {name}@{alias} back") as client:
        current, past = _alias_history(client, name, alias)
        if not past:
            msg = (
                f"{alias} of {name} has named no version before this one; choose one: "
                f"quorum models versions {name}"
            )
            raise ConfigurationError(msg)
        chosen = resolve_version(f"mlflow:models:/{name}/{past[-1]}")
        if not dry_run:
            client.set_registered_model_alias(name, alias, chosen.number)
            client.set_registered_model_tag(name, _tag(alias), json.dumps(past[:-1]))
    return Move(alias, chosen, current)


def _chosen(name: str, version: str) -> ModelVersion:
    if version.isdecimal() and len(version) < 16:
        return resolve_version(f"mlflow:models:/{name}/{version}")
    for one in versions(name):
        if one.model.digest == version:
            return one.model
    msg = f"{name} has no version {version}; see: quorum models versions {name}"
    raise ArtifactError(msg)


def _all(client: Any, name: str) -> list[Registered]:
    # The search for versions does not return their aliases.
    aliases: dict[str, list[str]] = {}
    for alias, number in client.get_registered_model(name).aliases.items():
        aliases.setdefault(str(number), []).append(alias)
    found = [
        Registered(
            ModelVersion(name, str(one.version), one.tags[VERSION_TAG]),
            one.tags.get(_DETECTOR_TAG, ""),
            tuple(sorted(aliases.get(str(one.version), ()))),
            {
                key.removeprefix("quorum.metric."): value
                for key, value in one.tags.items()
                if key.startswith("quorum.metric.")
            },
        )
        for one in client.search_model_versions(f"name = '{name}'")
        if VERSION_TAG in one.tags
    ]
    return sorted(found, key=lambda one: -int(one.model.number))


def _figures(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in metrics.items():
        name = re.sub(r"[^\w.-]+", "_", f"{prefix}{key}")
        if isinstance(value, Mapping):
            yield from _figures(value, f"{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, float(value)


def _formatted(metrics: Mapping[str, float]) -> dict[str, str]:
    return {key: f"{value:g}" for key, value in metrics.items()}


def _tag(alias: str) -> str:
    return f"quorum.past.{alias}"


def _alias_history(client: Any, name: str, alias: str) -> tuple[str | None, list[str]]:
    """The version number of an alias, and its earlier ones, oldest first."""
    model = client.get_registered_model(name)
    current = model.aliases.get(alias)
    current = None if current is None else str(current)
    try:
        past = [str(int(number)) for number in json.loads(model.tags.get(_tag(alias), "[]"))]
    except (ValueError, TypeError):
        msg = f"the tag {_tag(alias)} of {name} was altered; promote a version by its number"
        raise ArtifactError(msg) from None
    while past and past[-1] == current:
        past.pop()
    return current, past
