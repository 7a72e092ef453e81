"""Sources of ``quorum catalogue``: media, hash lists, folders and tables of works."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from quorum.core.errors import InputError
from quorum.core.messages import Action
from quorum.core.territories import why_no_territory
from quorum.models.copyright.catalogue.exchange import read_works
from quorum.models.copyright.catalogue.hash_lists import read_hashes
from quorum.models.copyright.catalogue.works import OwnerRule, Work, WorkPrint
from quorum.models.features.decoders import fingerprint_apart
from quorum.models.fingerprint.fingerprint import WORK_RATE

__all__ = ["print_of", "sources", "work_of"]

#: Media suffixes that ``import`` takes from a folder.
_MEDIA = {".mp4", ".mkv", ".mov", ".webm", ".avi", ".mp3", ".ogg", ".wav", ".flac", ".m4a", ".ts"}
_LISTS = {".txt", ".vpdq", ".pdq"}

#: CSV columns with several values, separated by spaces.
_LISTED = ("territories", "exceptions")


def print_of(path: Path) -> tuple[WorkPrint, tuple[str, ...]]:
    """Fingerprint of a work's media or hash list, and notices about missing parts."""
    if path.suffix.lower() in _LISTS:
        try:
            return read_hashes(path), ()
        except OSError as error:
            msg = f"cannot read {path}: {error.strerror or error}"
            raise InputError(msg) from None
    found = fingerprint_apart(path, WORK_RATE)
    return WorkPrint.of(found), found.notices


def work_of(facts: dict[str, Any], where: str) -> Work:
    """Validate metadata entered by a person."""
    try:
        work = Work.model_validate(facts)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        msg = f"{where}: {facts.get('id', 'a work')}: {field}: {first['msg']}"
        raise InputError(msg) from None
    for code in work.territories:
        if wrong := why_no_territory(code):
            msg = f"{where}: {work.id}: territories: {wrong}"
            raise InputError(msg)
    return work


def sources(
    source: Path, owner: str, action: Action
) -> Iterator[tuple[dict[str, Any], Path | WorkPrint]]:
    """Yield the works of a folder, a CSV or a JSON file: metadata, and media or fingerprint.

    Args:
        source: Folder or file.
        owner: Default rights holder.
        action: Default action on a match.

    Raises:
        InputError: If it cannot be read.
    """
    usual = {"owner": owner, "rule": OwnerRule(action=action).model_dump()}
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.suffix.lower() in _MEDIA | _LISTS:
                yield {**usual, "id": path.stem, "title": path.stem}, path
        return
    try:
        if source.suffix == ".json":
            for work, found in read_works(source):
                yield json.loads(work.model_dump_json()), found
            return
        with source.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), 2):
                yield _from_row(row, usual, source, number)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"cannot read {source}: {error}"
        raise InputError(msg) from None


def _from_row(
    row: dict[str, str], usual: dict[str, Any], source: Path, number: int
) -> tuple[dict[str, Any], Path]:
    values = {key: value.strip() for key, value in row.items() if key and value and value.strip()}
    if "file" not in values:
        msg = f"{source}:{number}: no file given; the columns are file, id, title, owner, ..."
        raise InputError(msg)
    path = source.parent / values.pop("file")
    rule = {
        **usual["rule"],
        **{
            key: values.pop(key)
            for key in ("action", "min_seconds", "min_fraction")
            if key in values
        },
    }
    facts: dict[str, Any] = {"id": path.stem, "title": path.stem, **usual, **values, "rule": rule}
    for key in _LISTED:
        if key in facts:
            facts[key] = facts[key].split()
    return facts, path
