"""What the docs name of the code is there."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/README.md",
    "docs/architecture.md",
    "docs/glossary.md",
    "docs/operations.md",
    "docs/troubleshooting.md",
    "docs/upgrade.md",
    "docs/decisions/0002-receipts.md",
    "docs/decisions/0003-what-a-cascade-leaves-out.md",
    "docs/decisions/0004-one-import-root.md",
    "docs/decisions/0005-rooms.md",
    "docs/decisions/0006-one-decider.md",
    "docs/decisions/0007-objects-inside-a-job.md",
)
TOP = "quorum|models|aggregator|pipeline|tests|docs|deploy|examples|benchmarks"
_PATH = re.compile(rf"`((?:{TOP})/[\w./-]*)`")
_DOTTED = re.compile(r"`(quorum(?:\.[A-Za-z]\w*)+)`")
#: Dotted names that are files of a deployment or groups of entry points.
_OTHER = {"quorum.yaml", "quorum.db"}


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def is_there(dotted: str) -> bool:
    """Whether a dotted name is a module, or a name in one."""
    try:
        if importlib.util.find_spec(dotted) is not None:
            return True
    except ModuleNotFoundError:
        pass
    module, _, name = dotted.rpartition(".")
    return "." in module and hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize("page", PAGES)
def test_each_path_is_there(page: str):
    found = set(_PATH.findall(text_of(page)))
    assert {path for path in found if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("page", PAGES)
def test_each_module_is_there(page: str):
    found = set(_DOTTED.findall(text_of(page))) - _OTHER
    assert {name for name in found if not is_there(name)} == set()


def test_each_module_of_the_picture_is_there():
    svg = text_of("docs/images/architecture.svg")
    named = re.findall(r'<text class="p"[^>]*>([^<]+)</text>', svg)
    paths = {part for text in named for part in text.split()}
    assert len(paths) > 20
    assert {path for path in paths if not (ROOT / path).exists()} == set()


def test_each_room_and_each_folder_of_a_room_is_described():
    text = text_of("docs/architecture.md")
    rooms = ("quorum/core", "quorum/store", "quorum/apps", "models", "aggregator", "pipeline")
    for room in rooms:
        assert f"`{room}/`" in text
        for folder in (ROOT / room).iterdir():
            if folder.is_dir() and (folder / "__init__.py").is_file():
                assert f"`{folder.name}/`" in text, f"{folder} is not described"


@pytest.mark.parametrize("page", PAGES)
def test_each_import_that_is_shown_works(page: str):
    shown = re.findall(r"from (quorum[\w.]*) import ([\w, ]+)", text_of(page))
    for module, names in shown:
        for name in names.split(", "):
            assert hasattr(importlib.import_module(module), name.strip()), f"{module}: {name}"


@pytest.mark.parametrize("page", PAGES)
def test_each_name_is_in_the_file_that_a_page_names(page: str):
    for name, path in re.findall(r"`([A-Za-z_]\w+)`\s+in\s+`([\w/]+\.py)`", text_of(page)):
        assert re.search(rf"(class|def) {name}\b|^{name}\b", text_of(path), re.MULTILINE), path
