"""An identity provider: its discovery document, its keys, and the two halves of a log-in.

The flow is the authorization code with PKCE (RFC 6749, RFC 7636), as OpenID Connect Core 1.0,
section 3.1 has it: the browser is sent to the provider and comes back with a code, for which the
provider gives an ID token. What the provider answers is bounded in size and time, and however many
people log in, only a few calls wait for it at once.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, import_key

from quorum.apps.oidc.tokens import (
    ALGORITHMS,
    KeyNotFound,
    TokenRefused,
    groups_of,
    verified_claims,
)
from quorum.core.errors import QuorumError
from quorum.core.secure_urls import is_secure_url
from quorum.core.sign_on_settings import SignOnSettings

__all__ = ["Configuration", "Departure", "Provider", "ProviderUnavailable"]

_log = logging.getLogger(__name__)

#: Seconds until a call to the provider is given up.
CALL_SECONDS: Final = 5.0
#: A larger answer is refused.
MAX_ANSWER: Final = 1024 * 1024
#: Calls that wait for the provider at once: one that hangs must not take the pages' threads.
CALLS: Final = 4
#: The discovery document and the keys are asked for again after so many seconds.
KEPT_SECONDS: Final = 3600.0
#: An unknown key has the keys asked for anew, at most this often.
RENEWED_SECONDS: Final = 10.0
#: The kinds of keys that have a public half.
_KINDS: Final = ("RSA", "EC", "OKP")


class ProviderUnavailable(QuorumError):
    """The identity provider does not answer, or not as a provider does."""

    exit_code = 69


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the discovery document says.

    Attributes:
        authorization_endpoint: Where browsers are sent to.
        token_endpoint: Where codes are exchanged.
        jwks_uri: Where the keys are.
        userinfo_endpoint: Where further claims are; None if nowhere.
        algorithms: How it signs ID tokens.
        methods: How clients may prove themselves.
        challenges: The methods of PKCE that it names.
        names_issuer: Whether its answers name the issuer (RFC 9207).
        end_session_endpoint: Where browsers are sent to log out there; None if nowhere.
    """

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    algorithms: tuple[str, ...]
    methods: tuple[str, ...]
    challenges: tuple[str, ...]
    names_issuer: bool
    end_session_endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class Departure:
    """A log-in that was begun.

    Attributes:
        url: Where the browser goes.
        state: What it must come back with.
        nonce: What the ID token must name.
        verifier: The secret of PKCE, which the code is exchanged with.
    """

    url: str
    state: str
    nonce: str
    verifier: str


class Provider:
    """The identity provider that the settings name.

    Args:
        settings: Issuer, client and scopes.
        secret: The client's secret; None for a public client.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        settings: SignOnSettings,
        secret: str | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._secret = secret
        self._clock = clock
        self._client = httpx.Client(timeout=CALL_SECONDS, follow_redirects=False)
        self._turns = threading.BoundedSemaphore(CALLS)
        self._lock = threading.Lock()
        self._configuration: tuple[float, Configuration] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def configuration(self) -> Configuration:
        """The discovery document, at most an hour old; an older one while the provider is away.

        Raises:
            ProviderUnavailable: If it was never read, and cannot be.
        """
        with self._lock:
            kept = self._configuration
        if kept is not None and self._clock() - kept[0] < KEPT_SECONDS:
            return kept[1]
        try:
            made = self._discovered()
        except ProviderUnavailable:
            if kept is None:
                raise
            return kept[1]
        with self._lock:
            self._configuration = (self._clock(), made)
        return made

    def _discovered(self) -> Configuration:
        issuer = self._settings.issuer
        found = self._json("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            msg = f"the discovery document is of the issuer {found.get('issuer')!r}, not {issuer!r}"
            raise ProviderUnavailable(msg)
        wanted = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        for name in (*wanted, "userinfo_endpoint", "end_session_endpoint"):
            url = found.get(name)
            if url is None and name not in wanted:
                continue
            if not isinstance(url, str) or not is_secure_url(url):
                msg = f"the discovery document names no usable {name}"
                raise ProviderUnavailable(msg)
        return Configuration(
            found["authorization_endpoint"],
            found["token_endpoint"],
            found["jwks_uri"],
            found.get("userinfo_endpoint"),
            _strings(found.get("id_token_signing_alg_values_supported")),
            _strings(found.get("token_endpoint_auth_methods_supported")),
            _strings(found.get("code_challenge_methods_supported")),
            found.get("authorization_response_iss_parameter_supported") is True,
            found.get("end_session_endpoint"),
        )

    def keys(self, *, anew: bool = False) -> KeySet:
        """The provider's public keys.

        Args:
            anew: Whether a key was not among those that are known; they are then asked for again,
                unless that was done a moment ago.

        Raises:
            ProviderUnavailable: If they cannot be read.
        """
        with self._lock:
            kept = self._keys
        lasts = RENEWED_SECONDS if anew else KEPT_SECONDS
        if kept is not None and self._clock() - kept[0] < lasts:
            return kept[1]
        made = _signing_keys(self._json("GET", self.configuration().jwks_uri))
        with self._lock:
            self._keys = (self._clock(), made)
        return made

    def examined(self) -> str:
        """Read the discovery document and the keys; returns in words what they say.

        Raises:
            ProviderUnavailable: If they cannot be read, or the provider lacks PKCE.
        """
        found = self.configuration()
        if found.challenges and "S256" not in found.challenges:
            msg = "the identity provider offers no PKCE with S256"
            raise ProviderUnavailable(msg)
        if found.algorithms and not set(found.algorithms) & set(ALGORITHMS):
            msg = f"the identity provider signs with none of {', '.join(ALGORITHMS)}"
            raise ProviderUnavailable(msg)
        if self._settings.logout and found.end_session_endpoint is None:
            msg = "the identity provider has no end_session_endpoint: set sso.logout to false"
            raise ProviderUnavailable(msg)
        secret = "a secret" if self._secret else "no secret: a public client"
        return f"{self._settings.issuer}, keys: {len(self.keys().keys)}, {secret}"

    def begin(self, redirect_uri: str) -> Departure:
        """Begin a log-in.

        Args:
            redirect_uri: Where the browser comes back to; the provider must know it.

        Raises:
            ProviderUnavailable: If the provider does not answer.
        """
        state, nonce = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        verifier = secrets.token_urlsafe(64)
        url = prepare_grant_uri(
            self.configuration().authorization_endpoint,
            self._settings.client_id,
            "code",
            redirect_uri,
            " ".join(dict.fromkeys(("openid", *self._settings.scopes))),
            state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return Departure(url, state, nonce, verifier)

    def farewell(self, id_token: str, back_to: str) -> str | None:
        """Where a browser goes to log out at the provider; None if it has no such address.

        See OpenID Connect RP-Initiated Logout 1.0, section 2.

        Args:
            id_token: The ID token of the log-in, by which the provider knows whose session ends.
            back_to: Where the browser comes back to; the provider must know it.

        Raises:
            ProviderUnavailable: If the provider was never read, and does not answer.
        """
        endpoint = self.configuration().end_session_endpoint
        if endpoint is None:
            return None
        asked = {"client_id": self._settings.client_id, "post_logout_redirect_uri": back_to}
        return str(httpx.URL(endpoint).copy_merge_params({"id_token_hint": id_token, **asked}))

    def finish(
        self, code: str, *, verifier: str, nonce: str, redirect_uri: str, issuer: str | None
    ) -> tuple[dict[str, Any], str]:
        """Exchange a code for the verified claims of the person who logged in, and the ID token.

        Args:
            code: The code that the browser came back with.
            verifier: The secret of PKCE.
            nonce: What the ID token must name.
            redirect_uri: As it was begun with.
            issuer: The issuer that the browser came back with; None if it named none.

        Raises:
            ProviderUnavailable: If the provider does not answer.
            TokenRefused: If it refuses the code, or its token does not prove who it was.
        """
        known = self.configuration()
        if issuer != self._settings.issuer and (issuer is not None or known.names_issuer):
            msg = "the answer is of another issuer"
            raise TokenRefused(msg)
        answer = self._exchanged(known, code, verifier, redirect_uri)
        token, access = answer.get("id_token"), answer.get("access_token")
        if not isinstance(token, str):
            msg = "the provider gave no ID token: is the scope openid allowed?"
            raise TokenRefused(msg)
        access = access if isinstance(access, str) else None
        try:
            claims = self._verified(token, self.keys(), nonce, access, known)
        except KeyNotFound:
            claims = self._verified(token, self.keys(anew=True), nonce, access, known)
        path = self._settings.groups_claim
        if groups_of(claims, path) is None and known.userinfo_endpoint and access:
            more = self._json("GET", known.userinfo_endpoint, {"authorization": f"Bearer {access}"})
            # Core 1.0, section 5.3.2: it may be somebody else's.
            if more.get("sub") != claims["sub"]:
                msg = "the provider's further claims are of somebody else"
                raise TokenRefused(msg)
            claims = {**more, **claims}
        return claims, token

    def _verified(
        self, token: str, keys: KeySet, nonce: str, access: str | None, known: Configuration
    ) -> dict[str, Any]:
        return verified_claims(
            token,
            keys,
            issuer=self._settings.issuer,
            client_id=self._settings.client_id,
            nonce=nonce,
            access_token=access,
            offered=known.algorithms,
        )

    def _exchanged(
        self, known: Configuration, code: str, verifier: str, redirect_uri: str
    ) -> Mapping[str, Any]:
        method = "none"
        if self._secret is not None:
            # The default of RFC 8414 is basic; a provider that names methods may lack it.
            basic = not known.methods or "client_secret_basic" in known.methods
            method = "client_secret_basic" if basic else "client_secret_post"
        form = httpx.QueryParams(
            grant_type="authorization_code",
            code=code,
            code_verifier=verifier,
            redirect_uri=redirect_uri,
            client_id=self._settings.client_id,
        )
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
        }
        auth = ClientAuth(self._settings.client_id, self._secret, method)
        url, headers, body = auth.prepare("POST", known.token_endpoint, headers, str(form))
        return self._json("POST", url, dict(headers), body)

    def _json(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: str | bytes | None = None,
    ) -> dict[str, Any]:
        """The object that the provider answers."""
        host = httpx.URL(url).host
        if not self._turns.acquire(timeout=CALL_SECONDS):
            msg = f"the identity provider {host} does not answer: others wait for it already"
            raise ProviderUnavailable(msg)
        try:
            status, text = self._call(method, url, headers, body)
        except httpx.HTTPError as error:
            msg = f"the identity provider {host} does not answer ({type(error).__name__})"
            raise ProviderUnavailable(msg) from None
        finally:
            self._turns.release()
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if 400 <= status < 500 and method == "POST":
            told = found.get("error") if isinstance(found, dict) else None
            kind = told if isinstance(told, str) and told.isidentifier() else str(status)
            if kind in ("invalid_client", "unauthorized_client"):
                _log.error("the identity provider refuses this client: %s", kind)
            msg = f"the provider refuses the code ({kind[:40]})"
            raise TokenRefused(msg)
        if status != 200 or not isinstance(found, dict):
            what = f"status {status}" if status != 200 else "no JSON object"
            msg = f"the identity provider {host} does not answer as one ({what})"
            raise ProviderUnavailable(msg)
        return found

    def _call(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: str | bytes | None,
    ) -> tuple[int, bytes]:
        ends = self._clock() + 2 * CALL_SECONDS
        read = bytearray()
        with self._client.stream(method, url, headers=headers, content=body) as answer:
            for part in answer.iter_bytes():
                read += part
                if len(read) > MAX_ANSWER:
                    msg = "the answer is too large"
                    raise httpx.DecodingError(msg)
                if self._clock() > ends:
                    msg = "the answer takes too long"
                    raise httpx.ReadTimeout(msg)
            return answer.status_code, bytes(read)


def _strings(value: object) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _signing_keys(found: Mapping[str, Any]) -> KeySet:
    """The public keys that sign; those of kinds that are unknown here are no harm."""
    usable = []
    listed = found.get("keys")
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and one.get("use", "sig") == "sig" and one.get("kty") in _KINDS:
            with contextlib.suppress(JoseError, ValueError, TypeError, KeyError):
                usable.append(import_key(one))
    if not usable:
        msg = "the identity provider names no key that signs"
        raise ProviderUnavailable(msg)
    return KeySet(usable)
