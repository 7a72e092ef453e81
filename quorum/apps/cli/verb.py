"""What each verb of the command line is made of."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

__all__ = ["Group", "verb"]

#: Longer than any first sentence.
_WHOLE = 1000


class Group(TyperGroup):
    """Commands whose first sentences are shown whole; by default the line's end cuts them."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """See Click."""
        listed = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one.get_short_help_str(_WHOLE)) for name, one in listed if one]
            )


def verb(about: str = "") -> typer.Typer:
    """Make a verb, with plain help and errors; completion is installed at the root.

    Args:
        about: What its commands are about; empty for a verb that is one command.
    """
    shown: dict[str, Any] = {"help": about, "no_args_is_help": True} if about else {}
    return typer.Typer(
        **shown,
        cls=Group,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
