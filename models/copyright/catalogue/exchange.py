"""Read and write works as a JSON file, which can also serve as a catalogue."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from quorum.core.errors import ConfigurationError, InputError, QuorumError
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.catalogue.works import Work, WorkPrint

__all__ = ["load_catalogue", "read_works", "write_works"]

_FORMAT = 2


def load_catalogue(path: str | Path | None = None, database: str | None = None) -> Catalogue:
    """Open a catalogue for searching.

    Args:
        path: A catalogue's folder or JSON file; None for the shipped example, or, with a
            database, for an index in memory.
        database: URL of the ledger's database, or ``ledger``, if the works are stored there.

    Raises:
        ConfigurationError: If it cannot be read or is malformed; the message names the place.
        EngineUnavailable: If the database cannot be reached.
    """
    if database is not None:
        folder = Path(path) if path else None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        return Catalogue(folder, database, read_only=True)
    file = Path(path) if path else _shipped()
    if file.is_dir():
        return Catalogue(file, read_only=True)
    made = Catalogue()
    try:
        made.add_all(list(read_works(file)))
    except OSError as error:
        msg = f"cannot read the catalogue {file}: {error.strerror or error}"
        raise ConfigurationError(msg) from None
    except InputError as error:
        raise ConfigurationError(str(error)) from None
    made.refresh()
    return made


def _shipped() -> Path:
    return Path(str(resources.files("quorum.models.copyright") / "artifact" / "catalogue.json"))


def write_works(path: Path, works: Iterable[tuple[Work, WorkPrint]]) -> int:
    """Write works to a JSON file, which can serve as a catalogue.

    Returns:
        The number of works.
    """
    records = [
        {
            **work.model_dump(mode="json", exclude_defaults=True),
            "fingerprint": base64.b64encode(found.to_bytes()).decode(),
        }
        for work, found in works
    ]
    lines = ",\n".join(json.dumps(each, ensure_ascii=False) for each in records)
    path.write_text(f'{{"format": {_FORMAT}, "works": [\n{lines}\n]}}\n', encoding="utf-8")
    return len(records)


def read_works(path: Path) -> Iterator[tuple[Work, WorkPrint]]:
    """Read a file written by ``write_works``.

    Raises:
        OSError: If the file cannot be read.
        InputError: If it is malformed; the message names the place.
    """
    try:
        data: Any = json.loads(path.read_bytes())
        works, known = data["works"], data["format"]
    except (ValueError, KeyError, TypeError):
        msg = f"{path} is not a catalogue: neither a folder nor JSON with a format and works"
        raise InputError(msg) from None
    if known != _FORMAT:
        msg = f"{path} is not a catalogue of format {_FORMAT}; export it again with this version"
        raise InputError(msg)
    for index, each in enumerate(works):
        try:
            facts = dict(each)
            found = WorkPrint.from_bytes(base64.b64decode(facts.pop("fingerprint"), validate=True))
            yield Work.model_validate(facts), found
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            msg = f"{path}: works.{index}.{where}: {first['msg']}"
            raise InputError(msg) from None
        except (KeyError, TypeError, ValueError, QuorumError) as error:
            msg = f"{path}: works.{index}.fingerprint: {error}"
            raise InputError(msg) from None
