"""Guides show commands that are there, with options that they take."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

DOCS = Path(__file__).parents[3] / "docs"
GUIDES = ("models.md", "web.md")


def commands(text: str) -> list[list[str]]:
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.S)).replace("\\\n", " ")
    lines = [line for line in blocks.splitlines() if line.startswith("quorum ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


SHOWN = [
    pytest.param(words, id=f"{guide}: {' '.join(words[:3])}")
    for guide in GUIDES
    for words in commands((DOCS / guide).read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("words", SHOWN)
def test_a_shown_command_is_taken(words: list[str]) -> None:
    found: Any = typer.main.get_command(import_module(f"quorum.apps.cli.{words[0]}").app)
    rest = words[1:]
    if hasattr(found, "commands"):
        found, rest = found.commands[words[1]], words[2:]
    # Parsed as the command line is, and not run.
    found.make_context(words[0], rest, resilient_parsing=False).close()


def test_both_guides_show_some() -> None:
    assert len(SHOWN) >= 12


def test_links_lead_somewhere() -> None:
    for guide in GUIDES:
        text = (DOCS / guide).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert target.startswith("https://") or (DOCS / target).exists(), target
