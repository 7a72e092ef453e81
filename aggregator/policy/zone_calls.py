"""The calls of a condition that name a time zone, checked when the policy is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from quorum.aggregator.policy.expression_limits import Tokens, error_at
from quorum.aggregator.policy.zones import PARTS, ZONED_PREFIX, zone, zone_names

__all__ = ["zoned_calls"]


def zoned_calls(
    source: str, solid: Tokens, suggest: Callable[[str, frozenset[str]], str]
) -> Iterator[tuple[int, int, str]]:
    """The calls with a time zone in a condition, to be renamed to functions of ``zones``.

    Args:
        source: The condition.
        solid: Its tokens without white space.
        suggest: Gives ``; did you mean ...?`` for a name among known ones.

    Yields:
        Where the name of the function begins and ends in the source, and the name to put there.

    Raises:
        ExpressionError: If the zone is not written out, or is none.
    """
    for index, (kind, text, at) in enumerate(solid):
        if kind != "word" or text not in PARTS or not index or solid[index - 1][1] != ".":
            continue
        rest = [one for _, one, _ in solid[index + 1 : index + 4]]
        if rest[:1] != ["("] or rest[1:2] == [")"]:
            continue
        example = f'{text}("Europe/Berlin")'
        if len(rest) < 3 or solid[index + 2][0] != "string" or rest[2] != ")":
            raise error_at(source, at, f"`{text}` takes a time zone in quotes, as {example}")
        written, spot = rest[1], solid[index + 2][2]
        name = written[1:-1]
        if written[0] not in "\"'" or "\\" in name:
            raise error_at(source, spot, f"`{text}` takes a plain name in quotes, as {example}")
        yield at, at + len(text), _checked(source, spot, name, text, suggest)


def _checked(
    source: str, at: int, name: str, part: str, suggest: Callable[[str, frozenset[str]], str]
) -> str:
    try:
        zone(name)
    except ValueError:
        help_text = suggest(name, zone_names()) or "; write it as Europe/Berlin, or as +02:00"
        raise error_at(source, at, f"`{name}` is no time zone{help_text}") from None
    return f"{ZONED_PREFIX}{part}"
