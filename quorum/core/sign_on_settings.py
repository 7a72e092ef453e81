"""The settings of single sign-on: the identity provider, and the roles that its groups give."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from quorum.core.secure_urls import is_secure_url

__all__ = ["SignOnSettings"]

_CLAIM = re.compile(r"[A-Za-z0-9_:/.-]{1,128}")


def _issuer(value: str) -> str:
    if not is_secure_url(value) or "?" in value or "#" in value or not value.isprintable():
        msg = "must be the provider's issuer, such as https://id.example.org/realms/staff"
        raise ValueError(msg)
    return value


def _claim(value: str) -> str:
    if not _CLAIM.fullmatch(value):
        msg = "must be a claim's name, such as groups, or a path such as realm_access.roles"
        raise ValueError(msg)
    return value


Claim = Annotated[str, AfterValidator(_claim)]


class SignOnSettings(BaseModel):
    """Single sign-on to the console by OpenID Connect.

    The client's secret is no setting: it is read from ``QUORUM_OIDC_SECRET``, or from the file that
    ``QUORUM_OIDC_SECRET_FILE`` names. A client without one is public, and protected by PKCE alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: The provider's issuer, exactly as its discovery document names it. ``https``, or ``http`` on
    #: loopback.
    issuer: Annotated[str, Field(max_length=256), AfterValidator(_issuer)]
    #: The id of the console at the provider.
    client_id: Annotated[str, Field(min_length=1, max_length=256)]
    #: What the provider is called on the page of log-ins.
    name: Annotated[str, Field(min_length=1, max_length=64)] = "single sign-on"
    #: The scopes to ask for; some providers give groups for a scope of their own.
    scopes: tuple[Annotated[str, Field(pattern="^[!#-\\[\\]-~]+$")], ...] = (
        "openid",
        "profile",
        "email",
    )
    #: The claim with the groups: a name, or a path through objects such as ``realm_access.roles``.
    groups_claim: Claim = "groups"
    #: The claim that a new account is named after.
    name_claim: Claim = "preferred_username"
    #: The role that each group gives. Of several groups of a person, the first one here counts;
    #: who is in none of them is refused.
    roles: Annotated[
        dict[
            Annotated[str, Field(min_length=1, max_length=256)],
            Literal["reviewer", "lead", "admin", "auditor", "read-only", "specialist"],
        ],
        Field(min_length=1),
    ]
    #: Whether users with a password may still log in with it.
    passwords: bool = True
    #: Whether *Log out* ends the session at the provider, too (OpenID Connect RP-Initiated Logout
    #: 1.0). The provider must know ``https://HOST/login`` as an address to come back to.
    logout: bool = False
