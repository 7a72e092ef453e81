"""Users' names compared as people read them: without regard to case, width and composition."""

from __future__ import annotations

import unicodedata

__all__ = ["folded"]


def folded(name: str) -> str:
    """Return a name as it is compared: NFKC of the case-folded NFKC (Unicode 3.13, D146)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
