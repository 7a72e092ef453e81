"""``quorum policy init``: a copy of a shipped policy, with its golden cases."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from quorum.aggregator.policy.policy import Policy, load_policy, shipped_policies
from quorum.aggregator.study.golden import load_golden, read_golden, run_golden
from quorum.apps.cli.policy_json import AsJson, print_json
from quorum.core.errors import ConfigurationError, InputError

__all__ = ["init"]


def init(
    name: Annotated[str, typer.Argument(help="The shipped policy to start from.")] = "balanced",
    folder: Annotated[Path, typer.Option(help="Where to write both files.")] = Path(),
    called: Annotated[
        str | None,
        typer.Option("--as", help="The name of your policy and its files (default: mine)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy a shipped policy with its golden cases, as a start for your own.

    Writes MINE.yaml and MINE.cases.yaml, and overwrites nothing.

    Example: quorum policy init balanced --as mine
    """
    if name not in shipped_policies():
        load_policy(name)
        msg = f"{name} is a file; a copy is made of one of {', '.join(shipped_policies())}"
        raise InputError(msg)
    mine = called or "mine"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}", mine) or mine in shipped_policies():
        msg = f"`{mine}` cannot name a policy of yours; write letters, digits, - and _, as mine"
        raise InputError(msg)
    shipped = resources.files("quorum.aggregator.policy").joinpath("shipped")
    text = re.sub(r"(?m)^name: .*$", f"name: {mine}", load_policy(name).text, count=1)
    cases = shipped.joinpath(f"{name}.cases.yaml").read_text(encoding="utf-8")
    policy = Policy.from_text(text, f"{mine}.yaml")
    files = {folder / f"{mine}.yaml": text, folder / f"{mine}.cases.yaml": cases}
    for file in files:
        if file.exists() or file.is_symlink():
            msg = f"{file} is there already; choose another name with --as, or move it away"
            raise ConfigurationError(msg)
    for file, content in files.items():
        _write(file, content)
    results = run_golden(policy, load_golden(policy, folder / f"{mine}.cases.yaml"))
    held = sum(not result.wrong for result in results)
    if as_json:
        print_json(
            {
                "version": policy.version,
                "files": [str(file) for file in files],
                "cases": len(read_golden(policy, cases)),
            }
        )
        return
    for file in files:
        typer.echo(f"wrote {file}")
    typer.echo(
        f"{policy.version}, a copy of {name}: {held} of {len(results)} cases are as expected"
    )
    typer.echo(f"edit it, then: quorum policy check {next(iter(files))}")


def _write(file: Path, content: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(content)
    except OSError as error:
        msg = f"cannot write {file}: {error.strerror or error}"
        raise ConfigurationError(msg) from None
