"""Works in a file of our own: JSON, which can be a catalogue by itself."""

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
    """Open a catalogue to be searched.

    Args:
        path: A catalogue's folder or JSON file; None for the small one that ships, or, with a
            database, to hold the index in memory.
        database: The URL of the ledger's database, or ``ledger``, where the works lie there.

    Raises:
        ConfigurationError: If it cannot be read or is no catalogue; the text says where.
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
    """Write works as one JSON file, which can be a catalogue by itself.

    Returns:
        How many.
    """
    told = [
        {
            **work.model_dump(mode="json", exclude_defaults=True),
            "fingerprint": base64.b64encode(found.to_bytes()).decode(),
        }
        for work, found in works
    ]
    lines = ",\n".join(json.dumps(each, ensure_ascii=False) for each in told)
    path.write_text(f'{{"format": {_FORMAT}, "works": [\n{lines}\n]}}\n', encoding="utf-8")
    return len(told)


def read_works(path: Path) -> Iterator[tuple[Work, WorkPrint]]:
    """Read what ``write_works`` wrote.

    Raises:
        OSError: If the file cannot be read.
        InputError: If it is something else; the text says where.
    """
    try:
        data: Any = json.loads(path.read_bytes())
        works, known = data["works"], data["format"]
    except (ValueError, KeyError, TypeError):
        msg = f"{path} is no catalogue: neither a folder nor JSON with a format and works"
        raise InputError(msg) from None
    if known != _FORMAT:
        msg = f"{path} is no catalogue of format {_FORMAT}; export it again with this Quorum"
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
