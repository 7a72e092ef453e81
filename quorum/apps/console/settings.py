"""What a deployment sets of its console."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from quorum.core.settings import MediaAccess

__all__ = ["ConsoleSettings"]


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """The settings.

    Attributes:
        media: Where media may be shown from.
        undo: For how long a decision can be undone.
        double_rate: The share of decided cases that a second reviewer decides too, unseen.
        golden_rate: The share of cases handed out whose right answer is known.
        secure: Whether browsers come by https: cookies then travel by it alone.
        hosts: Names that browsers may call the console by; others are refused (DNS rebinding).
        user_header: A header in which a reverse proxy tells who signed in; None for passwords.
        proxies: Addresses from which that header is believed.
        works: A folder with media of registered works, named like them, for pairs of frames.
        policy_file: Where an activated policy is written.
    """

    media: MediaAccess = field(default_factory=MediaAccess)
    undo: timedelta = timedelta(seconds=8)
    double_rate: float = 0.05
    golden_rate: float = 0.05
    secure: bool = False
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    user_header: str | None = None
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    works: Path | None = None
    policy_file: Path | None = None
