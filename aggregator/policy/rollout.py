"""Rules for a share of uploaders: who is in it depends on the uploader and a salt alone.

A hash gives each uploader a fixed place between 0 and 100. A rule takes those whose place is below
its percentage, so that a greater percentage takes the same uploaders and more. It is the same in
the stream, in batches, in the web service and in backtests, in any order, on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

__all__ = ["Rollout", "place_of"]

_BITS: Final = 64


def place_of(salt: str, unit: str) -> float:
    """The place of an uploader, from 0 to below 100: uniform over uploaders, fixed for each.

    It is the first 8 bytes of the SHA-256 of the salt, a NUL and the uploader in UTF-8, as a
    big-endian number, over 2 to the power of 64, times 100.

    Args:
        salt: Rollouts with one salt take the same uploaders; those with another are independent.
        unit: The uploader.
    """
    seed = f"{salt}\x00{unit}".encode("utf-8", "surrogatepass")
    return int.from_bytes(sha256(seed).digest()[: _BITS // 8], "big") / 2.0**_BITS * 100.0


@dataclass(frozen=True, slots=True)
class Rollout:
    """The share of uploaders that a rule applies to.

    Attributes:
        percent: From 0 to 100.
        salt: Chooses which uploaders come first.
    """

    percent: float
    salt: str

    def takes(self, uploader: str, upload_id: str) -> bool:
        """Whether it takes an uploader's uploads.

        Args:
            uploader: The uploader; empty where there is none.
            upload_id: Stands for the uploader where there is none.
        """
        return self.percent >= 100.0 or place_of(self.salt, uploader or upload_id) < self.percent
