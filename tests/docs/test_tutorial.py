"""The tutorial's pictures are current, and its steps are those that it promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tutorial" / "README.md"
SCRIPT = ROOT / "docs" / "make_tutorial_pictures.py"


def test_the_pictures_are_as_the_script_draws_them() -> None:
    made = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"], capture_output=True, check=False
    )
    assert made.returncode == 0, made.stderr.decode()


def test_each_step_has_its_picture_and_something_to_run() -> None:
    steps = re.split(r"\n## (?=[0-9])", PAGE.read_text(encoding="utf-8"))[1:]
    assert [step.splitlines()[0] for step in steps] == [
        "0. One model in a notebook",
        "1. Offline",
        "2. Web",
        "3. Web with a registry",
        "4. Stream",
    ]
    for step in steps:
        (picture,) = re.findall(r"images/(tutorial-[a-z]+\.svg)", step)
        drawn = ElementTree.parse(ROOT / "docs" / "images" / picture).getroot()
        assert drawn.find("{http://www.w3.org/2000/svg}title") is not None
        assert re.search(r"```(sh|python)\n", step)
