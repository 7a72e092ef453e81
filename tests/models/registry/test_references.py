import sys
import types
from pathlib import Path

import pytest

from quorum.core.errors import ArtifactError, ConfigurationError
from quorum.models.registry import references
from quorum.models.registry.artifacts import write_artifact
from quorum.models.registry.references import local_folder, open_reference


@pytest.fixture
def stored(tmp_path):
    return write_artifact(
        tmp_path / "stored", detector="spam", tensors={}, documents={"terms.json": [1, 2]}
    )


def copy_to(stored, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for path in stored.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_of_a_package():
    made = open_reference("package:quorum.models.spam", "spam")
    assert made.manifest.detector == "spam"
    with pytest.raises(ArtifactError, match="no package of this name"):
        open_reference("package:no.such.package")


def test_of_a_folder(stored, monkeypatch):
    assert open_reference(f"file:{stored.folder}").version == stored.version
    assert open_reference(f"file://{stored.folder}").version == stored.version
    monkeypatch.chdir(stored.folder.parent)
    assert open_reference("file:stored").version == stored.version
    with pytest.raises(ArtifactError, match="no such folder"):
        open_reference("file:/no/such/folder")


def test_a_version_is_held_to(stored):
    assert open_reference(f"file:{stored.folder}#{stored.version}").version == stored.version
    with pytest.raises(ArtifactError, match=f"has the version {stored.version}"):
        open_reference(f"file:{stored.folder}#{'0' * 16}")


def test_an_altered_file_and_another_detector_are_refused(stored):
    with pytest.raises(ArtifactError, match="not for violence"):
        open_reference(f"file:{stored.folder}", "violence")
    (stored.folder / "terms.json").write_text("[3]")
    with pytest.raises(ArtifactError, match="was altered"):
        open_reference(f"file:{stored.folder}")


@pytest.mark.parametrize("text", ["", "spam", "s3://x/y", "http://x/y", "file:", "hf:", "package:"])
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(ArtifactError, match="must begin with one of package:, file:"):
        local_folder(text)


def test_of_the_hub(stored, monkeypatch):
    import huggingface_hub

    asked = []

    def snapshot_download(name, revision, allow_patterns):
        asked.append((name, revision))
        assert not any("pickle" in one or one.endswith((".bin", ".pt")) for one in allow_patterns)
        return str(stored.folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert open_reference("hf:org/name@v2").version == stored.version
    open_reference("hf:org/name")
    assert asked == [("org/name", "v2"), ("org/name", None)]


def test_a_hub_that_cannot_be_reached_says_so(monkeypatch):
    import huggingface_hub

    def snapshot_download(*args, **kwargs):
        raise ConnectionError("no route\nmore")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(ArtifactError, match=r"hf:org/name cannot be had: no route$"):
        open_reference("hf:org/name")


def test_of_a_bucket(stored, monkeypatch, tmp_path):
    class Blob:
        size = 10

        def __init__(self, name):
            self.name = name

        def download_to_filename(self, path):
            Path(path).write_bytes((stored.folder / Path(self.name).name).read_bytes())

    class Client:
        def list_blobs(self, bucket, prefix):
            assert (bucket, prefix) == ("bucket", "models/spam/")
            names = [path.name for path in stored.folder.iterdir()]
            return [Blob(f"models/spam/{name}") for name in [*names, "x.pkl", "../up.json", ""]]

    module = types.ModuleType("google.cloud.storage")
    module.Client = Client
    import google.cloud

    monkeypatch.setitem(sys.modules, "google.cloud.storage", module)
    monkeypatch.setattr(google.cloud, "storage", module, raising=False)
    monkeypatch.setenv("QUORUM_CACHE", str(tmp_path / "cache"))
    made = open_reference("gs://bucket/models/spam")
    assert made.version == stored.version
    assert made.folder.is_relative_to(tmp_path / "cache")
    assert not (made.folder / "x.pkl").exists()


def test_of_a_run_of_a_registry(stored, monkeypatch, tmp_path):
    """Registered models are tested against a real server: ``test_mlflow_registry.py``."""
    pytest.importorskip("mlflow", reason="needs quorum-moderation[mlflow]")
    from mlflow.store.artifact import artifact_repository_registry
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    run = tmp_path / "run"
    copy_to(stored, run / "artifact")
    (run / "artifact" / "model.pkl").write_bytes(b"never fetched")
    monkeypatch.setattr(
        artifact_repository_registry,
        "get_artifact_repository",
        lambda uri: LocalArtifactRepository((run / uri.removeprefix("runs:/1/model")[1:]).as_uri()),
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("QUORUM_CACHE", str(tmp_path / "cache"))
    made = open_reference("mlflow:runs:/1/model")
    assert made.version == stored.version
    assert not (made.folder / "model.pkl").exists()


def test_a_registry_must_be_named(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    for reference in ("mlflow:models:/spam@champion", "mlflow:runs:/1/model"):
        with pytest.raises(ConfigurationError, match="set MLFLOW_TRACKING_URI"):
            open_reference(reference)


def test_a_lacking_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.cloud.storage", None)
    with pytest.raises(ArtifactError, match="google-cloud-storage; install it"):
        open_reference("gs://a/b")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match=r"quorum-moderation\[mlflow\]"):
        open_reference("mlflow:models:/a/1")


def test_every_scheme_is_tested():
    assert set(references.SCHEMES) == {"package", "file", "hf", "gs", "mlflow"}
