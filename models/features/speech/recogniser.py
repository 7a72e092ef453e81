"""What every recogniser of speech gives: words, and how sure it is of them."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["RATE", "Recogniser", "Words", "package_folder"]

#: Samples a second that recognisers and the voice activity detector take.
RATE = 16_000


@dataclass(frozen=True, slots=True)
class Words:
    """What was recognised in a stretch of sound.

    Attributes:
        text: The words.
        confidence: Mean probability of its tokens, from 0 to 1; None if the recogniser does not
            tell.
    """

    text: str
    confidence: float | None


class Recogniser(ABC):
    """Recognises speech in stretches of at most half a minute."""

    #: What it is, for people.
    name: str
    #: ISO 639-1 codes of the languages that it knows; empty if that is not known.
    languages: frozenset[str]

    @abstractmethod
    def words(self, samples: NDArray[np.float32]) -> Words:
        """Recognise the words in samples of shape (n,), from -1 to 1, at ``RATE``."""


def package_folder(package: str, *parts: str) -> Path | None:
    """A file or folder inside an installed package, which is not imported; None if it is absent."""
    found = importlib.util.find_spec(package)
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder, *parts)
        if path.exists():
            return path
    return None
