"""The docs show commands that are there, with options that they take."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "deploy/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]


def blocks(text: str) -> list[list[str]]:
    """The arguments of each command of a block that is shown whole."""
    return [words for words in _shown(text) if "..." not in words]


def _shown(text: str) -> list[list[str]]:
    shown = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.S)).replace("\\\n", " ")
    lines = [line for line in shown.splitlines() if line.startswith("quorum ")]
    return [_words(line) for line in lines]


def _words(line: str) -> list[str]:
    """The arguments of a command, without what is the shell's."""
    words = shlex.split(line, comments=True)[1:]
    ends = [words.index(word) for word in (">", "|", "&") if word in words]
    return words[: min(ends, default=None)]


def inline(text: str) -> list[list[str]]:
    """The arguments of each command that is shown in part, such as within a sentence."""
    spans = re.findall(r"`quorum ([a-z][^`]*)`", re.sub(r"```.*?```", "", text, flags=re.S))
    return [*(span.split() for span in spans), *(one for one in _shown(text) if "..." in one)]


def found(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words name, and the rest of the words."""
    module = import_module(f"quorum.apps.cli.{words[0].replace('-', '_')}")
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer()
        app.command()(getattr(module, words[0]))
    command: Any = typer.main.get_command(app)
    if hasattr(command, "commands") and words[1:] and not words[1].startswith("-"):
        return command.commands[words[1]], words[2:]
    return command, words[1:]


def on_pages(take: Any) -> list[Any]:
    return [
        pytest.param(words, id=f"{page.relative_to(ROOT)}: {' '.join(words[:3])}")
        for page in PAGES
        for words in take(page.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("words", on_pages(blocks))
def test_a_shown_command_is_taken(words: list[str]) -> None:
    command, rest = found(words)
    # Parsed as the command line is, and not run.
    command.make_context(words[0], rest, resilient_parsing=False).close()


@pytest.mark.parametrize("words", on_pages(inline))
def test_a_named_command_has_its_options(words: list[str]) -> None:
    command, rest = found(words)
    options = {name for option in command.params for name in option.opts} | {"--help"}
    own = rest[: rest.index("--")] if "--" in rest else rest
    named = {word.strip("[]").partition("=")[0] for word in own}
    assert {word for word in named if word.startswith("--")} <= options


def test_the_pages_show_some() -> None:
    assert len(on_pages(blocks)) >= 40
    assert len(on_pages(inline)) >= 40
