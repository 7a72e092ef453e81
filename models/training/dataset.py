"""Read labelled uploads from a user's own files: a CSV, JSON lines, or a folder of these.

A table is in UTF-8, or in UTF-16 with its mark, and parted by commas, semicolons or tabs, as
spreadsheets write it.

Columns (in capitals or not; the first name that is there counts; others are ignored):

============ =================================================================================
label        ``label``, ``CLASS``, ``class``, ``V``, ``fight``: 1, true or yes for the harm
text         ``text``, ``CONTENT``, ``prompt``, or an upload's own ``title``, ``description``
field        ``field``: where the text stands in an upload, which detectors judge differently:
             ``title`` (the default), ``description``, ``comment`` or ``tags``
media        ``media`` (an address) or ``file`` (relative to the file that names it)
source       ``source``: examples of one source never stand on both sides of a split; by default
             the name of the file where a folder holds several
kind         ``kind``: any word; figures and the worst mistakes are told by it
language, id as an upload has them
============ =================================================================================
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from quorum.core.errors import InputError
from quorum.core.messages import Upload
from quorum.models.registry.artifacts import TrainingData, digest_of_file
from quorum.models.registry.seen_rows import SeenRows

__all__ = ["Labelled", "read_labelled"]

_LABEL = ("label", "CLASS", "class", "V", "fight")
_TEXT = ("text", "CONTENT", "prompt", "title")
_FIELDS = ("title", "description", "comment", "tags")
_TRUE = {"1", "1.0", "true", "yes", "y"}
_FALSE = {"0", "0.0", "false", "no", "n"}
_TABLES = (".csv", ".tsv")
_SUFFIXES = (*_TABLES, ".jsonl", ".ndjson")
_NAMES = (
    *_LABEL,
    *_TEXT,
    *_FIELDS,
    *("field", "media", "file", "source", "kind", "language", "id"),
)
_BY_LOWER = {name.lower(): name for name in reversed(_NAMES)}
_SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Labelled:
    """Labelled uploads.

    Attributes:
        uploads: In the order of the files.
        labels: 1 for the harm, shape (n,).
        sources: Where each comes from.
        origin: What they are, with their digest.
        folders: Folders that their media may be read from.
        kinds: What kind of example each is; empty where nothing names one.
    """

    uploads: list[Upload]
    labels: NDArray[np.int64]
    sources: list[str]
    origin: TrainingData
    folders: tuple[str, ...]
    kinds: tuple[str, ...] = ()


def read_labelled(path: Path) -> Labelled:
    """Read a file, or all files of a folder in the order of their names.

    Raises:
        InputError: If nothing is there, a column is lacking, or a row cannot be read; the text
            names the file and the line.
    """
    if path.is_dir():
        files = sorted(one for one in path.iterdir() if one.suffix.lower() in _SUFFIXES)
    else:
        files = [path] if path.is_file() else []
    if not files:
        msg = f"no data at {path}: name a CSV, a JSON lines file, or a folder of these"
        raise InputError(msg)
    uploads: list[Upload] = []
    labels: list[int] = []
    sources: list[str] = []
    kinds: list[str] = []
    sha = hashlib.sha256()
    for file in files:
        sha.update(digest_of_file(file).encode())
        for line, row in _rows(file):
            labels.append(_label(row, file, line))
            uploads.append(_upload(row, file, line))
            sources.append(str(row.get("source") or file.stem))
            kinds.append(str(row.get("kind") or ""))
    if not 0 < sum(labels) < len(labels):
        msg = f"{path} holds {len(labels)} examples, {sum(labels)} with the harm; both kinds needed"
        raise InputError(msg)
    digest = sha.hexdigest()
    seen = SeenRows.of(uploads, digest[:16])
    origin = TrainingData(path.name, "the user's own", len(labels), digest, seen)
    folders = tuple(sorted({str(file.parent.resolve()) for file in files}))
    named = tuple(kinds) if any(kinds) else ()
    return Labelled(uploads, np.array(labels, dtype=np.int64), sources, origin, folders, named)


def _rows(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    csv.field_size_limit(min(sys.maxsize, 16 * 1024 * 1024))
    with file.open("rb") as opened:
        wide = opened.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    line = 0
    try:
        with file.open(encoding="utf-16" if wide else "utf-8-sig", newline="") as opened:
            if file.suffix.lower() in _TABLES:
                head = opened.readline()
                opened.seek(0)
                reader = csv.DictReader(opened, delimiter=_delimiter(head))
                reader.fieldnames = [_named(name) for name in reader.fieldnames or ()]
                for row in reader:
                    yield reader.line_num, row
                return
            for line, text in enumerate(opened, 1):
                if text.strip():
                    row = json.loads(text)
                    if not isinstance(row, dict):
                        msg = f"{file}:{line}: not a JSON object"
                        raise InputError(msg)
                    yield line, {_named(name): value for name, value in row.items()}
    except UnicodeDecodeError as error:
        msg = f"{file} cannot be read as UTF-8 ({error.reason}): save or convert (iconv) it so"
        raise InputError(msg) from None
    except json.JSONDecodeError as error:
        msg = f"{file}:{line}: no JSON: {error.msg}"
        raise InputError(msg) from None
    except (csv.Error, ValueError) as error:
        msg = f"{file} cannot be read: {error}"
        raise InputError(msg) from None


def _delimiter(head: str) -> str:
    """What parts the columns of a table, by the line of their names."""
    found = {mark: {_named(name) for name in head.split(mark)} for mark in ",;\t"}
    return max(found, key=lambda mark: len(found[mark] & set(_NAMES)))


def _named(column: str) -> str:
    """The name of a column, as it is written here."""
    bare = column.strip().strip('"').strip()
    return bare if bare in _NAMES else _BY_LOWER.get(bare.lower(), bare)


def _label(row: Mapping[str, Any], file: Path, line: int) -> int:
    name = next((one for one in _LABEL if row.get(one) is not None), None)
    if name is None:
        short = next((one for one in _LABEL if one in row), None)
        msg = f"{file}:{line}: no column {' or '.join(_LABEL)}"
        if short:
            msg = f"{file}:{line}: the row has no {short}"
        raise InputError(msg)
    value = str(row[name]).strip().lower()
    if value not in _TRUE | _FALSE:
        msg = f"{file}:{line}: the {name} is {value[:20]!r}; it must be 1 or 0"
        raise InputError(msg)
    return int(value in _TRUE)


def _upload(row: Mapping[str, Any], file: Path, line: int) -> Upload:
    text = next((str(row[one]) for one in _TEXT if row.get(one)), "")
    media = row.get("media")
    if row.get("file"):
        media = (file.parent.resolve() / str(row["file"])).as_uri()
    if not text and not media:
        # An empty comment is an example, too; a table without any known column is a mistake.
        known = {*_TEXT, "media", "file"}
        if not known & row.keys():
            msg = f"{file}:{line}: no column {' or '.join(sorted(known))}"
            raise InputError(msg)
    place = str(row.get("field") or "title").strip().lower()
    if place not in _FIELDS:
        msg = f"{file}:{line}: the field is {place[:20]!r}; it must be {', '.join(_FIELDS)}"
        raise InputError(msg)
    described = str(row.get("description") or "")
    try:
        return Upload(
            id=str(row.get("id") or f"{file.stem}-{line}"),
            uploader="dataset",
            title=text if place == "title" else "",
            description=text if place == "description" else described,
            comments=(text,) if place == "comment" and text else (),
            tags=(text,) if place == "tags" and text else (),
            language=str(row["language"]) if row.get("language") else None,
            media=str(media) if media else None,
            published_at=_SOME_TIME,
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        msg = f"{file}:{line}: {first['loc'][0]}: {first['msg']}"
        raise InputError(msg) from None
