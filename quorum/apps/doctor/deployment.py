"""What the settings need: the policy, models, catalogue, ledger, registry and model servers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.doctor.findings import Finding, attempt
from quorum.apps.oidc.secret import client_secret
from quorum.core.errors import ConfigurationError, EngineUnavailable
from quorum.core.settings import (
    CatalogueSettings,
    DetectorSettings,
    Settings,
    check_timeouts,
    load_settings,
)
from quorum.models.configured import ConfiguredDetector, choose_detectors
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.installed import HASHES, installed
from quorum.models.registry.artifacts import open_artifact
from quorum.models.registry.mlflow_registry import resolve_version
from quorum.models.registry.references import local_folder
from quorum.store.ledger import Ledger, database_url, redacted

__all__ = ["deployment"]

_CONNECT_SECONDS = 3.0


def deployment(
    settings_file: str | None, policy: str | None, database: str | None
) -> Iterator[Finding]:
    """Examine what the settings name.

    Args:
        settings_file: The settings; by default those of ``QUORUM_SETTINGS``.
        policy: The policy; by default that of the settings.
        database: The ledger's URL; by default ``QUORUM_DATABASE``.
    """
    try:
        settings = load_settings(settings_file)
    except ConfigurationError as error:
        yield Finding.lacking("settings", str(error), "everything", "correct them", needed=True)
        return
    named = settings_file or os.environ.get("QUORUM_SETTINGS")
    yield Finding.ok("settings", str(named) if named else "none: the defaults")
    yield from _policy(settings, settings_file, policy)
    yield from _registry(settings)
    yield from _models(settings)
    yield from _endpoints(settings)
    yield from _sign_on(settings)
    yield from _catalogue(settings, database)
    yield _media(settings)
    yield from _ledger(database)
    yield from _signing()


def _policy(settings: Settings, file: str | None, policy: str | None) -> Iterator[Finding]:
    def look() -> str:
        found = load_policy(policy or settings.policy)
        check_timeouts(settings, found.deadline, file)
        return f"{found.name}, version {found.version}, deadline {found.deadline:g} s"

    yield from attempt("policy", look, "every decision", "quorum policy check says where")


def _models(settings: Settings) -> Iterator[Finding]:
    """Each detector by itself, so that one which is missing hides no other."""
    without = "every upload: no job starts without the models that it names"
    named = settings.detectors or dict.fromkeys(installed(), DetectorSettings())
    hashes = [HASHES] if settings.hashes.on and HASHES not in named else []
    for name in sorted([*named, *hashes]):

        def look(name: str = name) -> str:
            own = {name: named.get(name, DetectorSettings())}
            chosen = choose_detectors(settings.model_copy(update={"detectors": own}))
            return next(_model(one) for one in chosen if one.name == name)

        yield from attempt(f"model {name}", look, without, "quorum models list")


def _model(one: ConfiguredDetector) -> str:
    """The version of a detector's model: its files have the digests that its manifest names."""
    entry = installed().get(one.name)
    if one.settings.model is None and entry is not None:
        package = entry.value.partition(":")[0].rpartition(".")[0]
        folder = local_folder(f"package:{package}")
        if (folder / "manifest.json").is_file():
            return f"{open_artifact(folder, one.name).version}, its files have their digests"
    return f"{one.detector.version}, loaded"


def _registry(settings: Settings) -> Iterator[Finding]:
    models = [one.model for one in (settings.detectors or {}).values() if one.model]
    named = [one for one in models if one.startswith("mlflow:")]
    if not named:
        yield Finding.ok("registry", "no model comes from one")
    for reference in named:

        def look(reference: str = reference) -> str:
            return f"{reference} is version {resolve_version(reference).number} now"

        yield from attempt(
            f"registry {reference}",
            look,
            "its detector, until the registry answers",
            "docs/models.md",
        )


def _sign_on(settings: Settings) -> Iterator[Finding]:
    if settings.sso is None:
        yield Finding.ok("identity provider", "none: passwords, or a reverse proxy")
        return
    sso = settings.sso

    def look() -> str:
        from quorum.apps.oidc.provider import Provider

        with closing(Provider(sso, client_secret())) as provider:
            return provider.examined()

    yield from attempt(
        "identity provider",
        look,
        "log-ins through it; who is logged in stays so"
        + (", and passwords work" if sso.passwords else ""),
        "correct sso.issuer, or ask the provider's admin (docs/console.md)",
    )


def _endpoints(settings: Settings) -> Iterator[Finding]:
    for endpoint in settings.endpoints:

        def look(endpoint: str = endpoint) -> str:
            parts = urlsplit(endpoint)
            port = parts.port or (443 if parts.scheme == "https" else 80)
            try:
                socket.create_connection((str(parts.hostname), port), _CONNECT_SECONDS).close()
            except OSError as error:
                msg = f"{endpoint} does not answer: {error.strerror or error}"
                raise EngineUnavailable(msg) from None
            return "something listens there"

        yield from attempt(f"endpoint {endpoint}", look, "policies in words: they report `failed`")


def _catalogue(settings: Settings, database: str | None) -> Iterator[Finding]:
    where = settings.catalogue
    if where is None:
        yield Finding.ok("catalogue", "the small one that ships; register works of your own")
        return
    folder, url = (
        (where.folder, where.database) if isinstance(where, CatalogueSettings) else (where, None)
    )

    def look() -> str:
        with closing(Catalogue(folder, _database(url, database), read_only=True)) as catalogue:
            return f"{len(catalogue.works()):,} works in {folder or 'memory'}"

    yield from attempt(
        "catalogue", look, "copies of registered works are not found", "quorum catalogue --help"
    )


def _database(named: str | None, ledger: str | None) -> str | None:
    return ledger if named == "ledger" and ledger else named


def _media(settings: Settings) -> Finding:
    access = settings.media
    allowed = [*access.hosts, *access.buckets, *access.folders]
    if not allowed:
        return Finding.lacking(
            "media",
            "no host, bucket or folder is allowed",
            "media is not fetched: detectors of pictures and sound report `failed`",
            "name them under media: in the settings",
        )
    if absent := [one for one in access.folders if not Path(one).is_dir()]:
        return Finding.lacking(
            "media",
            f"there is no folder {', '.join(absent)}",
            "media in it is not read",
            "make it, or name another under media.folders",
            needed=True,
        )
    return Finding.ok("media", f"fetched from {', '.join(allowed)}")


def _ledger(database: str | None) -> Iterator[Finding]:
    without = "past cases: console, replay, backtests, uploaders' histories"
    if not (database or os.environ.get("QUORUM_DATABASE")):
        remedy = "quorum ledger init, and name it in QUORUM_DATABASE"
        yield Finding.lacking("ledger", "none is named", without, remedy)
        return

    def look() -> str:
        with Ledger(database, retry=()) as ledger:
            return f"{redacted(database_url(database))}, schema {ledger.revision()}"

    yield from attempt("ledger", look, without, "quorum ledger init, or migrate")


def _signing() -> Iterator[Finding]:
    from quorum.core.identity import SigningKey

    def look() -> str:
        key = SigningKey.from_environment()
        return "none: messages go out unsigned" if key is None else "it can be read"

    yield from attempt("signing key", look, "every message that this machine publishes")
