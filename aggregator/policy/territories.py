"""Groups of territories that a policy's rules may name: ``EU``, ``EEA`` and the policy's own.

``EU`` and ``EEA`` are as of 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from quorum.core.territories import TERRITORIES, why_no_territory

__all__ = ["EEA", "GROUPS", "expand", "wrong_territory"]

_EU: Final = (
    *("AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IT"),
    *("LV", "LT", "LU", "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE"),
)
#: The European Economic Area: the Union with Iceland, Liechtenstein and Norway.
EEA: Final[tuple[str, ...]] = (*_EU, "IS", "LI", "NO")

#: The groups that every policy may name.
GROUPS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({"EU": _EU, "EEA": EEA})


def expand(written: Iterable[str], groups: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The countries of a list of codes and groups, each once; the codes alone stay as they are.

    Args:
        written: Codes and names of groups; a name that is neither is kept.
        groups: The countries of each group.
    """
    names = tuple(written)
    if not any(name in groups for name in names):
        return names
    return tuple(dict.fromkeys(code for name in names for code in groups.get(name, (name,))))


def wrong_territory(
    name: str, groups: Iterable[str], suggest: Callable[[str, Iterable[str]], str]
) -> str | None:
    """Why a name is no country and no group, with its mend; None where it is one.

    Args:
        name: As written in a policy.
        groups: The names of groups.
        suggest: Gives ``; did you mean ...?`` for a name among known ones.
    """
    named = list(groups)
    if name in TERRITORIES or name in named:
        return None
    help_text = suggest(name, named)
    if len(name) == 2 and not help_text:
        return why_no_territory(name).replace("must be", f"{name} must be")
    return f"`{name}` is no country or group{help_text or '; define it under `groups`'}"
