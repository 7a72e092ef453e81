"""Listed hashes: their kinds and values, and how the files of lists are read.

A file has one hash in each line: ``kind:value``, or CSV with a header that names ``kind`` and
``value``, and may name ``category`` and ``reference``. 64 digits may be SHA-256 or PDQ, so that the
kind is always named.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from quorum.core.child_safety_settings import HashCategory
from quorum.core.errors import ConfigurationError, InputError

__all__ = ["KINDS", "Kind", "Listed", "hash_of", "read_list"]

Kind = Literal["sha256", "sha1", "md5", "pdq"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

#: Hexadecimal digits of each kind.
_DIGITS: Final[Mapping[Kind, int]] = {"sha256": 64, "sha1": 40, "md5": 32, "pdq": 64}
_HEX: Final = re.compile(r"[0-9a-f]+")
_COLUMNS: Final = ("kind", "value", "category", "reference")


@dataclass(frozen=True, slots=True)
class Listed:
    """A hash that somebody lists.

    Attributes:
        kind: How it is computed.
        value: In hexadecimal, lower case.
        category: What it shows.
        source: The exchange or list.
        reference: The source's own name of the entry; empty if it has none.
    """

    kind: Kind
    value: str
    category: HashCategory = "csam"
    source: str = ""
    reference: str = ""

    @property
    def name(self) -> str:
        """What evidence and the flood guard call it, such as ``md5:0cc1…``."""
        return f"{self.kind}:{self.value}"


def hash_of(kind: str, value: str) -> tuple[Kind, str]:
    """The kind and the value of a hash, checked.

    Raises:
        InputError: If there is no such kind, or the value has another length or other digits.
    """
    found = next((one for one in KINDS if one == kind.strip().lower()), None)
    if found is None:
        msg = f"{kind.strip()[:20]!r} is no kind of hash: there are {', '.join(KINDS)}"
        raise InputError(msg)
    plain = value.strip().lower()
    if len(plain) != _DIGITS[found] or not _HEX.fullmatch(plain):
        msg = f"a {found} has {_DIGITS[found]} hexadecimal digits, not {value.strip()[:80]!r}"
        raise InputError(msg)
    return found, plain


def read_list(
    path: Path, category: HashCategory = "csam", source: str | None = None
) -> Iterator[Listed]:
    """Read the file of a list.

    Args:
        path: The file.
        category: What its hashes show, where a line does not say.
        source: What the list is called; by default the file's name.

    Raises:
        ConfigurationError: If it cannot be read, or a line is no hash; the text names the line
            and the mend.
    """
    name = source or path.stem
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        msg = f"cannot read the hash list {path}: {error.strerror or error}"
        raise ConfigurationError(msg) from None
    except UnicodeDecodeError:
        msg = f"{path} is not a hash list: not text"
        raise ConfigurationError(msg) from None
    lines = text.splitlines()
    header = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    columns = [one.strip().lower() for one in header.split(",")]
    table = columns if {"kind", "value"} <= set(columns) else None
    if table is not None and (unknown := set(table) - set(_COLUMNS)):
        msg = f"{path}: unknown column {min(unknown)}; there are {', '.join(_COLUMNS)}"
        raise ConfigurationError(msg)
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#") or (table is not None and line == header):
            continue
        try:
            yield _of_line(line, table, category, name)
        except InputError as error:
            msg = f"{path}:{number}: {error}; write kind:value, such as md5:0cc175b9c0f1b6a8…"
            raise ConfigurationError(msg) from None


def _of_line(line: str, table: list[str] | None, category: HashCategory, source: str) -> Listed:
    if table is None:
        kind, _, value = line.partition(":")
        return Listed(*hash_of(kind, value), category, source)
    row = dict(zip(table, next(csv.reader([line])), strict=False))
    kind, value = hash_of(row.get("kind", ""), row.get("value", ""))
    given = row.get("category", "").strip() or category
    shown = next((one for one in get_args(HashCategory) if one == given), None)
    if shown is None:
        msg = f"{given[:40]!r} is no category: there are {', '.join(get_args(HashCategory))}"
        raise InputError(msg)
    return Listed(kind, value, shown, source, row.get("reference", "").strip()[:256])
