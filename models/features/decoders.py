"""All that decodes media for Quorum, in confined processes that may die.

A template process (``quorum.models.media.template``) forks one for each file; it prepares itself
here, and what it forks performs its task here. Callers see functions: the features of an upload,
the fingerprint of a work, pictures for people.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import ArtifactError, InputError, MediaRefused
from quorum.models.features.parcel import exactly, read_parcel, write_parcel
from quorum.models.features.reading import Reading, Wanted, read_here
from quorum.models.features.rehearsal import prepare
from quorum.models.fingerprint.fingerprint import Fingerprint, fingerprint
from quorum.models.media.apart import Bounds, apart
from quorum.models.media.door import picture_at, pictures_at
from quorum.models.media.limits import Limits
from quorum.models.media.picture import Picture
from quorum.models.media.sandbox import protection
from quorum.models.media.template import Template, TemplateLost

__all__ = [
    "decode_apart",
    "fingerprint_apart",
    "perform",
    "pictures_apart",
    "prepare",
    "read_media",
    "tell_protection",
    "template",
]

_log = logging.getLogger(__name__)

_Made = TypeVar("_Made")

#: Bytes of memory that a process may use for a person, and seconds that it may take; a work that
#: the operator registers may be long.
_MEMORY: Final = 2 * 1024**3
_SECONDS: Final = 60
_WORK_MEMORY: Final = 6 * 1024**3
#: The most bytes of a head and of a fingerprint, and the longest side of a picture.
_MAX_HEAD: Final = 64 * 1024
_MAX_PRINT: Final = 1024**3
_MAX_SIDE: Final = 1920
_NONSENSE: Final = "its decoder wrote nonsense"

#: Forks the processes; each process of Quorum that needs it starts or inherits it.
template = Template(__name__)


@dataclass(frozen=True, slots=True)
class _Apart:
    """How processes are bounded that read uploads."""

    folder: Path
    memory: int
    seconds: int


_apart: ContextVar[_Apart | None] = ContextVar("decode apart", default=None)


def decode_apart(folder: Path, memory: int, seconds: int = 0) -> None:
    """Let this thread read each upload's media in a process that is confined and may die.

    Args:
        folder: Where those processes may write.
        memory: Bytes that each may use.
        seconds: Seconds that each may take; 0 where somebody else watches the time.
    """
    _apart.set(_Apart(folder, memory, seconds))


@lru_cache(maxsize=1)
def tell_protection() -> None:
    """Tell the log once what confines processes that decode on this machine."""
    held = protection()
    if sys.platform != "linux":
        _log.warning("decoding of media is not confined: it needs Linux")
    elif held.missing:
        _log.warning("decoding of media is confined in part: %s", held)
    else:
        _log.info("decoding of media is confined: %s", held)


def read_media(
    path: Path, wanted: Wanted, fingerprinter: Callable[[Path], Any] | None = None
) -> Reading:
    """Read the media of an upload; never raises.

    Args:
        path: The file.
        wanted: What is wanted of it.
        fingerprinter: Computes its fingerprint instead of Quorum's own; it runs in this process.
    """
    held = _apart.get()
    if held is None or fingerprinter is not None:
        return read_here(path, wanted, fingerprinter)
    task = {"do": "read", "path": str(path), "wanted": dataclasses.asdict(wanted)}
    bounds = dataclasses.replace(Bounds.inherited(held.folder, held.memory), seconds=held.seconds)
    try:
        return _asked(task, bounds, lambda source: Reading(*read_parcel(source)))
    except MediaRefused as refused:
        why = str(refused)
    except Exception as error:  # what a process wrote that was taken over
        why = f"media cannot be read: {type(error).__name__}"
    return Reading(
        refused=why if wanted.decodes else "", no_fingerprint=why if wanted.fingerprint else ""
    )


def fingerprint_apart(path: Path, rate: float) -> Fingerprint:
    """The fingerprint of a work, or of a file that a person compares with works.

    Args:
        path: A local file.
        rate: Frames hashed per second.

    Raises:
        InputError: As ``quorum.models.fingerprint.fingerprint.fingerprint`` does.
        MediaRefused: As it does, and if the process died or wrote no fingerprint.
    """
    task = {"do": "fingerprint", "path": str(path.absolute()), "rate": rate}

    def read(source: BinaryIO) -> Fingerprint:
        size = int(_head(source)["size"])
        if not 0 <= size <= _MAX_PRINT:
            raise ArtifactError(_NONSENSE)
        return Fingerprint.from_bytes(bytes(exactly(source, size)))

    return _for_people(task, read, _WORK_MEMORY, 0)


def pictures_apart(
    path: Path, times: Sequence[float], limits: Limits, *, seek: bool = False
) -> list[tuple[NDArray[np.uint8], float]]:
    """The pictures that a player shows at some seconds, with the seconds.

    Args:
        path: A local file.
        times: The seconds, increasing; beyond the end the last picture is given.
        limits: How much of the file is decoded.
        seek: Whether to seek to the one second first, in a long film.

    Returns:
        For each second RGB, shape (height, width, 3), of at most 1920 pixels a side.

    Raises:
        InputError: If the file cannot be read.
        MediaRefused: If it holds no picture that can be read, or the process died.
    """
    facts = dataclasses.asdict(limits)
    task = {"do": "pictures", "path": str(path.absolute()), "times": list(times), "seek": seek}

    def read(source: BinaryIO) -> list[tuple[NDArray[np.uint8], float]]:
        made = []
        for _ in times:
            head = _head(source)
            width, height, second = int(head["width"]), int(head["height"]), float(head["second"])
            if not (1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE and math.isfinite(second)):
                raise ArtifactError(_NONSENSE)
            pixels = np.frombuffer(exactly(source, width * height * 3), np.uint8)
            made.append((pixels.reshape(height, width, 3), second))
        return made

    return _for_people({**task, "limits": facts}, read, _MEMORY, _SECONDS if limits.bounded else 0)


def _for_people(
    task: Mapping[str, Any], read: Callable[[BinaryIO], _Made], memory: int, seconds: int
) -> _Made:
    tell_protection()
    with tempfile.TemporaryDirectory(prefix="quorum-decoder-") as folder:
        bounds = Bounds.inherited(Path(folder), memory)
        try:
            return _asked(task, dataclasses.replace(bounds, seconds=seconds), read)
        except (ArtifactError, KeyError, TypeError, ValueError) as error:  # it was taken over
            msg = f"{Path(str(task['path'])).name}: {_NONSENSE}"
            raise MediaRefused(msg) from error


def _asked(task: Mapping[str, Any], bounds: Bounds, read: Callable[[BinaryIO], _Made]) -> _Made:
    """What a process makes of a task; a template that is lost is started again, once."""
    if sys.platform != "linux":
        out = BytesIO()
        perform(task, out)
        out.seek(0)
        return read(out)
    if Template.possible():
        for _ in range(2):
            try:
                with template.apart(task, bounds) as source:
                    return read(source)
            except TemplateLost as lost:
                _log.warning("the process that forks decoders ended: %s", lost)
    prepare()
    with apart(partial(perform, task), bounds) as source:
        return read(source)


def perform(task: Mapping[str, Any], out: BinaryIO) -> None:
    """Do what was asked, in a process that is confined.

    Args:
        task: What to do.
        out: For what was made.
    """
    path = Path(task["path"])
    if task["do"] == "read":
        facts = dict(task["wanted"])
        made = read_here(path, Wanted(**{**facts, "limits": Limits(**facts["limits"])}))
        write_parcel(out, made.decoded, made.refused, made.fingerprint, made.no_fingerprint)
        return
    try:
        if task["do"] == "fingerprint":
            data = fingerprint(path, rate=task["rate"]).to_bytes()
            _write_head(out, {"size": len(data)})
            out.write(data)
            return
        limits = Limits(**task["limits"])
        if task["seek"]:
            (second,) = task["times"]
            _write_picture(out, picture_at(path, second, limits), second)
            return
        for picture, second in pictures_at(path, task["times"], limits):
            _write_picture(out, picture, second)
    except InputError as error:
        refused = isinstance(error, MediaRefused)
        _write_head(out, {"error": str(error)[:4000], "refused": refused})


def _write_picture(out: BinaryIO, picture: Picture, second: float) -> None:
    width, height = picture.size
    scale = min(1.0, _MAX_SIDE / max(width, height))
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    _write_head(out, {"width": width, "height": height, "second": second})
    out.write(np.ascontiguousarray(picture.rgb(width, height)).data.cast("B"))


def _write_head(out: BinaryIO, facts: Mapping[str, Any]) -> None:
    data = json.dumps(facts).encode()
    out.write(len(data).to_bytes(8, "big") + data)


def _head(source: BinaryIO) -> dict[str, Any]:
    size = int.from_bytes(exactly(source, 8), "big")
    if size > _MAX_HEAD:
        raise ArtifactError(_NONSENSE)
    found = json.loads(bytes(exactly(source, size)))
    if "error" in found:
        raise (MediaRefused if found["refused"] else InputError)(str(found["error"])[:4000])
    return dict(found)
