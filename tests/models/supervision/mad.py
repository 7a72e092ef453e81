"""A detector that does what an upload's title says: well, or to death."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quorum.core.errors import ConfigurationError
from quorum.core.messages import Upload, now
from quorum.core.settings import DetectorSettings
from quorum.models.configured import ConfiguredDetector
from quorum.models.detectors import Detector, Example, Feature, Features, Finding

_kept: list[object] = []


def _grow(hold: list[bytearray]) -> None:
    while True:
        hold.append(bytearray(16 * 1024 * 1024))


def _act(title: str) -> None:
    word, _, rest = title.partition(" ")
    match word:
        case "sleep":
            time.sleep(float(rest or 60))
        case "lock":  # loops in C without giving the interpreter's lock
            ctypes.PyDLL(None).usleep(ctypes.c_uint(60_000_000))
        case "spin":
            while True:
                pass
        case "segfault":
            ctypes.string_at(0)
        case "exit":
            os._exit(3)
        case "memory":
            _grow([])
        case "hoard":
            _kept.append([])
            _grow(_kept[-1])  # type: ignore[arg-type]
        case "files":
            while True:
                _kept.append(Path(os.devnull).open())  # noqa: SIM115
        case "raise":
            raise RuntimeError(rest)


class Mad(Detector):
    version = "mad-1"
    needs = frozenset({Feature.TEXT})

    def __init__(self, name: str) -> None:
        self.name = name

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        for features in batch:
            if self.name == "mad":
                _act(features.upload.title)
        if self.name == "nice":
            return [Finding.scored((os.nice(0) + 20) / 40) for _ in batch]
        return [Finding.scored(0.25) for _ in batch]

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return []


@dataclass(frozen=True)
class Load:
    name: str

    def __call__(self) -> Detector:
        return Mad(self.name)


def detectors(
    timeout: float = 20.0, names: Sequence[str] = ("mad", "sane")
) -> tuple[ConfiguredDetector, ...]:
    settings = DetectorSettings(timeout=timeout)
    return tuple(ConfiguredDetector(name, Load(name), settings) for name in names)


def upload(number: int, title: str = "fine", media: str | None = None) -> Upload:
    return Upload(id=f"u{number}", uploader="u", title=title, media=media, published_at=now())


def never(_upload: Upload, _predictions: object) -> str | None:
    return None


@dataclass(frozen=True)
class LoadNothing:
    def __call__(self) -> Detector:
        msg = "no such model"
        raise ConfigurationError(msg)


def broken() -> ConfiguredDetector:
    return ConfiguredDetector("mad", LoadNothing())
