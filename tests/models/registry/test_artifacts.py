import json

import numpy as np
import pytest

from quorum.core.errors import ArtifactError
from quorum.models.registry.artifacts import MANIFEST, TrainingData, open_artifact, write_artifact


def write(folder, **more):
    return write_artifact(
        folder,
        detector="spam",
        tensors={"weights.safetensors": {"a": np.arange(3.0), "b": np.ones((2, 2), np.float32)}},
        documents={"terms.json": {"words": ["один", "two"]}},
        training_data=[TrainingData("set", "CC0", 3, "00")],
        metrics={"roc_auc": 0.9},
        **more,
    )


def test_what_is_written_can_be_read(tmp_path):
    made = write(tmp_path)
    again = open_artifact(tmp_path, "spam")
    assert again.version == made.version
    assert len(made.version) == 16
    assert again.tensors("weights.safetensors")["a"].tolist() == [0.0, 1.0, 2.0]
    assert again.document("terms.json") == {"words": ["один", "two"]}
    assert again.manifest.training_data == (TrainingData("set", "CC0", 3, "00"),)
    assert again.manifest.metrics == {"roc_auc": 0.9}


def test_the_version_follows_the_content_alone(tmp_path):
    first, second = write(tmp_path / "a"), write(tmp_path / "b", seed=7)
    assert first.version == second.version
    third = write_artifact(
        tmp_path / "c", detector="spam", tensors={}, documents={"terms.json": {"words": []}}
    )
    assert third.version != first.version


def test_an_earlier_artifact_leaves_nothing_behind(tmp_path):
    write(tmp_path)
    write_artifact(tmp_path, detector="spam", tensors={}, documents={"other.json": 1})
    assert sorted(path.name for path in tmp_path.iterdir()) == [MANIFEST, "other.json"]


def test_a_file_can_be_kept_of_the_artifact_that_is_replaced(tmp_path):
    held = write(tmp_path)
    write_artifact(
        tmp_path, detector="spam", tensors={}, documents={"other.json": 1},
        others=[held.file("terms.json")],
    )  # fmt: skip
    assert open_artifact(tmp_path).document("terms.json") == {"words": ["один", "two"]}
    assert not (tmp_path / "weights.safetensors").exists()


@pytest.mark.parametrize("name", ["weights.safetensors", "terms.json"])
def test_an_altered_file_is_refused(tmp_path, name):
    write(tmp_path)
    data = bytearray((tmp_path / name).read_bytes())
    data[-1] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ArtifactError, match="was altered"):
        open_artifact(tmp_path)


def test_a_file_that_is_gone_or_a_link_is_refused(tmp_path):
    write(tmp_path)
    (tmp_path / "terms.json").rename(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match=r"lacks its file terms\.json"):
        open_artifact(tmp_path)
    (tmp_path / "terms.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match="lacks its file"):
        open_artifact(tmp_path)


def alter(folder, **fields):
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest.update(fields)
    (folder / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"format": 99}, "unknown format"),
        ({"version": "0" * 16}, "version does not fit"),
        ({"files": {"../terms.json": "0"}}, "may not hold"),
        ({"files": {"model.pkl": "0"}}, "may not hold"),
        ({"files": {"manifest.json": "0"}}, "may not hold"),
        ({"files": 3}, "not an artifact's manifest"),
        ({"surprise": 1}, "not an artifact's manifest"),
        ({"training_data": [{"x": 1}]}, "not an artifact's manifest"),
    ],
)
def test_an_altered_manifest_is_refused(tmp_path, fields, told):
    write(tmp_path)
    alter(tmp_path, **fields)
    with pytest.raises(ArtifactError, match=told):
        open_artifact(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "3", "{", "[" * 100_000])
def test_what_is_no_manifest_is_refused(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(ArtifactError):
        open_artifact(tmp_path)


def test_no_folder_and_another_detectors_artifact_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match="no artifact at"):
        open_artifact(tmp_path / "none")
    write(tmp_path)
    with pytest.raises(ArtifactError, match="is for the detector spam, not for violence"):
        open_artifact(tmp_path, "violence")
    with pytest.raises(ArtifactError, match=r"holds no other\.json"):
        open_artifact(tmp_path).document("other.json")
