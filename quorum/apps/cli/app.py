"""The tree of commands."""

from __future__ import annotations

import importlib
from typing import Any

import typer

from quorum import __version__
from quorum.apps.cli.verb import Group, verb

__all__ = ["app"]

#: Each verb, which is a module of this package, and its line in the help with an example.
_VERBS: dict[str, str] = {
    "demo": "Watch shipped uploads become verdicts.  [quorum demo]",
    "stream": "Uploads in, verdicts out, in one job.  [quorum stream --uploads in.jsonl "
    "--verdicts out.jsonl --dead-letters dead.jsonl]",
    "detect": "The first half: uploads to predictions.  [quorum detect --uploads SUB "
    "--predictions TOPIC --dead-letters TOPIC]",
    "decide": "The second half: predictions to verdicts.  [quorum decide --uploads SUB "
    "--predictions SUB --verdicts TOPIC --dead-letters TOPIC]",
    "worker-pool": "Run a job's code beside a TaskManager of Flink.  [quorum worker-pool]",
    "jobs": "List, show, stop, upgrade and restore jobs on a cluster.  [quorum jobs list "
    "--flink-master HOST:8081]",
    "topics": "Create the Pub/Sub topics and subscriptions.  [quorum topics create --project P]",
    "keys": "Make keys that sign messages.  [quorum keys new PUBLISHER]",
    "moderate": "The verdicts of a file, in this process.  [quorum moderate uploads.jsonl]",
    "batch": "Moderate a table or files, in windows.  [quorum batch]",
    "serve": "One upload in, one verdict out, over HTTP.  [quorum serve]",
    "console": "The reviewers' console.  [quorum console --database sqlite:///quorum.db]",
    "alerts": "Tell people when rates leave their weekly pattern.  [quorum alerts check]",
    "audit": "Check the console's audit log.  [quorum audit verify]",
    "policy": "Check, explain, test, compare and tune policies.  [quorum policy check]",
    "models": "List, train, evaluate and compare models.  [quorum models list]",
    "catalogue": "Register and search reference works.  [quorum catalogue list]",
    "record": "Record the streams in the ledger.  [quorum record --verdicts SUB]",
    "replay": "Decide past cases again and publish the changes.  [quorum replay --help]",
    "ledger": "Create and maintain the ledger.  [quorum ledger init]",
    "notices": "List, show and export legal notices with their clocks.  [quorum notices list]",
    "sealed": "List, report and export child-abuse cases.  [quorum sealed list]",
    "hashes": "Import, pull, deny and check listed hashes.  [quorum hashes list]",
    "schemas": "Write the messages' JSON Schemas.  [quorum schemas]",
    "doctor": "Say what this machine lacks, and what then does not work.  [quorum doctor]",
    "health": "Check whether a job on this machine is alive.  [quorum health]",
}


class _Lazy(Group):
    def list_commands(self, ctx: Any) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _VERBS:
            return None
        if ctx.resilient_parsing or _only_help(ctx):
            return _help_stub(_VERBS[cmd_name])
        return _load(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        ctx.meta["quorum.verb"] = args[0] if args else None
        # What a misspelt verb is compared with.
        self.commands = {name: _help_stub(line) for name, line in _VERBS.items()}
        return super().resolve_command(ctx, args)


def _help_stub(line: str) -> Any:
    stub = verb()
    stub.command(help=line, short_help=line)(lambda: None)
    return typer.main.get_command(stub)


def _load(name: str) -> Any:
    found = importlib.import_module(f"quorum.apps.cli.{name.replace('-', '_')}")
    if not hasattr(found, "app"):
        made = verb()
        made.command()(getattr(found, name))
        return typer.main.get_command(made)
    return typer.main.get_command(found.app)


def _only_help(ctx: Any) -> bool:
    return "quorum.verb" not in ctx.meta


app = typer.Typer(
    cls=_Lazy,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Content moderation as an ensemble on a stream: uploads in, explained verdicts out.",
    epilog="Exit codes: 0 done, 1 failure, 2 bad usage, 65 bad input, 69 an engine is "
    "unavailable, 78 bad configuration.",
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"quorum {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Content moderation as an ensemble on a stream: uploads in, explained verdicts out."""
