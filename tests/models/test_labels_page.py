"""The page of labels tells all that detectors give, with their nearest names elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from quorum.core.messages import ACTIONS, Status
from quorum.core.settings import MediaAccess, Settings
from quorum.models.detectors import Features
from quorum.models.features.extract import Extractor
from quorum.models.installed import load_class

PAGE = (Path(__file__).parents[2] / "docs" / "labels.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| `")
]
BY_LABEL = {label: row for row in ROWS for label in re.findall(r"`([^`]+)`", row[0])}
SHIPPED = ("spam", "violence", "nsfw", "copyright")
FOLDER = Path(__file__).parents[2]


def emitted(name: str) -> set[str]:
    """The labels that a detector gives its own examples."""
    kind = load_class(name)
    uploads = [example.upload for example in kind.examples()]
    folders = tuple({str(Path(one.media.removeprefix("file://")).parent) for one in uploads
                     if one.media})  # fmt: skip
    made = kind.from_settings(Settings())
    features: list[Features] = Extractor(made.needs, MediaAccess(folders=folders)).extract(uploads)
    findings = [one for one in made.score(features) if one.status is Status.SCORED]
    return {label for finding in findings for label in finding.labels}


@pytest.mark.parametrize("name", SHIPPED)
def test_what_a_detector_gives_is_on_the_page(name: str) -> None:
    labels = emitted(name)
    assert labels
    for label in labels:
        assert label in BY_LABEL, label
        assert BY_LABEL[label][2].startswith(name)


def test_each_label_that_the_code_names_is_on_the_page() -> None:
    named = set()
    for path in (FOLDER / "models").rglob("*.py"):
        for label in re.findall(r'"((?:spam|violence|nsfw|copyright)/[a-z]+)"', path.read_text()):
            named.add(label)
    assert named >= {"spam/promotion", "violence/fight", "nsfw/explicit", "copyright/match"}
    assert named <= BY_LABEL.keys()


def test_the_actions_of_rights_holders_are_on_the_page() -> None:
    assert {f"copyright/{action}" for action in ACTIONS} <= BY_LABEL.keys()


def test_each_label_has_its_equivalents_or_says_that_there_are_none() -> None:
    for label, row in BY_LABEL.items():
        assert len(row) == 5, label
        assert all(row), label
