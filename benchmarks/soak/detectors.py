"""Detectors of the soak, a plug-in: two honest ones, and one that goes mad by words in the title.

``install`` writes what makes Python find them as an installed package, so that the job under test
is the command line as it ships.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from quorum.core.messages import Evidence
from quorum.models.detectors import Detector, Example, Feature, Features, Finding

__all__ = ["ANSWERS", "MADNESS", "Frames", "Odd", "Words", "install"]

#: A detector that is not stopped gives up after this, so that a soak without supervision ends.
_FOREVER = 120.0
_MEBIBYTE = 1024 * 1024
#: What the eater takes, in steps; a machine of 8 GiB stands it.
_MOST_MEBIBYTES = 3072
_OF_LIBC = None


def install(folder: Path) -> None:
    """Make the detectors an installed package, for a process with ``folder`` on its path."""
    made = folder / "quorum_soak-1.dist-info"
    made.mkdir(parents=True, exist_ok=True)
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: quorum-soak\nVersion: 1\n")
    (made / "entry_points.txt").write_text(
        "[quorum.detectors]\n"
        "words = benchmarks.soak.detectors:Words\n"
        "frames = benchmarks.soak.detectors:Frames\n"
        "odd = benchmarks.soak.detectors:Odd\n"
    )


def _share(text: str) -> float:
    """A number from 0 to 1 that depends on the text alone."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[0] / 255


class _Plain(Detector):
    version = "1"

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """None: it is for the soak only."""
        return []


class Words(_Plain):
    """Scores the title by a digest of it: cheap, and the same wherever it runs."""

    name = "words"
    needs = frozenset({Feature.TEXT})

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """See Detector."""
        return [Finding.scored(round(_share(one.upload.title), 3)) for one in batch]


class Frames(_Plain):
    """Scores media by the brightness of their first frame."""

    name = "frames"
    needs = frozenset({Feature.FRAMES})

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """See Detector."""
        return [self._one(features) for features in batch]

    def _one(self, features: Features) -> Finding:
        if features.frames is None or not len(features.frames.pixels):
            return Finding.without(features, Feature.FRAMES)
        return Finding.scored(round(float(features.frames.pixels[0].mean()) / 255, 2))


def _sleep() -> None:
    time.sleep(_FOREVER)


def _hold() -> None:
    """Sleep in C without giving the interpreter's lock to other threads."""
    ctypes.PyDLL(_OF_LIBC).sleep(int(_FOREVER))


def _loop() -> None:
    """Compute in C, with the interpreter's lock, for longer than anyone waits."""
    re.match(r"(?:a+)+$", "a" * 48 + "b")


def _crash() -> None:
    ctypes.string_at(0)


def _exit() -> None:
    os._exit(3)


def _memory() -> None:
    eaten = []
    for _ in range(_MOST_MEBIBYTES // 64):
        eaten.append(b"x" * (64 * _MEBIBYTE))
        time.sleep(0.005)
    time.sleep(5.0)


def _files() -> None:
    opened = []
    try:
        while True:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        time.sleep(_FOREVER)


#: What the detector does when the title says ``soak:NAME``; none of these returns in time.
MADNESS: dict[str, Callable[[], None]] = {
    "sleep": _sleep,
    "hold": _hold,
    "loop": _loop,
    "crash": _crash,
    "exit": _exit,
    "memory": _memory,
    "files": _files,
}

#: What it answers when the title says so: each is refused, and none ends anything else.
ANSWERS: dict[str, Callable[[], Any]] = {
    "surrogate": lambda: Finding.failed("\ud800"),
    "labels": lambda: Finding.scored(0.1, {f"x/{number}": 0.1 for number in range(300_000)}),
    "long": lambda: Finding.failed("x" * 12_000_000),
    "nan": lambda: Finding.scored(float("nan")),
    "evidence": lambda: Finding.scored(
        0.1, evidence=[Evidence(kind="text", what="x" * 1000)] * 2000
    ),
    "nothing": lambda: None,
    "raises": lambda: 1 / 0,
}


class Odd(_Plain):
    """Scores 0.1, unless the title says ``soak:`` and a name of ``MADNESS`` or ``ANSWERS``."""

    name = "odd"
    needs = frozenset({Feature.TEXT})

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """See Detector."""
        return [self._one(features) for features in batch]

    def _one(self, features: Features) -> Finding:
        words = re.search(r"soak:(\w+)", features.upload.title)
        told = words.group(1) if words else ""
        if told in MADNESS:
            MADNESS[told]()
        if told in ANSWERS:
            made: Finding = ANSWERS[told]()
            return made
        return Finding.scored(0.1)
