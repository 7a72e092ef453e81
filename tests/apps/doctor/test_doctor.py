"""What the doctor finds missing, and what it says of it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.prism_runner import PrismJobServer
from typer.testing import CliRunner

from quorum.apps.cli.doctor import app
from quorum.apps.cli.topics import app as topics
from quorum.apps.doctor import deployment, machine
from quorum.apps.doctor.findings import Finding, State, attempt
from quorum.core.errors import ConfigurationError
from quorum.core.settings import CatalogueSettings, Settings
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.fingerprint.audio import AudioHasher
from quorum.pipeline.engines import prism_here
from quorum.pipeline.streams.emulator import free_port
from quorum.store.ledger import Ledger
from tests.apps.identity_provider import identity_provider

NAMES = ("QUORUM_DATABASE", "QUORUM_SETTINGS", "PUBSUB_EMULATOR_HOST", "QUORUM_SIGNING_KEY")


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def asked(*options: str) -> tuple[int, dict[str, dict[str, Any]]]:
    made = CliRunner().invoke(app, ["--json", *options])
    assert made.exception is None or isinstance(made.exception, SystemExit), made.exception
    told = json.loads(made.stdout)
    assert told["ready"] == (made.exit_code == 0)
    return made.exit_code, {one["name"]: one for one in told["findings"]}


def test_the_defaults_need_nothing_that_is_not_here() -> None:
    code, found = asked()
    assert code == 0
    for name in ("python", "settings", "policy", "registry", "catalogue", "signing key"):
        assert found[name]["state"] == "ok", found[name]
    for name in ("spam", "violence", "nsfw"):
        assert found[f"model {name}"]["found"].endswith("its files have their digests")
    assert found["ledger"]["state"] == found["media"]["state"] == "absent"
    # What is not there says what then does not work, and what to do.
    lacking = [one for one in found.values() if one["state"] != "ok"]
    assert all(one["without"] and one["remedy"] for one in lacking)
    assert {"prism", "java", "chromaprint", "port 8080", "port 9464"} <= set(found)


def test_what_the_settings_need_and_is_not_here_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    port = free_port()
    settings = tmp_path / "quorum.yaml"
    settings.write_text(
        "policy: no-such-policy\n"
        "detectors:\n  spam: {}\n  violence: {model: 'file:no-such-folder'}\n  violance: {}\n"
        "  nsfw: {model: 'mlflow:models:/nsfw@champion'}\n"
        f"catalogue: {tmp_path / 'none'}\n"
        f"media: {{folders: [{tmp_path / 'gone'}]}}\n"
        f"endpoints: ['http://127.0.0.1:{port}']\n"
    )
    code, found = asked("--settings", str(settings), "--database", f"sqlite:///{tmp_path}/l.db")
    assert code == 1
    models = ("model violence", "model violance", "model nsfw")
    for name in ("policy", *models, "catalogue", "media", "ledger"):
        assert found[name]["state"] == "missing", found[name]
        assert found[name]["without"]
    assert found[f"endpoint http://127.0.0.1:{port}"]["state"] == "missing"
    assert found["model spam"]["state"] == "ok"
    assert "quorum ledger init" in found["ledger"]["found"]
    assert "no catalogue" in found["catalogue"]["found"], found["catalogue"]
    assert not (tmp_path / "l.db").exists(), "looking makes no database"
    assert not (tmp_path / "none").exists(), "looking makes no catalogue"


def test_settings_that_cannot_be_read_are_the_end(tmp_path: Path) -> None:
    settings = tmp_path / "quorum.yaml"
    settings.write_text("polizy: balanced\n")
    code, found = asked("--settings", str(settings))
    assert code == 1
    assert "polizy" in found["settings"]["found"]
    assert "policy" not in found


def test_a_registry_that_is_away_is_missing_where_a_model_comes_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    settings = tmp_path / "quorum.yaml"
    settings.write_text("detectors: {spam: {model: 'mlflow:models:/spam@champion'}}\n")
    code, found = asked("--settings", str(settings))
    assert code == 1
    registry = found["registry mlflow:models:/spam@champion"]
    assert (registry["state"], "MLFLOW_TRACKING_URI" in registry["found"]) == ("missing", True)


def test_a_ledger_tells_its_schema(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    with Ledger(url, create=True) as ledger:
        revision = ledger.revision()
    (found,) = deployment._ledger(url)
    assert (found.state, revision in found.found) == (State.OK, True)


def test_a_catalogue_tells_its_works(tmp_path: Path) -> None:
    Catalogue(tmp_path / "works").close()
    for where in (str(tmp_path / "works"), CatalogueSettings(folder=str(tmp_path / "works"))):
        (found,) = deployment._catalogue(Settings(catalogue=where), None)
        assert (found.state, found.found[:8]) == (State.OK, "0 works "), found


def test_a_machine_without_the_libraries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("QUORUM_PRISM", str(tmp_path / "none"))
    monkeypatch.setattr(AudioHasher, "available", staticmethod(lambda: False))
    monkeypatch.setattr(machine, "find_spec", lambda _: None)
    found = {one.name: one for one in machine.machine(streams=True, broker=False)}
    for name in ("chromaprint", "java", "emulator", "extra web"):
        assert found[name].state is State.ABSENT
    assert found["prism"].state is State.MISSING
    assert "not by their sound" in found["chromaprint"].without


def test_prism_is_found_where_beam_keeps_it_and_never_downloaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("QUORUM_PRISM", raising=False)
    monkeypatch.setattr(PrismJobServer, "BIN_CACHE", str(tmp_path))
    monkeypatch.setattr(PrismJobServer, "local_bin", None)
    assert prism_here() == (None, "Beam has not downloaded it yet")
    name = PrismJobServer(PipelineOptions([])).path_to_binary().rsplit("/", 1)[-1]
    kept = tmp_path / name.removesuffix(".zip")
    kept.touch()
    assert prism_here() == (str(kept), str(kept))


def test_a_port_in_use() -> None:
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        port = used.getsockname()[1]
        assert machine._port(port, "quorum serve").state is State.ABSENT
    assert machine._port(port, "quorum serve").state is State.OK


def test_looking_for_something_never_raises() -> None:
    def raises(error: Exception) -> Iterator[Finding]:
        def look() -> str:
            raise error

        return attempt("it", look, "that")

    assert next(raises(ConfigurationError("no"))).found == "no"
    assert next(raises(KeyError("x"))).found == "KeyError: 'x'"


def test_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:9")
    monkeypatch.setattr("quorum.apps.doctor.streams._SECONDS", 0.5)
    code, found = asked("--project", "p")
    assert code == 1
    assert "127.0.0.1:9 does not answer" in found["broker"]["found"]


@pytest.mark.emulator
def test_topics_and_subscriptions(emulator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator)
    options = ("--project", "quorum-doctor", "--prefix", "d")
    _, before = asked(*options)
    names = [name for name in before if name.startswith(("topic", "subscription"))]
    topics_ = ("uploads", "predictions", "verdicts", "reviews", "policies", "dead-letters")
    read = ("uploads-stream", "reviews-stream", "policies-stream")
    kept = ("verdicts-platform", "dead-letters-kept")
    assert names == [
        *(f"topic projects/quorum-doctor/topics/d-{name}" for name in topics_),
        *(f"subscription projects/quorum-doctor/subscriptions/d-{name}" for name in (*read, *kept)),
    ]
    assert all(before[name]["state"] == "missing" for name in names)
    remedy = before[names[0]]["remedy"]
    assert remedy == "quorum topics create --project quorum-doctor --prefix d"
    made = CliRunner().invoke(topics, remedy.split()[2:])
    assert made.exit_code == 0, made.output
    _, after = asked(*options)
    assert all(after[name]["state"] == "ok" for name in names)


def test_people_are_told_in_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "quorum.apps.cli.doctor._examined",
        lambda *_, **__: iter(
            [
                Finding.ok("a", "there"),
                Finding.lacking("b", "gone", "c fails", "buy it", needed=True),
            ]
        ),
    )
    made = CliRunner().invoke(app, [])
    assert made.exit_code == 1
    assert made.stdout.splitlines() == [
        "ok       a: there",
        "missing  b: gone",
        "         without it: c fails",
        "         to do: buy it",
        "",
        "1 ok, 0 absent, 1 missing",
    ]


def test_an_identity_provider_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUORUM_OIDC_SECRET", "secret")
    settings = tmp_path / "quorum.yaml"
    with identity_provider() as provider:
        settings.write_text(
            f"sso: {{issuer: '{provider.issuer}', client_id: quorum, roles: {{a: lead}}}}\n"
        )
        _, found = asked("--settings", str(settings))
        one = found["identity provider"]
        assert one["state"] == "ok"
        assert one["found"] == f"{provider.issuer}, keys: 1, a secret"
    _, found = asked("--settings", str(settings))
    one = found["identity provider"]
    assert one["state"] == "missing"
    assert "does not answer" in one["found"]
    assert "passwords work" in one["without"]
