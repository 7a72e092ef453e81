"""Verifies ID tokens (OpenID Connect Core 1.0, section 3.1.3.7) and reads the claims."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from quorum.core.errors import QuorumError

__all__ = ["ALGORITHMS", "KeyNotFound", "TokenRefused", "claim_of", "groups_of", "verified_claims"]

#: Signatures with the provider's private key; ``none`` and those by a shared secret are refused,
#: whatever the discovery document offers.
ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)

#: Seconds that the provider's clock may differ.
LEEWAY: Final = 60
#: Groups of a person that are read; more are the answer of a provider that is misconfigured.
MOST_GROUPS: Final = 10_000


class TokenRefused(QuorumError):
    """An answer of the identity provider that proves nothing; nobody is logged in by it."""


class KeyNotFound(TokenRefused):
    """The token's key, or its signature, is not among the known keys: they may have changed."""


def verified_claims(
    token: str,
    keys: KeySet,
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    access_token: str | None = None,
    offered: Sequence[str] = (),
) -> dict[str, Any]:
    """Verify an ID token, and return its claims.

    Args:
        token: The token, a signed JWT.
        keys: The provider's public keys.
        issuer: Who must have made it.
        client_id: Whom it must be for.
        nonce: What the log-in was begun with.
        access_token: The access token that came with it, if the token names its digest.
        offered: The algorithms of the discovery document; empty for all of ``ALGORITHMS``.

    Raises:
        KeyNotFound: If no known key made the signature.
        TokenRefused: If the token is anything else than what was asked for, and why.
    """
    allowed = [name for name in ALGORITHMS if not offered or name in offered]
    registry = JWSRegistry(algorithms=allowed, strict_check_header=False)
    try:
        found = jwt.decode(token, keys, registry=registry)
    except InvalidKeyIdError:
        msg = "its key is not among the provider's keys"
        raise KeyNotFound(msg) from None
    except (JoseError, ValueError, TypeError, KeyError) as error:
        kind = getattr(error, "error", type(error).__name__)
        if kind == "bad_signature":
            msg = "its signature is not of the provider's key"
            raise KeyNotFound(msg) from None
        msg = f"it cannot be verified ({kind})"
        raise TokenRefused(msg) from None
    claims = CodeIDToken(
        found.claims,
        found.header,
        {
            "iss": {"essential": True, "value": issuer},
            "aud": {"essential": True, "value": client_id},
            "exp": {"essential": True},
        },
        {"nonce": nonce, "client_id": client_id, "access_token": access_token},
    )
    try:
        claims.validate(now=int(time.time()), leeway=LEEWAY)
    except JoseError as error:
        claim = getattr(error, "claim", "")
        told = {
            "iss": "it is of another issuer",
            "aud": "it is for another application",
            "azp": "it is for another application",
            "nonce": "it is of another log-in",
            "exp": "it has expired",
            "iat": "it is from the future",
            "nbf": "it is not valid yet",
        }.get(claim)
        if error.error == "expired_token":
            told = "it has expired"
        if error.error == "missing_claim":
            told = f"it lacks what it must hold: {error.description}"
        msg = told or f"it cannot be verified ({error.error})"
        raise TokenRefused(msg) from None
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        msg = "it names nobody"
        raise TokenRefused(msg)
    return dict(claims)


def claim_of(claims: Mapping[str, Any], path: str) -> Any:
    """The value of a claim, by its name or a path through objects; None if there is none."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def groups_of(claims: Mapping[str, Any], path: str) -> tuple[str, ...] | None:
    """The groups of a person; None if the claims have none, as some providers name them elsewhere.

    A single string is one group.
    """
    found = claim_of(claims, path)
    if isinstance(found, str):
        return (found,)
    if not isinstance(found, list):
        return None
    return tuple(one for one in found[:MOST_GROUPS] if isinstance(one, str))
