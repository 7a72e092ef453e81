"""Artifacts put into an MLflow registry, and the alias that names the one in service.

Where an alias stood before is kept in a tag of the registered model, so that from a bad champion
it is one command back to the one before. MLflow has no transactions: two who move the same alias
at once both succeed, and the later one stands.
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
from quorum.models.registry.mlflow_client import connect, told
from quorum.models.registry.mlflow_registry import VERSION_TAG, ModelVersion, named_by
from quorum.models.registry.references import open_reference

__all__ = ["Move", "Registered", "promote", "register", "rollback", "versions"]

#: The experiment whose runs hold the registered artifacts.
EXPERIMENT = "quorum"

#: So many earlier places of an alias are remembered.
REMEMBERED = 20

_DETECTOR_TAG = "quorum.detector"
_NAME = re.compile(r"[\w.-]{1,100}")


@dataclass(frozen=True, slots=True)
class Registered:
    """A version of a registered model, as the registry tells it.

    Attributes:
        model: The version.
        detector: The detector that it is for.
        aliases: The aliases that name it.
        metrics: The figures of its manifest.
        new: Whether it was made just now, or would be.
    """

    model: ModelVersion
    detector: str
    aliases: tuple[str, ...] = ()
    metrics: Mapping[str, str] = field(default_factory=dict)
    new: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """Where an alias stands, and where it stood before.

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
def _asking(what: str) -> Iterator[Any]:
    try:
        yield connect()
    except Exception as error:
        failure = told(what, error)
        raise failure from error


def _named(text: str, what: str) -> str:
    if not _NAME.fullmatch(text):
        msg = f"{text!r} cannot be {what}: use letters, digits, dots, underscores and dashes"
        raise ConfigurationError(msg)
    return text


def register(name: str, artifact: Artifact, *, dry_run: bool = False) -> Registered:
    """Put an artifact into the registry as the next version of a model.

    The same content again is the version that is there.

    Args:
        name: The registered model; made if it is absent.
        artifact: What to put there; only the files that its manifest names.
        dry_run: Ask the registry, and change nothing.

    Raises:
        ConfigurationError: If the name cannot be one, or the registry refuses the credentials.
        ArtifactError: If the model's versions are of another detector, or it is not taken.
        EngineUnavailable: If the registry cannot be reached.
    """
    _named(name, "a model's name")
    manifest = artifact.manifest
    with _asking(f"does not take {name}") as client:
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
            number = _put(client, name, artifact, metrics)
        made = ModelVersion(name, number, artifact.version)
        return Registered(made, manifest.detector, (), _told(metrics), new=True)


def _put(client: Any, name: str, artifact: Artifact, metrics: Mapping[str, float]) -> str:
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
                **{f"quorum.metric.{key}": value for key, value in _told(metrics).items()},
            },
        )
        ended = "FINISHED"
    finally:
        with contextlib.suppress(Exception):  # what was raised before tells more
            client.set_terminated(number, ended)
    return str(made.version)


def versions(name: str) -> list[Registered]:
    """The versions of a registered model that are Quorum's, newest first.

    Raises:
        ConfigurationError: If the registry refuses the credentials.
        ArtifactError: If there is no model of this name.
        EngineUnavailable: If the registry cannot be reached.
    """
    with _asking(f"does not know {name}") as client:
        client.get_registered_model(_named(name, "a model's name"))
        return _all(client, name)


def promote(name: str, version: str, alias: str = "champion", *, dry_run: bool = False) -> Move:
    """Let an alias name a version, whose artifact is fetched and checked before.

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
    with _asking(f"does not promote {chosen.reference}") as client:
        before, past = _standing(client, name, alias)
        if before == chosen.number:
            return Move(alias, chosen, past[-1] if past else None, moved=False)
        if before is not None:
            past = [*past, before][-REMEMBERED:]
        if not dry_run:
            # In this order: a crash in between leaves one place too many, which rollback skips.
            client.set_registered_model_tag(name, _tag(alias), json.dumps(past))
            client.set_registered_model_alias(name, alias, chosen.number)
    return Move(alias, chosen, before)


def rollback(name: str, alias: str = "champion", *, dry_run: bool = False) -> Move:
    """Let an alias name the version that it named before.

    Args:
        name: The registered model.
        alias: The alias.
        dry_run: Tell, and change nothing.

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
    with _asking(f"does not roll {name}@{alias} back") as client:
        current, past = _standing(client, name, alias)
        if not past:
            msg = (
                f"{alias} of {name} has named no version before this one; choose one: "
                f"quorum models versions {name}"
            )
            raise ConfigurationError(msg)
        chosen = named_by(f"mlflow:models:/{name}/{past[-1]}")
        if not dry_run:
            client.set_registered_model_alias(name, alias, chosen.number)
            client.set_registered_model_tag(name, _tag(alias), json.dumps(past[:-1]))
    return Move(alias, chosen, current)


def _chosen(name: str, version: str) -> ModelVersion:
    if version.isdecimal() and len(version) < 16:
        return named_by(f"mlflow:models:/{name}/{version}")
    for one in versions(name):
        if one.model.digest == version:
            return one.model
    msg = f"{name} has no version {version}; see: quorum models versions {name}"
    raise ArtifactError(msg)


def _all(client: Any, name: str) -> list[Registered]:
    # The search for versions does not tell their aliases.
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


def _told(metrics: Mapping[str, float]) -> dict[str, str]:
    return {key: f"{value:g}" for key, value in metrics.items()}


def _tag(alias: str) -> str:
    return f"quorum.past.{alias}"


def _standing(client: Any, name: str, alias: str) -> tuple[str | None, list[str]]:
    """The number that an alias names, and those that it named before, the last one last."""
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
