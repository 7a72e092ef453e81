"""The digest of an upload's content, by which an edit differs from a duplicate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from quorum.core.messages.fields import digest

__all__ = ["NOT_CONTENT", "content_digest"]

#: What names an upload and its event, and is not content: another value of these is no edit.
NOT_CONTENT: Final = frozenset({"id", "uploader", "published_at"})

#: Whole numbers up to here have the same JSON whether they were written as 1 or as 1.0.
_EXACT: Final = 2**53


def content_digest(fields: Mapping[str, Any]) -> str:
    """The digest of content: 32 hexadecimal digits, the same in every version.

    It is taken of canonical JSON: names sorted, no white space, characters outside ASCII escaped,
    whole numbers without a fraction. So neither the order of names nor the way in which a producer
    writes numbers and characters makes an edit; the order of lists does.

    Args:
        fields: The JSON values of an upload's content. Fields with their default are left out, so
            that a field that a later version adds does not change the digest of older uploads.
    """
    text = json.dumps(_canonical(fields), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return digest("content", text)


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    if isinstance(value, Mapping):
        return {name: _canonical(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(one) for one in value]
    return value
