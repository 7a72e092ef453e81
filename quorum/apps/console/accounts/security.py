"""Security headers, and checks of host, origin and size of each request."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["MAX_BODY", "SecurityMiddleware", "content_security_policy"]

#: Large enough that a form with an oversized note is returned to its author with the reason.
MAX_BODY = 8 * 1024 * 1024


def content_security_policy(media_hosts: Iterable[str]) -> str:
    """Return a policy without inline code; only media may come from other hosts."""
    media = " ".join(["'self'", *(f"https://{host}" for host in media_hosts)])
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"media-src {media}; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )


class SecurityMiddleware:
    """ASGI middleware: sets security headers, rejects cross-site forms and oversized bodies.

    Args:
        app: The application.
        policy: The content security policy.
        hosts: Accepted host names; ``*`` for any.
        secure: Whether browsers connect by https.
    """

    def __init__(self, app: ASGIApp, *, policy: str, hosts: tuple[str, ...], secure: bool) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._headers = {
            "content-security-policy": policy,
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            "referrer-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "permissions-policy": "camera=(), microphone=(), geolocation=()",
        }
        if secure:
            self._headers["strict-transport-security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                if "cache-control" not in headers:
                    headers["cache-control"] = "no-store"
            await send(message)

        refusal = self._refusal(scope["method"], scope["path"], Headers(scope=scope))
        if refusal is not None:
            await PlainTextResponse(refusal[1], refusal[0])(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)

    def _refusal(self, method: str, path: str, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        name = host if host.endswith("]") else host.rsplit(":", 1)[0]
        if "*" not in self._hosts and name not in self._hosts:
            return 421, "This host name is not allowed; see --allow-host."
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length[:20]) > MAX_BODY:
            return 413, "This form is too large. Nothing was changed: go back and shorten it."
        if method in ("GET", "HEAD") or path.startswith("/api/"):
            return None
        origin = headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc != host
        if foreign or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "This form was sent from another site. Nothing was changed."
        return None
