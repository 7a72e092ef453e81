"""Languages of a comment: those of the request, and those detected."""

from __future__ import annotations

import re
from collections.abc import Sequence

from quorum.apps.web.perspective.errors import refuse

__all__ = ["checked", "chosen"]

_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}")
_SCRIPT = re.compile(r"[A-Za-z]{2,3}-[A-Za-z]{4}\b")


def checked(languages: Sequence[str]) -> tuple[str, ...]:
    """The languages of a request.

    Raises:
        Problem: If one is no BCP 47 tag.
    """
    for number, language in enumerate(languages):
        if not _TAG.fullmatch(language):
            refuse(f"languages[{number}] must be a BCP 47 tag such as en")
    return tuple(languages)


def chosen(requested: Sequence[str], detected: str | None) -> str | None:
    """The one language in which a comment is scored; None where none is known.

    That is the detected one if the request names it, else the first that the request names. A tag
    is shortened to its language, unless it names a script: what reads Hindi need not read
    ``hi-Latn``.

    Args:
        requested: The languages of the request.
        detected: The language that was detected.
    """
    tags = [
        tag.lower() if _SCRIPT.match(tag) else tag.partition("-")[0].lower() for tag in requested
    ]
    return detected if not tags or detected in tags else tags[0]
