"""Files that describe a detector: YAML with a task, which says what reads the rest of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from quorum.core.errors import ConfigurationError
from quorum.core.settings import Settings

__all__ = [
    "Calibration",
    "LanguageCode",
    "read_description",
    "reference_of",
    "task_of",
    "validated",
]

#: A language as the identifier names it: no region, no capitals.
LanguageCode = Annotated[str, Field(pattern="^[a-z]{2,3}$")]

_Model = TypeVar("_Model", bound=BaseModel)


class Calibration(BaseModel):
    """Platt scaling as ``quorum models calibrate`` writes it into a description."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    slope: Annotated[float, Field(gt=0, le=100)]
    offset: float
    prevalence: Annotated[float, Field(gt=0, lt=1)]


def read_description(reference: str) -> tuple[dict[str, Any], Path]:
    """Read the file that a reference names, which may end in ``#`` and the file's digest.

    Raises:
        ConfigurationError: If it cannot be read, is no YAML mapping or has another digest.
    """
    place, _, wanted = reference.removeprefix("file:").removeprefix("//").partition("#")
    path = Path(place)
    try:
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:16]
        if wanted and digest != wanted:
            msg = f"{path} has the digest {digest}: it is not the description that is named"
            raise ConfigurationError(msg)
        data = YAML(typ="safe", pure=True).load(content.decode("utf-8"))
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror or error}"
        raise ConfigurationError(msg) from None
    except (YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        msg = f"{path} is not valid YAML: {error}"
        raise ConfigurationError(msg) from None
    if data is not None and not isinstance(data, dict):
        msg = f"{path}: must be a mapping that begins with a task"
        raise ConfigurationError(msg)
    return data or {}, path


def reference_of(name: str, settings: Settings) -> str:
    """The reference of the description that the settings give a detector.

    Raises:
        ConfigurationError: If they give it none.
    """
    reference = (settings.detectors or {})[name].model
    if reference is None:
        msg = f"the detector {name} has no model in the settings"
        raise ConfigurationError(msg)
    return reference


def task_of(reference: str) -> str:
    """The task of the description that a reference names; empty if it names none.

    Raises:
        ConfigurationError: If the file cannot be read or is no YAML mapping.
    """
    return str(read_description(reference)[0].get("task", ""))


def validated(kind: type[_Model], data: dict[str, Any], path: Path) -> _Model:
    """The description as its model.

    Raises:
        ConfigurationError: If it does not fit; the text names each field.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'file'}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        )
        msg = f"{path}: {problems}"
        raise ConfigurationError(msg) from None
