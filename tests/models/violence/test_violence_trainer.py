"""Training on custom texts and clips: each head alone, the other one copied as shipped."""

import csv
import json

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from quorum.apps.cli.models import app
from quorum.core.errors import InputError
from quorum.models.registry.artifacts import open_artifact
from quorum.models.training.dataset import read_labelled
from quorum.models.violence.detector import ARTIFACT, ViolenceDetector
from quorum.models.violence.trainer import train_from

CALM = ["baking bread at home", "a walk by the sea", "my cat sleeps", "new song", "planting trees"]
THREATS = ["I will kill you", "beat them to death", "we shoot them all", "stab him", "burn them"]


def clip(path, moving, seed):
    """Half a second: a block that jumps, or stands still."""
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        left, top = 10, 10
        for _ in range(4):
            picture = np.full((48, 64, 3), 90, np.uint8)
            if moving:
                left, top = int(rng.integers(0, 40)), int(rng.integers(0, 30))
            picture[top : top + 16, left : left + 20] = (230, 40, 40) if moving else (40, 200, 40)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("clips")
    with (made / "clips.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "fight", "source"])
        for index in range(12):
            clip(made / f"{index}.mp4", index % 2 == 1, index)
            table.writerow([f"{index}.mp4", index % 2, f"camera {index // 4}"])
    return made


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "texts.csv"
    rows = [f"{text} {index},{kind}" for kind, texts in ((0, CALM), (1, THREATS))
            for index in range(3) for text in texts]  # fmt: skip
    path.write_text("\n".join(["text,label", *rows]))
    return path


def test_a_folder_of_clips_trains_the_half_that_watches(folder, tmp_path):
    told = []
    metrics = train_from(read_labelled(folder), tmp_path / "a", 7, told.append)
    again = train_from(read_labelled(folder), tmp_path / "b", 7, lambda step: None)
    assert metrics == again
    assert metrics["frames"]["split"].startswith("3 folds by source, 3 seeds")
    assert metrics["frames"]["rows"] == 12
    assert any("watched 12 of 12" in step for step in told)
    made, shipped = open_artifact(tmp_path / "a"), open_artifact(ARTIFACT)
    assert made.version == open_artifact(tmp_path / "b").version != shipped.version
    for of in ("words.safetensors", "context.safetensors"):
        assert made.manifest.files[of] == shipped.manifest.files[of]
    assert metrics["text"] == shipped.manifest.metrics["text"]
    words = shipped.document("model.json")["sources_of_text"]
    sources = [one.name for one in made.manifest.training_data]
    assert sources == [*(one.name for one in shipped.manifest.training_data[:words]), folder.name]
    assert ViolenceDetector(tmp_path / "a").version == made.version


def test_texts_train_the_half_that_reads_and_the_other_stays(words, tmp_path):
    metrics = train_from(read_labelled(words), tmp_path / "mine", 0, lambda step: None)
    made, shipped = open_artifact(tmp_path / "mine"), open_artifact(ARTIFACT)
    of = "fights.safetensors"
    assert made.manifest.files[of] == shipped.manifest.files[of]
    assert made.document("model.json")["gore"] == shipped.document("model.json")["gore"]
    context = "context.safetensors"
    assert made.manifest.files[context] == shipped.manifest.files[context]
    assert made.document("model.json")["languages"] == shipped.document("model.json")["languages"]
    assert metrics["text"]["rows"] == 30
    assert metrics["text"]["roc_auc"] > 0.8
    assert "both" not in metrics


def test_too_little_is_told(folder, tmp_path):
    few = tmp_path / "few.csv"
    few.write_text("text,label\nI will kill you,1\nhello,0\n")
    with pytest.raises(InputError, match="at least 5 examples with the harm"):
        train_from(read_labelled(few), tmp_path / "out", 0, lambda step: None)


def test_a_clip_that_cannot_be_read_is_named(folder, tmp_path):
    for index in range(12):
        (tmp_path / f"{index}.mp4").write_bytes((folder / f"{index}.mp4").read_bytes())
    (tmp_path / "clips.csv").write_text((folder / "clips.csv").read_text())
    (tmp_path / "5.mp4").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"clips-7: media cannot be read|5\.mp4"):
        train_from(read_labelled(tmp_path), tmp_path / "out", 0, lambda step: None)


def test_the_command_takes_a_folder_of_clips(folder, tmp_path):
    out = tmp_path / "mine"
    result = CliRunner().invoke(
        app,
        ["train", "violence", "--data", str(folder), "--out", str(out), "--seed", "3", "--json"],
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["version"] == open_artifact(out, "violence").version
    assert told["metrics"]["frames"]["fights"] == 6
