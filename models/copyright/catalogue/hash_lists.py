"""Published hash lists: one file per work, with the PDQ hashes of its frames.

The format is detected from the content:

- text of the vPDQ tool, one frame per line: number, quality, hash, second;
- text of the PDQ tools, one hash per line, optionally with further columns
  (``hash,quality,file``, ``hash=...,norm=1,quality=100,filename=...``);
- JSON of ThreatExchange's vPDQ signal: a list of ``hash,quality,second``, or an object by frame
  number with quality, hash and timestamp.

Such works are matched by hashes of whole frames only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from quorum.core.errors import InputError
from quorum.models.copyright.catalogue.works import WORK_VIEWS, WorkPrint
from quorum.models.fingerprint import pdq
from quorum.models.fingerprint.fingerprint import WORK_RATE

__all__ = ["HashList", "read_hashes", "write_hashes"]

#: Assumed seconds between the frames of a list without times.
_STEP = 1.0

#: Assumed quality of the hashes of a list without qualities.
_QUALITY = 100

_DIGITS = pdq.BITS // 4


class HashList(StrEnum):
    """Format of a hash list; its value is the file suffix."""

    #: The vPDQ tool's text.
    TEXT = "txt"
    #: JSON of ThreatExchange's vPDQ signal.
    SIGNAL = "vpdq"
    #: One hash and its quality per line, without times.
    PLAIN = "pdq"


class _Frame(NamedTuple):
    hashed: bytes
    quality: int
    second: float


def read_hashes(path: Path) -> WorkPrint:
    """Read a hash list in any of the formats.

    Raises:
        OSError: If the file cannot be read.
        InputError: If the format is unknown; the message names the place.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        msg = f"{path} is not a hash list: not text"
        raise InputError(msg) from None
    frames = list(_signal(path, text) if text.lstrip()[:1] in ("[", "{") else _lines(path, text))
    if not frames:
        msg = f"{path} contains no hash"
        raise InputError(msg)
    # Thin out lists of every frame to the sampling rate of works.
    frames.sort(key=lambda frame: frame.second)
    seconds = np.array([frame.second for frame in frames], np.float32)
    slots = np.floor(seconds * WORK_RATE)
    kept = np.concatenate([[True], np.diff(slots) > 0])
    published = np.stack([np.frombuffer(frame.hashed, np.uint8) for frame in frames])[kept]
    views = np.ascontiguousarray(published[:, None].repeat(len(WORK_VIEWS), axis=1))
    return WorkPrint(
        (),
        float(seconds.max()),
        seconds[kept],
        np.array([frame.quality for frame in frames], np.uint8)[kept],
        published,
        views,
        np.zeros(0, np.uint32),
    )


def _lines(path: Path, text: str) -> Iterator[_Frame]:
    count = 0
    for number, line in enumerate(text.splitlines(), 1):
        parts = [part.strip() for part in line.split(",")]
        if not any(parts) or line.startswith("#"):
            continue
        try:
            yield _of_line(parts, count * _STEP)
        except (ValueError, IndexError):
            msg = f"{path}:{number}: neither a PDQ hash nor a line of vPDQ"
            raise InputError(msg) from None
        count += 1


def _of_line(parts: list[str], second: float) -> _Frame:
    if len(parts) >= 4 and len(parts[2]) == _DIGITS:
        return _frame(parts[2], parts[1], parts[3])
    named = dict(part.split("=", 1) for part in parts if "=" in part)
    if "hash" in named:
        return _frame(named["hash"], named.get("quality", _QUALITY), second)
    quality = parts[1] if len(parts) > 1 and parts[1].isdigit() else _QUALITY
    if len(parts) == 3 and parts[1].isdigit() and _is_number(parts[2]):
        return _frame(parts[0], quality, parts[2])
    return _frame(parts[0], quality, second)


def _signal(path: Path, text: str) -> Iterator[_Frame]:
    try:
        found: Any = json.loads(text)
        for one in found.values() if isinstance(found, dict) else found:
            if isinstance(one, str):
                hashed, quality, second = one.split(",")
                yield _frame(hashed, quality, second)
            else:
                yield _frame(one["hash"], one["quality"], one["timestamp"])
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        msg = (
            f"{path} is not a vPDQ signal: neither a list of hash,quality,second nor an object "
            "of frames"
        )
        raise InputError(msg) from None


def _frame(hashed: str, quality: str | float, second: str | float) -> _Frame:
    made = _Frame(bytes.fromhex(hashed), int(quality), float(second))
    good = len(made.hashed) == pdq.BITS // 8 and 0 <= made.quality <= 100
    if not good or not 0 <= made.second < 1e7:
        raise ValueError(hashed)
    return made


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def write_hashes(path: Path, found: WorkPrint, form: HashList = HashList.TEXT) -> int:
    """Write the hashes of a work in one of the published formats.

    Returns:
        The number of hashes.
    """
    rows = [
        (row, int(quality), pdq.to_hex(hashed), float(second))
        for row, (quality, hashed, second) in enumerate(
            zip(found.quality, found.published, found.times, strict=True)
        )
    ]
    path.write_text("\n".join(_written(rows, form)) + "\n", encoding="utf-8")
    return len(rows)


def _written(rows: list[tuple[int, int, str, float]], form: HashList) -> Iterable[str]:
    match form:
        case HashList.TEXT:
            return [f"{row},{quality},{text},{second:.3f}" for row, quality, text, second in rows]
        case HashList.SIGNAL:
            return [
                json.dumps([f"{text},{quality},{second:.3f}" for _, quality, text, second in rows])
            ]
        case HashList.PLAIN:
            return [f"{text},{quality}" for _, quality, text, _ in rows]
