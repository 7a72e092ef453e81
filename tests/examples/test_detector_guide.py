"""The guide is followed to the letter, in an empty folder and in processes of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "write-a-detector.md").read_text(encoding="utf-8")
PART = GUIDE.split("\n## A Hugging Face model")[0]
FILES = dict(re.findall(r"```(?:python|toml|yaml)\n# (\S+)\n(.*?)```", PART, re.DOTALL))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guide's files, and what pip makes of them (which would ask for the build's packages)."""
    made = tmp_path_factory.mktemp("stranger")
    for name, text in FILES.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text)
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    told = made / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    told.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (told / "METADATA").write_text(head)
    lines = ["[quorum.detectors]"]
    points = project["entry-points"]["quorum.detectors"]
    lines += [f"{name} = {value}" for name, value in points.items()]
    (told / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return made


def run(folder: Path, *arguments: str) -> str:
    paths = os.pathsep.join([str(folder), str(ROOT)])
    made = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout


def test_it_names_all_files():
    assert list(FILES) == ["shout/detector.py", "pyproject.toml", "tests/test_shout.py",
                           "settings.yaml"]  # fmt: skip


def test_the_detector_is_found(folder: Path):
    rows = json.loads(run(folder, "quorum", "models", "list", "--json"))
    assert "shout" in {row["detector"] for row in rows}


def test_its_tests_pass_as_many_as_the_guide_says(folder: Path):
    count = re.search(r"That is (\d+) tests", PART)
    assert count is not None
    assert f"{count[1]} passed" in run(folder, "pytest", "tests", "-q", "-p", "no:cacheprovider")


def test_it_watches_in_shadow(folder: Path):
    line = {"id": "u1", "uploader": "x", "title": "BUY THIS NOW",
            "published_at": "2026-01-31T12:00:00Z"}  # fmt: skip
    (folder / "uploads.jsonl").write_text(json.dumps(line) + "\n")
    run(folder, "quorum", "moderate", "uploads.jsonl", "--settings", "settings.yaml",
        "--predictions", "scored.jsonl")  # fmt: skip
    said = [json.loads(each) for each in (folder / "scored.jsonl").read_text().splitlines()]
    (shout,) = [each for each in said if each["detector"] == "shout"]
    assert (shout["score"], shout["shadow"]) == (1.0, True)
