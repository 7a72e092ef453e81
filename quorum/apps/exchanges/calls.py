"""Calls of an exchange's API, bounded in time and size, tried again where that may help.

Credentials come from the environment, and no error quotes them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree as ET

import httpx

from quorum.core.errors import ConfigurationError, EngineUnavailable, QuorumError
from quorum.core.secure_urls import is_secure_url

__all__ = ["CallRefused", "Calls", "secret"]

#: Answers after which a call is tried again.
_AGAIN: Final = (429, 500, 502, 503, 504)
_TRIES: Final = 4
_BACKOFF: Final = 0.5
#: The longest that a server may ask to wait.
_MOST_WAIT: Final = 30.0
_SECONDS: Final = 60.0
#: A larger page is refused; a whole list may be larger.
MAX_PAGE: Final = 32 * 1024 * 1024
MAX_LIST: Final = 512 * 1024 * 1024


class CallRefused(QuorumError):
    """An exchange understood a call, and refused it: trying again does not help.

    Args:
        message: What was refused, and the mend.
        status: The HTTP status.
    """

    exit_code = 69

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def secret(variable: str, exchange: str) -> str:
    """A credential of the environment.

    Raises:
        ConfigurationError: If it is not set.
    """
    found = os.environ.get(variable, "")
    if not found:
        msg = f"the exchange {exchange} needs a credential: set {variable} in the environment"
        raise ConfigurationError(msg)
    return found


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of one exchange.

    Attributes:
        name: The exchange's name, for errors.
        headers: Sent with each call.
        auth: Name and password of basic authentication; None for none.
        seconds: Until a call is given up.
        wait: Waits between two tries; a test replaces it.
        transport: How calls are made; a test replaces it.
    """

    name: str
    headers: Mapping[str, str]
    auth: tuple[str, str] | None = None
    seconds: float = _SECONDS
    wait: Callable[[float], None] = time.sleep
    transport: httpx.BaseTransport | None = None

    def get(self, url: str, params: Mapping[str, Any] | None = None, most: int = MAX_PAGE) -> bytes:
        """The answer to a GET, which is tried again after a fault.

        Raises:
            CallRefused: If the exchange refuses it.
            EngineUnavailable: If it does not answer, or with too much.
        """
        return self._tried("GET", url, _TRIES, most, params=params)

    def send(self, method: str, url: str, **content: Any) -> bytes:
        """The answer to a call that changes something, which is made once.

        Raises:
            CallRefused: If the exchange refuses it.
            EngineUnavailable: If it does not answer; it may have taken the call.
        """
        return self._tried(method, url, 1, MAX_PAGE, **content)

    def _tried(self, method: str, url: str, tries: int, most: int, **content: Any) -> bytes:
        if not is_secure_url(url):
            msg = f"the exchange {self.name} names an address that is not https: {url[:200]}"
            raise EngineUnavailable(msg)
        why = ""
        for number in range(1, tries + 1):
            pause = _BACKOFF * 2**number
            try:
                status, data, asked = self._once(method, url, most, content)
            except httpx.HTTPError as error:
                why = f"does not answer ({type(error).__name__})"
            else:
                if status < 300:
                    return data
                if status not in _AGAIN:
                    raise CallRefused(_refusal(self.name, status), status)
                why = f"answers {status}"
                pause = min(asked or pause, _MOST_WAIT)
            if number < tries:
                self.wait(pause)
        msg = f"the exchange {self.name} {why}; what was not done is done at the next call"
        raise EngineUnavailable(msg)

    def _once(
        self, method: str, url: str, most: int, content: Mapping[str, Any]
    ) -> tuple[int, bytes, float | None]:
        client = httpx.Client(
            auth=self.auth,
            headers=dict(self.headers),
            timeout=self.seconds,
            transport=self.transport,
            follow_redirects=False,
        )
        with client, client.stream(method, url, **content) as answer:
            parts, size = [], 0
            for part in answer.iter_bytes():
                size += len(part)
                if size > most:
                    msg = f"the exchange {self.name} answers more than {most:,} bytes"
                    raise EngineUnavailable(msg)
                parts.append(part)
            return answer.status_code, b"".join(parts), _seconds(answer.headers.get("retry-after"))

    def document(self, data: bytes) -> ET.Element:
        """An XML answer, without namespaces.

        Raises:
            EngineUnavailable: If it is none.
        """
        try:
            # Entities are not expanded: no answer has a document type.
            if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
                msg = "it has a document type"
                raise ET.ParseError(msg)
            root = ET.fromstring(data)  # noqa: S314
        except ET.ParseError as error:
            msg = f"the exchange {self.name} answers no XML: {error}"
            raise EngineUnavailable(msg) from None
        for one in root.iter():
            one.tag = one.tag.rpartition("}")[2]
        return root

    def value(self, data: bytes) -> Any:
        """A JSON answer.

        Raises:
            EngineUnavailable: If it is none.
        """
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            msg = f"the exchange {self.name} answers no JSON: {error}"
            raise EngineUnavailable(msg) from None


def _seconds(given: str | None) -> float | None:
    try:
        return None if given is None else max(0.0, float(given))
    except ValueError:
        return None


def _refusal(name: str, status: int) -> str:
    told = f"the exchange {name} answers {status}"
    if status in (401, 403):
        return f"{told}: it refuses the credentials; check the variables of the environment"
    if 300 <= status < 400:
        return f"{told}: it has moved; set its url"
    return told
