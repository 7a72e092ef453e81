"""Models in a real MLflow server with a local store, started by the test."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("mlflow", reason="needs quorum-moderation[mlflow]")

from quorum.apps.cli.models import app
from quorum.core.errors import ArtifactError, ConfigurationError, EngineUnavailable, QuorumError
from quorum.core.settings import DetectorSettings, Settings
from quorum.models.ensemble import Ensemble
from quorum.models.pinning import pinned
from quorum.models.registry.artifacts import Artifact, open_artifact
from quorum.models.registry.mlflow_promotion import promote, register, rollback, versions
from quorum.models.registry.mlflow_registry import ModelVersion, is_movable, resolve_version
from quorum.models.registry.references import open_reference
from quorum.models.spam.detector import ARTIFACT
from tests.mlflow_server import MlflowServer
from tests.models.spam_variants import variant

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SHIPPED = open_artifact(ARTIFACT)


def follows(reference: str) -> Settings:
    return Settings(detectors={"spam": DetectorSettings(model=reference)})


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return variant(tmp_path_factory.mktemp("second"), 0.999)


def test_a_registered_artifact_comes_back_as_it_was(
    registry: MlflowServer, tmp_path: Path, second: Artifact
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(second.folder, copy)
    (copy / "secret.txt").write_text("not named by the manifest")
    told = register("round", open_artifact(copy), dry_run=True)
    assert (told.new, told.model.number) == (True, "1")
    with pytest.raises(ArtifactError, match=r"does not know round"):
        versions("round")
    made = register("round", open_artifact(copy))
    assert made.model == ModelVersion("round", "1", second.version)
    again = register("round", second)
    assert (again.new, again.model) == (False, made.model)
    assert made.metrics == {"roc_auc": "0.9", "by_video.Video_1": "0.8", "rows": "3"}
    (known,) = versions("round")
    assert (known.detector, known.metrics) == ("spam", made.metrics)
    got = open_reference("mlflow:models:/round/1", "spam")
    assert got.version == second.version
    assert {path.name for path in got.folder.iterdir()} == {*second.manifest.files, "manifest.json"}
    assert open_reference("mlflow:models:/round/latest").version == second.version
    for name, detector in (("round", "violence"), ("../x", "spam"), ("", "spam")):
        with pytest.raises(QuorumError):
            other = variant(tmp_path / "other", 0.5)
            object.__setattr__(other.manifest, "detector", detector)
            register(name, other)


def test_an_alias_moves_and_moves_back(registry: MlflowServer, second: Artifact) -> None:
    register("moved", SHIPPED)
    register("moved", second)
    third = register("moved", variant(registry.folder / "third", 0.998))
    with pytest.raises(ArtifactError, match="moved@champion"):
        resolve_version("mlflow:models:/moved@champion")
    with pytest.raises(ConfigurationError, match="has named no version before"):
        rollback("moved")
    assert promote("moved", "1", dry_run=True).before is None
    first = promote("moved", "1")
    assert (first.before, first.moved) == (None, True)
    assert not promote("moved", "1").moved
    assert promote("moved", second.version).before == "1"
    assert promote("moved", third.model.number).before == "2"
    assert [one.aliases for one in versions("moved")] == [("champion",), (), ()]
    assert rollback("moved", dry_run=True).model.number == "2"
    assert resolve_version("mlflow:models:/moved@champion").number == "3"
    back = rollback("moved")
    assert (back.model.number, back.before) == ("2", "3")
    assert rollback("moved").model.digest == SHIPPED.version
    assert resolve_version("mlflow:models:/moved@champion").number == "1"
    with pytest.raises(ConfigurationError, match="has named no version before"):
        rollback("moved")
    assert promote("moved", "3", alias="challenger").alias == "challenger"
    assert resolve_version("mlflow:models:/moved@champion").number == "1"


def test_what_the_registry_does_not_know_is_told(registry: MlflowServer) -> None:
    register("known", SHIPPED)
    for version in ("7", "0" * 16):
        with pytest.raises(ArtifactError, match=r"not found|has no version"):
            promote("known", version)
    for alias in ("a/b", "", "a b"):
        with pytest.raises(ConfigurationError, match="cannot be an alias"):
            promote("known", "1", alias=alias)
    with pytest.raises(ArtifactError, match="not found"):
        rollback("unknown")
    with pytest.raises(ArtifactError, match=r"has the digest"):
        open_reference(f"mlflow:models:/known/1#{'0' * 16}")
    with pytest.raises(ArtifactError, match="not for violence"):
        open_reference("mlflow:models:/known/1", "violence")


def test_an_artifact_that_was_exchanged_is_never_promoted_nor_used(
    registry: MlflowServer, tmp_path: Path, second: Artifact
) -> None:
    made = register("exchanged", SHIPPED)
    stored = [
        path.parent
        for path in (registry.folder / "artifacts").rglob("manifest.json")
        if json.loads(path.read_text())["version"] == SHIPPED.version
    ]
    for folder in stored:
        shutil.copytree(second.folder, folder, dirs_exist_ok=True)
    try:
        with pytest.raises(ArtifactError, match=f"gives has {second.version}"):
            promote("exchanged", "1")
        with pytest.raises(ArtifactError, match="register it again"):
            open_reference(made.model.reference)
        for folder in stored:
            (folder / "words.safetensors").write_bytes(b"altered")
        with pytest.raises(ArtifactError, match="was altered"):
            promote("exchanged", "1")
        with pytest.raises(ArtifactError, match="exchanged@champion"):
            resolve_version("mlflow:models:/exchanged@champion")
    finally:
        for folder in stored:
            shutil.copytree(SHIPPED.folder, folder, dirs_exist_ok=True)


def test_a_version_without_a_digest_and_a_tag_that_was_altered(registry: MlflowServer) -> None:
    from mlflow import MlflowClient

    client = MlflowClient()
    made = register("foreign", SHIPPED)
    first = client.get_model_version("foreign", "1")
    client.create_model_version("foreign", first.source, run_id=first.run_id)
    with pytest.raises(ArtifactError, match=r"no tag quorum\.version"):
        open_reference("mlflow:models:/foreign/2")
    digest = made.model.digest
    assert open_reference(f"mlflow:models:/foreign/2#{digest}").version == digest
    promote("foreign", "1")
    client.set_registered_model_tag("foreign", "quorum.past.champion", "[1")
    with pytest.raises(ArtifactError, match="was altered"):
        rollback("foreign")


def test_wrong_credentials_and_a_registry_that_is_away_tell_no_password(
    registry: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = f"http://me:geheim@127.0.0.1:{registry.port + 1 if registry.port < 65535 else 1}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", away)
    with pytest.raises(EngineUnavailable, match=r"cannot be reached") as caught:
        promote("spam", "1")
    assert "geheim" not in str(caught.value)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(ConfigurationError, match="MLFLOW_TRACKING_URI"):
        promote("spam", "1")


def test_settings_are_pinned_and_the_last_good_model_outlives_the_registry(
    registry: MlflowServer, monkeypatch: pytest.MonkeyPatch, second: Artifact
) -> None:
    register("kept", SHIPPED)
    register("kept", second)
    asked = follows("mlflow:models:/kept@champion")
    with pytest.raises(ArtifactError, match="kept@champion"):
        pinned(asked)
    promote("kept", "2")
    first = pinned(asked)
    assert not first.stale
    assert first.settings == follows(f"mlflow:models:/kept/2#{second.version}")

    from quorum.models import installed as loaded

    loaded._loaded.clear()
    registry.stop()
    try:
        again = pinned(asked)
        assert again.settings == first.settings
        assert "cannot be reached" in again.stale["spam"]
        assert Ensemble.load(asked).detectors["spam"].detector.version == second.version
        with pytest.raises(EngineUnavailable):
            pinned(follows("mlflow:models:/kept@challenger"))
        monkeypatch.setenv("QUORUM_CACHE", str(registry.folder / "empty"))
        with pytest.raises(EngineUnavailable):
            pinned(asked)
    finally:
        registry.start()


def test_a_new_version_that_cannot_score_leaves_the_last_good_one(
    registry: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = register("trial", SHIPPED)
    asked = follows("mlflow:models:/trial@champion")
    promote("trial", good.model.number)
    assert not pinned(asked).stale
    bad = variant(tmp_path / "bad", float("nan"))
    promote("trial", register("trial", bad).model.number)
    made = pinned(asked)
    assert made.settings == follows(good.model.reference)
    assert "cannot score" in made.stale["spam"]
    with monkeypatch.context() as patched:
        patched.setattr("quorum.models.pinning.Extractor", lambda *_: pytest.fail("tried again"))
        assert pinned(asked) == made
    rollback("trial")
    assert not pinned(asked).stale


def test_the_commands(registry: MlflowServer, second: Artifact) -> None:
    def run(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, list(words))
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.stdout

    folder = str(second.folder)
    assert "would be mlflow:models:/shop/1#" in run("register", "shop", folder, "--dry-run")
    told = run("register", "shop", folder)
    assert "is now mlflow:models:/shop/1#" in told
    assert "quorum models promote shop 1" in told
    assert "is there already" in run("register", "shop", folder)
    made = json.loads(run("register", "shop", "package:quorum.models.spam", "--json"))
    assert made["model"] == {"name": "shop", "number": "2", "digest": SHIPPED.version}
    assert "would name" in run("promote", "shop", "1", "--dry-run")
    assert "shop@champion names mlflow:models:/shop/1#" in run("promote", "shop", "1")
    assert "names already" in run("promote", "shop", "1")
    assert json.loads(run("promote", "shop", "2", "--json"))["before"] == "1"
    assert "shop@champion is back at mlflow:models:/shop/1#" in run("rollback", "shop")
    assert "champion" in run("versions", "shop")
    listed = json.loads(run("versions", "shop", "--json"))
    assert [one["aliases"] for one in listed] == [[], ["champion"]]
    assert second.version in run("show", "spam", "--model", "mlflow:models:/shop@champion")
    with pytest.raises(ArtifactError, match="no such folder"):
        run("register", "shop", "/no/such")
    with pytest.raises(ConfigurationError, match="describes a model"):
        run("register", "shop", "toxicity.yaml")


@pytest.mark.parametrize(
    ("reference", "movable"),
    [
        ("mlflow:models:/spam@champion", True),
        ("mlflow:models:/spam/latest", True),
        ("mlflow:models:/spam/Production", True),
        (f"mlflow:models:/spam@champion#{'0' * 16}", True),
        ("mlflow:models:/spam/3", False),
        (f"mlflow:models:/spam/3#{'0' * 16}", False),
        ("mlflow:runs:/1/model", False),
        ("file:spam@champion", False),
        (None, False),
    ],
)
def test_what_may_move(reference: str | None, movable: bool) -> None:
    assert is_movable(reference) is movable
