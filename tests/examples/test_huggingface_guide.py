"""What the guide says of Hugging Face models is done as it stands there, by tiny models."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quorum.apps.cli.app import app
from quorum.core.messages import Status
from tests.models.features import media_files
from tests.models.huggingface_models import image_model, text_model

GUIDE = Path(__file__).parents[2] / "docs" / "write-a-detector.md"
SECTION = GUIDE.read_text(encoding="utf-8").split("## A Hugging Face model\n")[1].split("\n## ")[0]
FILES = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", SECTION, re.DOTALL))
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the guide was followed."""
    folder = tmp_path_factory.mktemp("guide")
    text_model(folder / "hate-model")
    image_model(folder / "gore-model")
    (folder / "clips").mkdir()
    media_files.video(folder / "clips" / "clip.mp4", 1.0)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    rows = ["you are an idiot,1", "you are my friend,0"] * 10
    (folder / "labelled.csv").write_text("\n".join(["text,label", *rows]))
    told = [
        {"id": "insult", "title": "you are an idiot", "language": "en"},
        {"id": "friend", "title": "you are my friend", "language": "en"},
        {"id": "german", "title": "Du bist der beste Freund, den ich je hatte"},
        {
            "id": "clip",
            "title": "you are my friend",
            "language": "en",
            "media": (folder / "clips" / "clip.mp4").as_uri(),
        },
    ]
    common = {"uploader": "by", "published_at": "2026-01-31T12:00:00Z"}
    lines = [json.dumps({**one, **common}) for one in told]
    (folder / "uploads.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in COMMANDS:
            told, _, file = command.partition(" > ")
            name, *arguments = shlex.split(told)
            assert name == "quorum"
            result = CliRunner().invoke(app, arguments, catch_exceptions=False)
            assert result.exit_code == 0, (command, result.output)
            if file:
                (folder / file).write_text(result.stdout)
            if arguments[0] == "moderate":
                (folder / "moderated.jsonl").write_text(result.stdout)
    return folder


def read(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_guide_names_its_files():
    assert set(FILES) == {"hate.yaml", "gore.yaml", "settings.yaml", "policy.yaml"}
    assert [command.split()[1] for command in COMMANDS] == [
        *("models", "moderate", "stream"),
        *("models", "models"),
    ]


def test_the_calibration_is_in_the_file(done: Path):
    assert "calibration:" in (done / "calibrated.yaml").read_text()


def test_verdicts_are_the_same_in_process_and_on_the_stream(done: Path):
    ways = [
        {one["upload_id"]: (one["action"], one["rule"]) for one in read(done / name)}
        for name in ("moderated.jsonl", "verdicts.jsonl")
    ]
    assert ways[0] == ways[1]
    assert ways[0]["insult"] == ("review", "insult")
    assert ways[0]["friend"] == ways[0]["clip"] == ("allow", "default")
    assert ways[0]["german"] == ("review", "quorum")
    assert not (done / "dead.jsonl").exists() or not (done / "dead.jsonl").read_bytes()


@pytest.mark.parametrize("name", ["scored.jsonl", "predictions.jsonl"])
def test_each_detector_speaks_of_each_upload(done: Path, name: str):
    said = {(one["upload_id"], one["detector"]): one for one in read(done / name)}
    assert len(said) == 8
    insult = said["insult", "hate"]
    assert insult["score"] > 0.5 > said["friend", "hate"]["score"]
    assert set(insult["labels"]) == {"hate/insult", "hate/threat"}
    assert said["german", "hate"]["reason"] == "language not covered: de"
    clip = said["clip", "gore"]
    assert (clip["status"], clip["shadow"]) == (Status.SCORED, True)
    assert set(clip["labels"]) == {"gore/wounds"}
    assert said["insult", "gore"]["reason"] == "no media"
