"""``quorum keys``: make keys that sign messages on the streams."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quorum.apps.cli.verb import verb
from quorum.core.identity import SigningKey
from quorum.core.messages import now
from quorum.core.private_files import write_secret

__all__ = ["app"]

app = verb("Keys that sign messages on the streams (docs/security.md).")


@app.callback()
def _keys() -> None:
    pass


@app.command()
def new(
    publisher: Annotated[str, typer.Argument(help="The publisher's name, as in the settings.")],
    key_id: Annotated[
        str | None, typer.Option("--id", help="The key's name (default: k and the date).")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            help="New file for the private key, readable by its owner only; without it, "
            "the key is printed."
        ),
    ] = None,
) -> None:
    """Make a key pair: the private key for the publisher, the public one for the settings.

    \b
    quorum keys new quorum --to quorum.key
    QUORUM_SIGNING_KEY_FILE=quorum.key quorum stream …
    """
    key = SigningKey.new(publisher, key_id or f"k{now():%Y%m%d}")
    if to is None:
        typer.echo("the private key, which is stored nowhere, for QUORUM_SIGNING_KEY:", err=True)
        typer.echo(key.text)
    else:
        write_secret(to, key.text)
        typer.echo(f"wrote the private key to {to}, for QUORUM_SIGNING_KEY_FILE", err=True)
    typer.echo("add to the settings of those who verify, with the streams that it may publish to:")
    typer.echo(f"publishers:\n  {publisher}:\n    keys:\n      {key.id}: {{public: {key.public}}}")
