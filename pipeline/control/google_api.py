"""Google's interfaces over HTTP, with the credentials of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from quorum.core.errors import ConfigurationError, EngineUnavailable, QuorumError

__all__ = ["GoogleApi", "GoogleRefused", "NotFound"]

_SECONDS = 30.0
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class GoogleRefused(QuorumError):
    """A request that Google's interface answered with an error."""


class NotFound(GoogleRefused):
    """Something that it does not know."""


class GoogleApi:
    """One of Google's interfaces.

    Args:
        url: Where it is; one on ``http://`` is a stand-in and is given no credentials.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._credentials: Any = None

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """What the interface answers to a request.

        Args:
            method: Of HTTP.
            path: From the root.
            query: The query.
            body: What is sent as JSON.

        Raises:
            NotFound: If it does not know what is asked for.
            GoogleRefused: If it answers with another error.
            ConfigurationError: If there are no credentials.
            EngineUnavailable: If it does not answer.
        """
        try:
            answer = httpx.request(
                method,
                f"{self.url}{path}",
                params=query,
                json=body,
                headers=self._headers(),
                timeout=_SECONDS,
            )
            told = answer.json() if answer.content else {}
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            msg = f"{self.url} does not answer: {error or type(error).__name__}"
            raise EngineUnavailable(msg) from None
        if answer.is_error:
            reason = (told.get("error") or {}).get("message") or f"status {answer.status_code}"
            refused = NotFound if answer.status_code == httpx.codes.NOT_FOUND else GoogleRefused
            msg = f"{self.url} answers: {reason}"
            raise refused(msg)
        return dict(told)

    def _headers(self) -> dict[str, str]:
        if self.url.startswith("http://"):
            return {}
        import google.auth
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request

        try:
            if self._credentials is None:
                self._credentials, _ = google.auth.default(scopes=[_SCOPE])
            if not self._credentials.valid:
                self._credentials.refresh(Request())
        except GoogleAuthError as error:
            msg = f"no credentials for {self.url}: {error}; see `gcloud auth application-default`"
            raise ConfigurationError(msg) from None
        return {"authorization": f"Bearer {self._credentials.token}"}
