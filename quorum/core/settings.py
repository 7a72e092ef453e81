"""What a deployment sets: detectors, the policy, and the places that media may come from.

Settings come from a YAML file (``--settings``, or ``QUORUM_SETTINGS``); each has a sane
default, so that no file is needed to start. Secrets are never in it: they come from the
environment.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from quorum.core.errors import ConfigurationError

__all__ = ["CatalogueSettings", "DetectorSettings", "MediaAccess", "Settings", "load_settings"]


_HOST = re.compile(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _host(value: str) -> str:
    value = value.lower()
    if not _HOST.fullmatch(value):
        msg = "must be a host's name alone, such as media.example.org or *.example.org"
        raise ValueError(msg)
    return value


def _bucket(value: str) -> str:
    if not value or "/" in value or ":" in value:
        msg = "must be a bucket's name alone, without gs:// and without a path"
        raise ValueError(msg)
    return value


def _defaults_if_empty(value: object) -> object:
    return {} if value is None else value


Host = Annotated[str, AfterValidator(_host)]
Bucket = Annotated[str, AfterValidator(_bucket)]
#: A limit that guards something: without an end it would guard nothing.
Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class MediaAccess(_Section):
    """Where media may be fetched from, and how much of it.

    By default nothing is fetched: a platform names its own bucket, host or folder.
    """

    #: Hosts that ``https:`` media may come from, such as ``media.example.org``; a leading
    #: ``*.`` admits subdomains. Redirects are checked again, private addresses are refused.
    hosts: tuple[Host, ...] = ()
    #: Buckets that ``gs:`` media may come from.
    buckets: tuple[Bucket, ...] = ()
    #: Folders that ``file:`` media may come from; links that lead out of them are refused.
    folders: tuple[str, ...] = ()
    #: A download is stopped when it is larger.
    max_bytes: Annotated[int, Field(gt=0)] = 512 * 1024 * 1024
    #: No more than this much of the media, in seconds, is decoded.
    max_seconds: Limit = 600.0
    #: A frame of more pixels is refused before it is decoded (8K is 33 million).
    max_pixels: Annotated[int, Field(gt=0)] = 40_000_000
    #: Seconds that one fetch may take in all.
    timeout: Limit = 20.0
    #: The most frames of one upload in which words are read, for detectors that want them; they
    #: are at least two seconds apart. 0 reads none.
    read_frames: Annotated[int, Field(ge=0, le=64)] = 6


class DetectorSettings(_Section):
    """How one detector is run."""

    #: Where its artifact comes from: ``package:``, ``file:``, ``hf:``, ``gs:``, ``mlflow:``; None
    #: for the one that ships with it.
    model: str | None = None
    #: Seconds that one batch may take before its uploads are reported as failed.
    timeout: Limit = 30.0
    #: The most uploads that it scores at once.
    max_batch: Annotated[int, Field(ge=1, le=1024)] = 32
    #: Scored and recorded, never deciding.
    shadow: bool = False


class CatalogueSettings(_Section):
    """Where the catalogue of reference works lies, if not in one folder or file."""

    #: The folder of its index files; None to hold the index in memory.
    folder: str | None = None
    #: The URL of the ledger's database, which then holds the works too; ``ledger`` for the one
    #: that ``QUORUM_DATABASE`` names. None for a SQLite file in the folder.
    database: str | None = None


class Settings(_Section):
    """All settings of a deployment."""

    #: Names of the detectors that run here; by default, all that are installed.
    detectors: (
        dict[str, Annotated[DetectorSettings, BeforeValidator(_defaults_if_empty)]] | None
    ) = None
    #: A policy's file, or the name of one that ships.
    policy: str = "balanced"
    media: Annotated[MediaAccess, BeforeValidator(_defaults_if_empty)] = MediaAccess()
    #: File or folder of the catalogue of reference works, or folder and database; None for the
    #: small one that ships.
    catalogue: str | CatalogueSettings | None = None
    #: True: detectors that look at words only are asked first, and the others only where they can
    #: still change the action. Or the names of the detectors that are asked first.
    cascade: bool | tuple[str, ...] = False


def load_settings(path: str | Path | None = None) -> Settings:
    """Read the settings.

    Args:
        path: The YAML file; by default the one that ``QUORUM_SETTINGS`` names, else the defaults.

    Raises:
        ConfigurationError: If the file cannot be read or holds an unknown or a wrong setting; the
            text names the file, the line where YAML tells it, and the setting.
    """
    chosen = path or os.environ.get("QUORUM_SETTINGS")
    if not chosen:
        return Settings()
    file = Path(chosen)
    try:
        data = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"cannot read the settings {file}: {error.strerror or error}"
        raise ConfigurationError(msg) from None
    except UnicodeDecodeError as error:
        msg = f"{file}: not valid UTF-8 at byte {error.start}; save it as UTF-8"
        raise ConfigurationError(msg) from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = " ".join((error.problem or "cannot be read").split())
        msg = f"{file}:{line}: not valid YAML: {problem}"
        raise ConfigurationError(msg) from None
    except (YAMLError, RecursionError, ValueError) as error:
        msg = f"{file}: not valid YAML: {' '.join(str(error).split())}"
        raise ConfigurationError(msg) from None
    if data is None:
        return Settings()
    if not isinstance(data, dict):
        msg = f"{file}: must be a mapping of settings, such as `policy: balanced`"
        raise ConfigurationError(msg)
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        )
        msg = f"{file}: {told}"
        raise ConfigurationError(msg) from None
