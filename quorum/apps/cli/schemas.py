"""``quorum schemas``: write the JSON Schemas of messages and policies, or check them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from quorum.aggregator.policy.text import policy_schema
from quorum.core.messages import MESSAGES, schema

__all__ = ["generated", "schemas", "stale"]


def generated() -> dict[str, str]:
    """The text of each schema file, by its name."""
    made = {message.kind: schema(message) for message in MESSAGES} | {"policy": policy_schema()}
    return {
        f"{name}.schema.json": json.dumps(each, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        for name, each in made.items()
    }


def stale(folder: Path) -> list[Path]:
    """The files of ``folder`` that are absent, differ from what the code says, or are strays."""
    made = generated()
    wrong = [folder / name for name, text in made.items() if not _says(folder / name, text)]
    strays = [file for file in folder.glob("*.schema.json") if file.name not in made]
    return sorted(wrong + strays)


def _says(file: Path, text: str) -> bool:
    try:
        return bool(json.loads(file.read_text(encoding="utf-8")) == json.loads(text))
    except (OSError, ValueError):
        return False


def schemas(
    folder: Annotated[Path, typer.Option(help="Where the schema files lie.")] = Path(
        "docs/schemas"
    ),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 and name the stale files.")
    ] = False,
) -> None:
    """Write the JSON Schema of each message, and of the policy.

    Example: quorum schemas --check
    """
    if check:
        wrong = stale(folder)
        for file in wrong:
            typer.echo(f"{file} is not what the code says; run: quorum schemas", err=True)
        if wrong:
            raise typer.Exit(1)
        typer.echo(f"{len(generated())} schemas in {folder} are current")
        return
    folder.mkdir(parents=True, exist_ok=True)
    for file in stale(folder):
        text = generated().get(file.name)
        if text is None:
            file.unlink()
            typer.echo(f"removed {file}")
        else:
            file.write_text(text, encoding="utf-8")
            typer.echo(f"wrote {file}")
