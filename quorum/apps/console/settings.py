"""The console's settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from quorum.apps.console.desk.replies import Replies
from quorum.apps.console.desk.routing import Desk
from quorum.core.settings import ChildSafetySettings, MediaAccess
from quorum.core.sign_on_settings import SignOnSettings
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.prompt.translation import Translator
from quorum.store.notices.values import NoticeRules

__all__ = ["ConsoleSettings"]


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """The console's settings.

    Attributes:
        media: Folders and hosts that media may be shown from.
        read_media: Whether the media of an opened case is read for its scenes and words.
        meanings: The newest cases whose texts are kept as embeddings; 0 for no search by meaning.
        translator: Translates the words of a case when somebody asks; None for nothing.
        undo: How long a decision can be undone.
        double_rate: The share of decided cases that a second reviewer decides independently.
        golden_rate: The share of assigned cases that are golden cases.
        secure: Whether browsers connect by https; cookies are then sent over https only.
        hosts: Accepted host names; others are rejected (DNS rebinding).
        user_header: The header with the user name set by a reverse proxy; None for passwords.
        proxies: Addresses from which that header is trusted.
        proxy_secret: A secret that the proxy sends besides; None if its address is enough.
        behind_proxy: Whether the proxies were named, so that they tell the clients' addresses.
        works: A folder with the media of registered works, for side-by-side frames.
        policy_file: The file that an activated policy is written to.
        public_reports: Reports an hour that the form without an account takes from one network;
            0 for no form.
        notices: The terms of legal notices.
        sweep: The time between two searches for copies of removed intimate images; None for none.
        catalogue: Opens the catalogue whose kept uploads are searched.
        notices_per_hour: Notices that the form without an account takes from one network.
        child_safety: The clock of sealed cases, and what reports say of the platform.
        policies: The topic that activated policies are published to, beside the ledger.
        body_seconds: Time for a browser to send a form.
        answer: A published decision that led to no verdict by then is told on every page.
        quiet: Detectors that were not heard for so long are told; None where uploads come seldom.
        replies: Templates and macros of replies to uploaders.
        desk: The queues with their rules, limits of exposure, and breaks.
        dwell: After a case opened, keys and clicks decide nothing for this long.
        sso: Log-in through an identity provider; None for none.
        sso_secret: The secret of the console as a client of that provider.
    """

    media: MediaAccess = field(default_factory=MediaAccess)
    read_media: bool = True
    meanings: int = 0
    translator: Translator | None = None
    undo: timedelta = timedelta(seconds=8)
    double_rate: float = 0.05
    golden_rate: float = 0.05
    secure: bool = False
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    user_header: str | None = None
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    proxy_secret: str | None = field(default=None, repr=False)
    behind_proxy: bool = False
    works: Path | None = None
    policy_file: Path | None = None
    public_reports: int = 0
    notices: NoticeRules = field(default_factory=NoticeRules)
    sweep: timedelta | None = None
    catalogue: Callable[[], Catalogue] | None = None
    notices_per_hour: int = 20
    child_safety: ChildSafetySettings = field(default_factory=ChildSafetySettings)
    policies: str | None = None
    body_seconds: float = 20.0
    answer: timedelta = timedelta(seconds=60)
    quiet: timedelta | None = timedelta(minutes=30)
    replies: Replies = field(default_factory=Replies)
    desk: Desk = field(default_factory=Desk)
    dwell: timedelta = timedelta(seconds=0.7)
    sso: SignOnSettings | None = None
    sso_secret: str | None = field(default=None, repr=False)
