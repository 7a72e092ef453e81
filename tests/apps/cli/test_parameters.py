"""Dataclasses as parameters: their fields are the options of a command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from quorum.apps.cli.parameters import expanded

app = typer.Typer()
given: list[object] = []


@dataclass(frozen=True)
class Where:
    host: Annotated[str, typer.Option(help="Of the server.")]
    port: Annotated[int, typer.Option(min=1)] = 80


@dataclass(frozen=True)
class Elsewhere(Where):
    port: Annotated[int, typer.Option(min=1)] = 81
    names: Annotated[list[str] | None, typer.Option("--name")] = None


@app.command()
@expanded
def show(file: Annotated[str, typer.Argument()], at: Elsewhere, loud: bool = False) -> None:
    """Show it."""
    given.append((file, at, loud))


def test_fields_become_options_and_come_back_as_the_dataclass() -> None:
    done = CliRunner().invoke(app, ["f", "--host", "h", "--name", "a", "--name", "b", "--loud"])
    assert done.exit_code == 0, done.output
    assert given.pop() == ("f", Elsewhere("h", 81, ["a", "b"]), True)


def test_a_field_without_a_default_is_required_and_its_limits_hold() -> None:
    assert CliRunner().invoke(app, ["f"]).exit_code == 2
    assert CliRunner().invoke(app, ["f", "--host", "h", "--port", "0"]).exit_code == 2
    assert not given


def test_the_help_is_the_commands_and_the_fields() -> None:
    told = CliRunner().invoke(app, ["--help"], terminal_width=120).output
    assert "Show it." in told
    assert "Of the server." in told
