"""A small identity provider on loopback: OpenID Connect with real keys, and faults on demand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from quorum.core.sign_on_settings import SignOnSettings

CLIENT, SECRET = "quorum-console", "the client's secret"


class IdentityProvider:
    """Who asks it to log in is ``person``, at once, without a page of its own.

    Attributes:
        person: The claims of the person whose browser comes.
        fault: What it does wrong; empty for nothing.
        asked: The paths of the calls so far.
        ended: Whose sessions were ended here.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.key = self._new_key("k1")
        self._codes: dict[str, dict[str, str]] = {}
        self.reset()
        self._start(0)

    def reset(self) -> None:
        """Forget what a test did."""
        self.person: dict[str, Any] = {
            "sub": "sub-1",
            "preferred_username": "kim",
            "groups": ["moderators"],
        }
        self.fault = ""
        self.asked.clear()
        self.ended: list[str] = []
        self.userinfo: dict[str, Any] = {}

    @staticmethod
    def _new_key(kid: str) -> ECKey:
        return ECKey.generate_key("P-256", {"kid": kid, "use": "sig", "alg": "ES256"})

    def _start(self, port: int) -> None:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider._answer(self, {})

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                form = parse_qs(self.rfile.read(length).decode())
                provider._answer(self, {name: values[0] for name, values in form.items()})

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.port = self._server.server_address[1]
        self.issuer = f"http://127.0.0.1:{self.port}/realms/staff"

    def stop(self) -> None:
        """Go away; nobody listens on the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def start_again(self) -> None:
        self._start(self.port)

    def rotate(self) -> None:
        """Sign with a new key, and forget the former."""
        self.key = self._new_key(f"k{secrets.token_hex(3)}")

    def settings(self, **more: Any) -> SignOnSettings:
        given = {
            "issuer": self.issuer,
            "client_id": CLIENT,
            "name": "Staff ID",
            "roles": {"leads": "lead", "moderators": "reviewer", "auditors": "auditor"},
        }
        return SignOnSettings(**{**given, **more})

    def _answer(self, handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        url = urlsplit(handler.path)
        path = url.path.removeprefix("/realms/staff")
        self.asked.append(path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if path == "/authorize":
            handler.send_response(302)
            handler.send_header("location", self.authorized(query))
            handler.end_headers()
            return
        if path == "/logout":
            back = self._logged_out(query)
            handler.send_response(400 if back is None else 302)
            if back is not None:
                handler.send_header("location", back)
            handler.end_headers()
            return
        status, body = 404, {}
        if path == "/.well-known/openid-configuration":
            status, body = 200, self._discovery()
        elif path == "/keys":
            # A key of a kind that nobody knows yet is no harm.
            keys = [{"kty": "LATTICE", "kid": "new"}, self.key.as_dict(private=False)]
            status, body = 200, {"keys": keys}
        elif path == "/token":
            status, body = self._token(handler.headers.get("authorization", ""), form)
        elif path == "/userinfo":
            status, body = 200, {"sub": self.person["sub"], **self.userinfo}
        if self.fault == "broken" and path == "/token":
            status = 500
        raw = json.dumps(body).encode()
        if self.fault == "endless" and path == "/token":
            raw = b"[" * 3_000_000
        handler.send_response(status)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(raw)))
        handler.end_headers()
        with suppress(OSError):
            handler.wfile.write(raw)

    def _discovery(self) -> dict[str, Any]:
        issuer = "https://other.example" if self.fault == "other issuer" else self.issuer
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            **({} if self.fault == "no logout" else {"end_session_endpoint": self.logout}),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }

    def authorized(self, query: dict[str, str]) -> str:
        """Where the browser is sent back to, with a code or an error."""
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        back: dict[str, str] = {"state": query["state"], "iss": self.issuer}
        if self.fault == "denied":
            back["error"] = "access_denied"
        else:
            code = secrets.token_urlsafe(16)
            self._codes[code] = query
            back["code"] = code
        if self.fault == "mixed up":
            back["iss"] = "https://evil.example"
        return f"{query['redirect_uri']}?{urlencode(back)}"

    @property
    def logout(self) -> str:
        """Where browsers log out; it has a query of its own, as some have."""
        return f"{self.issuer}/logout?theme=plain"

    def _logged_out(self, query: dict[str, str]) -> str | None:
        """End the session that the ID token names; where the browser goes, None if refused."""
        try:
            token = jwt.decode(query["id_token_hint"], self.key, algorithms=["ES256"])
        except (KeyError, ValueError, JoseError):
            return None
        back = query.get("post_logout_redirect_uri")
        known = urlsplit(back or "").path == "/login"
        if not known or query.get("client_id") != CLIENT or token.claims["aud"] != CLIENT:
            return None
        self.ended.append(token.claims["sub"])
        return back

    def _token(self, authorization: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if authorization != f"Basic {basic}":
            return 401, {"error": "invalid_client"}
        asked = self._codes.pop(form["code"], None)
        challenge = base64.urlsafe_b64encode(
            hashlib.sha256(form["code_verifier"].encode()).digest()
        ).rstrip(b"=")
        if (
            asked is None
            or challenge.decode() != asked["code_challenge"]
            or form["redirect_uri"] != asked["redirect_uri"]
        ):
            return 400, {"error": "invalid_grant"}
        return 200, {
            "access_token": "access",
            "token_type": "Bearer",
            "id_token": self.id_token(asked["nonce"]),
        }

    def id_token(self, nonce: str) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            **self.person,
        }
        claims |= {
            "wrong nonce": {"nonce": "of another log-in"},
            "wrong audience": {"aud": "another-application"},
            "wrong party": {"aud": [CLIENT, "another"], "azp": "another"},
            "wrong issuer": {"iss": "https://other.example"},
            "expired": {"iat": now - 900, "exp": now - 600},
            "from the future": {"iat": now + 900, "nbf": now + 900, "exp": now + 1200},
            "nobody": {"sub": ""},
        }.get(self.fault, {})
        if self.fault == "no nonce":
            del claims["nonce"]
        if self.fault == "no expiry":
            del claims["exp"]
        header = {"alg": "ES256", "kid": self.key.kid}
        if self.fault == "alg none":
            return f"{_coded({'alg': 'none'})}.{_coded(claims)}."
        if self.fault == "shared secret":
            # The public key as the secret of an HMAC: the known confusion of algorithms.
            head = _coded({**header, "alg": "HS256"}) + "." + _coded(claims)
            code = hmac.digest(self.key.as_pem(private=False), head.encode(), "sha256")
            return f"{head}.{base64.urlsafe_b64encode(code).rstrip(b'=').decode()}"
        if self.fault == "stranger's key":
            stranger = self._new_key(str(self.key.kid))
            return jwt.encode(header, claims, stranger, algorithms=["ES256"])
        if self.fault == "tampered":
            token = jwt.encode(header, claims, self.key, algorithms=["ES256"])
            head, _, tail = token.split(".")
            return f"{head}.{_coded({**claims, 'groups': ['leads']})}.{tail}"
        return jwt.encode(header, claims, KeySet([self.key]), algorithms=["ES256"])


def _coded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    made = IdentityProvider()
    try:
        yield made
    finally:
        made.stop()
