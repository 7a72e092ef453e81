"""Single sign-on: from the button to the session, with what the browser holds in between."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection

from quorum.apps.console.accounts import identities
from quorum.apps.console.accounts.access import Role
from quorum.apps.console.accounts.identities import Identity, NotAdmitted
from quorum.apps.console.accounts.throttle import (
    Counter,
    count_attempt,
    network_of,
    take_back,
)
from quorum.apps.oidc.provider import Provider, ProviderUnavailable
from quorum.apps.oidc.tokens import TokenRefused, claim_of, groups_of
from quorum.core.messages import now
from quorum.core.sign_on_settings import SignOnSettings
from quorum.store.ledger import Ledger

__all__ = ["FLOW_SECONDS", "Flow", "SignOn", "role_of"]

#: Seconds in which a log-in that was begun must be finished.
FLOW_SECONDS: Final = 600
#: Failed log-ins from one network without a delay: many people may share an address.
_FREE: Final = 50


@dataclass(frozen=True, slots=True)
class Flow:
    """A log-in that a browser began; it keeps this in a cookie until it comes back.

    Attributes:
        state: What it must come back with.
        nonce: What the ID token must name.
        verifier: The secret of PKCE.
        target: The page that it wanted.
        begun: When, in seconds since 1970.
    """

    state: str
    nonce: str
    verifier: str
    target: str
    begun: int

    def cookie(self) -> str:
        """The value of the cookie."""
        return base64.urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode().rstrip("=")

    @classmethod
    def read(cls, cookie: str) -> Flow | None:
        """The log-in of a cookie; None if it is none, or from too long ago."""
        try:
            given = json.loads(base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4)))
            made = cls(**given)
            kinds = all(isinstance(getattr(made, name), str) for name in cls.__slots__[:4])
            fresh = 0 <= time.time() - made.begun <= FLOW_SECONDS
        except (ValueError, TypeError):
            return None
        return made if kinds and fresh else None


def role_of(settings: SignOnSettings, groups: tuple[str, ...]) -> Role | None:
    """The role of the first group of the settings that a person is in; None if in none."""
    given = frozenset(groups)
    return next((Role(role) for group, role in settings.roles.items() if group in given), None)


class SignOn:
    """Logs people in through the identity provider.

    Args:
        ledger: The ledger.
        settings: The provider, and the roles of its groups.
        secret: The client's secret; None for a public client.
    """

    def __init__(self, ledger: Ledger, settings: SignOnSettings, secret: str | None) -> None:
        self._ledger = ledger
        self.settings = settings
        self.provider = Provider(settings, secret)

    def begin(self, redirect_uri: str, target: str) -> tuple[str, Flow]:
        """Begin a log-in; returns where the browser goes, and what it keeps.

        Raises:
            ProviderUnavailable: If the provider does not answer.
        """
        made = self.provider.begin(redirect_uri)
        flow = Flow(made.state, made.nonce, made.verifier, target, int(time.time()))
        return made.url, flow

    def finish(self, flow: Flow, answer: Mapping[str, str], redirect_uri: str, address: str) -> str:
        """Finish a log-in.

        Args:
            flow: What the browser kept.
            answer: What it came back with.
            redirect_uri: As it was begun with.
            address: The client's IP address.

        Returns:
            The value of the session's cookie.

        Raises:
            ProviderUnavailable: If the provider does not answer.
            TokenRefused: If it does not prove who it is.
            NotAdmitted: If it does, and the person has no access.
            TooManyAttempts: If too many log-ins of this network failed.
        """
        counted = (Counter(f"sso:{network_of(address)}", _FREE),)
        self._ledger.transact(lambda c: count_attempt(c, counted, now()), writes=True)
        try:
            claims, token = self._claims(flow, answer, redirect_uri)
        except (ProviderUnavailable, TokenRefused) as error:
            identities.refuse(self._ledger, None, _why(error), address)
            raise
        person = Identity(self.settings.issuer, str(claims["sub"]))
        try:
            cookie = self._admitted(person, claims, address, token)
        except NotAdmitted:
            identities.refuse(self._ledger, person, "not admitted", address)
            raise

        def succeeded(connection: Connection) -> None:
            take_back(connection, counted)

        self._ledger.transact(succeeded, writes=True)
        return cookie

    def farewell(self, id_token: str | None, back_to: str) -> str | None:
        """Where a browser goes to end its session at the provider, too.

        Args:
            id_token: The ID token of the session; None if it was not opened by the provider.
            back_to: Where it comes back to.

        Returns:
            The address; None if the settings or the provider do not ask for it.

        Raises:
            ProviderUnavailable: If it is not known where, as the provider does not answer.
        """
        if id_token is None or not self.settings.logout:
            return None
        return self.provider.farewell(id_token, back_to)

    def _claims(
        self, flow: Flow, answer: Mapping[str, str], redirect_uri: str
    ) -> tuple[dict[str, Any], str]:
        if told := answer.get("error"):
            kind = told[:40] if told.isidentifier() else "an error"
            msg = f"the provider says {kind}"
            raise TokenRefused(msg)
        if not answer.get("code"):
            msg = "the provider sent no code"
            raise TokenRefused(msg)
        return self.provider.finish(
            answer["code"],
            verifier=flow.verifier,
            nonce=flow.nonce,
            redirect_uri=redirect_uri,
            issuer=answer.get("iss"),
        )

    def _admitted(
        self, person: Identity, claims: Mapping[str, Any], address: str, token: str
    ) -> str:
        groups = groups_of(claims, self.settings.groups_claim)
        if groups is None:
            msg = (
                f"{self.settings.name} names no groups of yours (claim "
                f"{self.settings.groups_claim}); ask its admin to add them for this application."
            )
            raise NotAdmitted(msg)
        role = role_of(self.settings, groups)
        if role is None:
            msg = "None of your groups gives a role here; ask an admin to be added to one."
            raise NotAdmitted(msg)
        named = (claim_of(claims, name) for name in (self.settings.name_claim, "email", "name"))
        wanted = next((one for one in named if isinstance(one, str) and one.strip()), "")
        kept = token if self.settings.logout else None
        return identities.admit(self._ledger, person, role, wanted, address, kept)


def _why(error: Exception) -> str:
    return "unavailable" if isinstance(error, ProviderUnavailable) else str(error)[:200]
