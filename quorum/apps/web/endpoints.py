"""Webhooks: verdicts told to a platform's own service, each until it was taken."""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from quorum.apps.web.metrics import DELIVERIES
from quorum.core.errors import ConfigurationError
from quorum.core.messages import Action, Verdict, digest, now
from quorum.core.webhooks import sign_webhook
from quorum.store.ledger import Delivery, DeliveryQueue, Ledger, LedgerUnavailable

__all__ = ["Endpoint", "WebhookDispatcher", "deliveries_of", "read_endpoints"]

_log = logging.getLogger(__name__)

#: Seconds that one try may take.
TRY_SECONDS = 10.0

#: A try that did not report back within this time may be repeated by another worker.
LEASE = timedelta(seconds=60)

#: Seconds from one try to the next, each with some chance: about 28 hours in all, in which an
#: endpoint can be mended.
BACK_OFF = (5, 30, 120, 600, 1800, 3600, 2 * 3600, 4 * 3600, 8 * 3600, 12 * 3600)

#: Seconds between looks for deliveries that are due.
LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A service that wants to be told verdicts.

    Attributes:
        name: Names it in the ledger; another name is another endpoint.
        url: Where it listens.
        secret: Base64; signs what it is told.
        actions: Verdicts with these actions only; empty for all.
    """

    name: str
    url: str
    secret: str
    actions: tuple[Action, ...] = ()


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=64)
    url: str
    secret_env: str
    actions: tuple[Action, ...] = ()


def read_endpoints(path: Path) -> tuple[Endpoint, ...]:
    """Read a file of endpoints: a YAML list of ``name``, ``url``, ``secret_env``, ``actions``.

    Raises:
        ConfigurationError: If the file, a URL or a secret cannot be used.
    """
    try:
        data = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        if not isinstance(data, list):
            raise TypeError
        written = [_Written.model_validate(item) for item in data]
    except OSError as error:
        msg = f"cannot read the webhooks {path}: {error.strerror or error}"
        raise ConfigurationError(msg) from None
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        )
        msg = f"{path}: {told}"
        raise ConfigurationError(msg) from None
    except (YAMLError, UnicodeDecodeError, TypeError):
        msg = f"{path}: must be a YAML list of webhooks, each with name, url and secret_env"
        raise ConfigurationError(msg) from None
    names = [item.name for item in written]
    if len(set(names)) != len(names):
        msg = f"{path}: two webhooks have one name; deliveries are kept by name"
        raise ConfigurationError(msg)
    return tuple(_endpoint(item, path) for item in written)


def _endpoint(item: _Written, path: Path) -> Endpoint:
    secret = os.environ.get(item.secret_env, "")
    if not secret:
        msg = f"{path}: {item.name}: the environment has no {item.secret_env} with its secret"
        raise ConfigurationError(msg)
    parts = urlsplit(item.url)
    if parts.scheme != "https" and not (parts.scheme == "http" and _loopback(parts.hostname)):
        msg = f"{path}: {item.name}: its url must begin with https://"
        raise ConfigurationError(msg)
    sign_webhook(secret, "check", b"", now())
    return Endpoint(item.name, item.url, secret, item.actions)


def _loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def deliveries_of(verdict: Verdict, endpoints: Sequence[Endpoint]) -> list[Delivery]:
    """What is to be told of a verdict, to be recorded together with it."""
    body = json.dumps(
        {
            "type": "verdict",
            "timestamp": verdict.at.isoformat().replace("+00:00", "Z"),
            "data": verdict.model_dump(mode="json"),
        },
        separators=(",", ":"),
    )
    return [
        Delivery(
            id=digest("delivery", endpoint.name, verdict.id),
            endpoint=endpoint.name,
            upload_id=verdict.upload_id,
            verdict_id=verdict.id,
            body=body,
            due_at=verdict.at,
        )
        for endpoint in endpoints
        if not endpoint.actions or verdict.action in endpoint.actions
    ]


class WebhookDispatcher:
    """Tells the ledger's deliveries from a thread of its own, each until it is taken.

    Several may work on one ledger. An endpoint is told again after a time-out or an error; it
    knows the repetition by its ``webhook-id``.

    Args:
        ledger: Holds the deliveries.
        endpoints: Where to.
        client: The HTTP client; by default one that follows no redirect.
    """

    def __init__(
        self,
        ledger: Ledger,
        endpoints: Sequence[Endpoint],
        client: httpx.Client | None = None,
    ) -> None:
        self._queue = DeliveryQueue(ledger)
        self._endpoints = {endpoint.name: endpoint for endpoint in endpoints}
        self._client = client or httpx.Client(timeout=TRY_SECONDS, follow_redirects=False)
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def hurry(self) -> None:
        """There is something new."""
        self._wake.set()

    def close(self, seconds: float = TRY_SECONDS) -> None:
        """End after the try that is under way."""
        self._closing = True
        self._wake.set()
        self._thread.join(seconds)
        self._client.close()

    def _run(self) -> None:
        while not self._closing:
            self._wake.clear()
            try:
                busy = self.tell()
            except LedgerUnavailable as error:
                _log.warning("%s", error)
                busy = False
            if not busy:
                self._wake.wait(LOOK_SECONDS)

    def tell(self) -> bool:
        """Try what is due once; whether there was any."""
        found = self._queue.claim(lease=LEASE, limit=5)
        for delivery in found:
            if self._closing:
                self._queue.postpone(delivery, now(), delivery.error or "shut down")
                continue
            self._try(delivery)
        return bool(found)

    def _try(self, delivery: Delivery) -> None:
        endpoint = self._endpoints.get(delivery.endpoint)
        if endpoint is None:
            # Another worker may know it; none will for ever.
            error: str | None = "no endpoint of this name is set here"
        else:
            error = self._send(endpoint, delivery)
        told = "delivered" if error is None else "failed"
        DELIVERIES.labels(delivery.endpoint, told).inc()
        if error is None:
            self._queue.end(delivery)
        elif delivery.attempts > len(BACK_OFF):
            _log.error("gave %s up for %s: %s", delivery.verdict_id, delivery.endpoint, error)
            self._queue.end(delivery, error)
        else:
            # Spread, so that many deliveries do not all come back at one moment.
            wait = BACK_OFF[delivery.attempts - 1] * random.uniform(0.75, 1.25)  # noqa: S311
            self._queue.postpone(delivery, now() + timedelta(seconds=wait), error)

    def _send(self, endpoint: Endpoint, delivery: Delivery) -> str | None:
        body = delivery.body.encode()
        headers = sign_webhook(endpoint.secret, delivery.id, body, now())
        headers |= {"content-type": "application/json", "user-agent": "quorum"}
        try:
            with self._client.stream(
                "POST", endpoint.url, content=body, headers=headers
            ) as response:
                status = response.status_code
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"[:300]
        except ValueError as error:
            return f"{type(error).__name__}: {error}"[:300]
        return None if 200 <= status < 300 else f"answered {status}"
