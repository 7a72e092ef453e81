"""The catalogue: the works that are registered, and how each is recognised."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.copyright.fingerprint import Fingerprint
from quorum.errors import ConfigurationError
from quorum.messages import Identifier, Seconds, digest

__all__ = ["Catalogue", "Work", "load_catalogue"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _ExactFingerprint(_Value):
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    streams: tuple[Annotated[str, Field(pattern="^[0-9a-f]{64}$")], ...] = ()
    duration: Seconds = 0.0


class Work(_Value):
    """A registered reference work."""

    id: Identifier
    title: str
    owner: str
    #: Under which terms the work itself is published, as an SPDX identifier or in words.
    licence: str = ""
    fingerprint: _ExactFingerprint

    @classmethod
    def of(cls, id: str, title: str, owner: str, licence: str, found: Fingerprint) -> Work:  # noqa: A002
        """A work from the fingerprint of its media."""
        return cls(
            id=id,
            title=title,
            owner=owner,
            licence=licence,
            fingerprint=_ExactFingerprint(
                digest=found.digest, streams=found.streams, duration=found.duration
            ),
        )


class _CatalogueFile(_Value):
    format: Annotated[int, Field(ge=1, le=1)]
    works: tuple[Work, ...]


class Catalogue:
    """Works, found by the exact digests of their media.

    Attributes:
        works: All works by their identifier.
        version: A digest of the content: the same works give the same version.
    """

    def __init__(self, works: Iterable[Work]) -> None:
        self.works: Mapping[str, Work] = {work.id: work for work in works}
        content = (self.works[key].model_dump_json() for key in sorted(self.works))
        self.version = digest(*content)[:12]
        self._by_digest: dict[str, list[str]] = {}
        for work in self.works.values():
            found = work.fingerprint
            for each in {found.digest, *found.streams}:
                self._by_digest.setdefault(each, []).append(work.id)

    def find(self, found: Fingerprint) -> tuple[Work, ...]:
        """The works that share coded content with some media, in the order of their ids."""
        ids = {work for each in found.digests() for work in self._by_digest.get(each, ())}
        return tuple(self.works[work] for work in sorted(ids))

    def save(self, path: Path) -> None:
        """Write the catalogue as JSON."""
        works = [work.model_dump(mode="json") for _, work in sorted(self.works.items())]
        text = json.dumps({"format": 1, "works": works}, indent=1, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")


def load_catalogue(path: str | Path | None = None) -> Catalogue:
    """Read a catalogue.

    Args:
        path: The JSON file; None for the small one that ships.

    Raises:
        ConfigurationError: If the file cannot be read or is no catalogue; the text says where.
    """
    file = Path(path) if path else _shipped()
    try:
        data = _CatalogueFile.model_validate_json(file.read_bytes())
    except OSError as error:
        msg = f"cannot read the catalogue {file}: {error.strerror or error}"
        raise ConfigurationError(msg) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        msg = f"{file} is no catalogue: {f'{where}: ' if where else ''}{first['msg']}"
        raise ConfigurationError(msg) from None
    seen: set[str] = set()
    for work in data.works:
        if work.id in seen:
            msg = f"{file}: the work {work.id} is there twice; give each work its own id"
            raise ConfigurationError(msg)
        seen.add(work.id)
    return Catalogue(data.works)


def _shipped() -> Path:
    return Path(str(resources.files("models.copyright") / "artifact" / "catalogue.json"))
