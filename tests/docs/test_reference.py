"""What the docs hold of the code is current; mend it with: python docs/make_reference.py."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_FILE = ROOT / "docs" / "make_reference.py"
_SPEC = importlib.util.spec_from_file_location("make_reference", _FILE)
make_reference = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(make_reference)

PAGES = make_reference.reference()


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_the_api_reference_is_current(file: Path):
    assert file.read_text(encoding="utf-8") == PAGES[file], "run: python docs/make_reference.py"


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_each_public_name_is_described(file: Path):
    rows = re.findall(r"^\| \[`(\w+)`\]\(#\w+\) \| (.*) \|$", PAGES[file], re.MULTILINE)
    assert rows
    assert [name for name, what in rows if not what] == []
    attributes = re.findall(r"^\| `(\w+)` \|.*\| (.*?) ?\|$", PAGES[file], re.MULTILINE)
    assert [name for name, what in attributes if not what] == []


def test_the_conversions_of_tables_are_current():
    text = make_reference.OF_TABLES.read_text(encoding="utf-8")
    assert text == make_reference.tables(text), "run: python docs/make_reference.py"


def test_each_metric_and_each_log_event_is_described():
    text = make_reference.OPERATIONS.read_text(encoding="utf-8")
    assert text == make_reference.operations(text), "run: python docs/make_reference.py"
    assert make_reference.TODO not in text, "write what to do in its last column"
