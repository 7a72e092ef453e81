"""Webhooks: verdicts delivered to a platform's service, at least once."""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from sqlalchemy import Connection

from quorum.apps.http.loopback import is_loopback
from quorum.apps.web.answers import WebhookBody
from quorum.core import tracing
from quorum.core.errors import ConfigurationError
from quorum.core.messages import Action, Verdict, digest, now
from quorum.core.metrics import WEBHOOK_TRIES
from quorum.core.webhooks import sign_webhook
from quorum.store.ledger import Delivery, DeliveryQueue, Ledger, LedgerUnavailable
from quorum.store.ledger.rows import delivery_row
from quorum.store.ledger.writing import write_deliveries

__all__ = ["Endpoint", "WebhookDispatcher", "deliveries_of", "queue", "read_endpoints"]

_log = logging.getLogger(__name__)

#: Timeout of one attempt, in seconds.
ATTEMPT_SECONDS = 10.0

#: An attempt without a result after this time may be repeated by another worker.
LEASE = timedelta(seconds=60)

#: Seconds between attempts, each with jitter: about 28 hours in all, in which an endpoint can be
#: repaired.
BACK_OFF = (5, 30, 120, 600, 1800, 3600, 2 * 3600, 4 * 3600, 8 * 3600, 12 * 3600)

#: Seconds between polls for deliveries that are due.
POLL_SECONDS = 1.0


#: What a webhook brings.
Event = Literal["verdict", "report", "notice"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A service that receives verdicts.

    Attributes:
        name: Identifies it in the ledger.
        url: Where it listens.
        secret: Key of the signature, in Base64.
        actions: Only verdicts with these actions are sent; empty for all.
        events: What is sent: verdicts, outcomes of users' reports, letters of legal notices.
    """

    name: str
    url: str
    secret: str
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ("verdict",)


class _EndpointEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=64)
    url: str
    secret_env: str
    actions: tuple[Action, ...] = ()
    events: Annotated[tuple[Event, ...], Field(min_length=1)] = ("verdict",)


def read_endpoints(path: Path) -> tuple[Endpoint, ...]:
    """Read a file of endpoints: a YAML list of ``name``, ``url``, ``secret_env``, and more.

    ``actions`` and ``events`` limit what an endpoint gets; see ``Endpoint``.

    Raises:
        ConfigurationError: If the file, a URL or a secret cannot be used.
    """
    try:
        data = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        if not isinstance(data, list):
            raise TypeError
        written = [_EndpointEntry.model_validate(item) for item in data]
    except OSError as error:
        msg = f"cannot read the webhooks {path}: {error.strerror or error}"
        raise ConfigurationError(msg) from None
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        )
        msg = f"{path}: {faults}"
        raise ConfigurationError(msg) from None
    except (YAMLError, UnicodeDecodeError, TypeError):
        msg = f"{path}: must be a YAML list of webhooks, each with name, url and secret_env"
        raise ConfigurationError(msg) from None
    names = [item.name for item in written]
    if len(set(names)) != len(names):
        msg = f"{path}: two webhooks have one name; deliveries are kept by name"
        raise ConfigurationError(msg)
    return tuple(_endpoint(item, path) for item in written)


def _endpoint(item: _EndpointEntry, path: Path) -> Endpoint:
    secret = os.environ.get(item.secret_env, "")
    if not secret:
        msg = f"{path}: {item.name}: the environment has no {item.secret_env} with its secret"
        raise ConfigurationError(msg)
    parts = urlsplit(item.url)
    if parts.scheme != "https" and not (
        parts.scheme == "http" and is_loopback(parts.hostname or "")
    ):
        msg = f"{path}: {item.name}: its url must begin with https://"
        raise ConfigurationError(msg)
    sign_webhook(secret, "check", b"", now())
    return Endpoint(item.name, item.url, secret, item.actions, item.events)


def deliveries_of(
    verdict: Verdict, endpoints: Sequence[Endpoint], trace: str = ""
) -> list[Delivery]:
    """Build the deliveries of a verdict, to be recorded together with it.

    Args:
        verdict: The verdict.
        endpoints: The endpoints; those that do not want it are left out.
        trace: The context of its trace (``quorum.core.tracing``), which the deliveries continue;
            empty for none.
    """
    body = WebhookBody(timestamp=verdict.at, data=verdict).model_dump_json()
    return [
        _delivery(endpoint, (verdict.id,), verdict.id, verdict.upload_id, body, verdict.at, trace)
        for endpoint in endpoints
        if "verdict" in endpoint.events
        and (not endpoint.actions or verdict.action in endpoint.actions)
    ]


def _delivery(
    endpoint: Endpoint,
    key: Sequence[str],
    about: str,
    upload_id: str,
    body: str,
    at: datetime,
    trace: str = "",
) -> Delivery:
    return Delivery(
        id=digest("delivery", endpoint.name, *key),
        endpoint=endpoint.name,
        upload_id=upload_id,
        verdict_id=about,
        body=body,
        due_at=at,
        trace=trace,
    )


def queue(
    connection: Connection,
    endpoints: Sequence[Endpoint],
    key: tuple[str, str, *tuple[str, ...]],
    upload_id: str | None,
    body: str,
    at: datetime,
) -> None:
    """Queue a delivery to each endpoint within a transaction; what is queued stays unchanged.

    Args:
        connection: A transaction that writes.
        endpoints: The endpoints.
        key: What the delivery tells of: its kind, the id of what it is about, and what else makes
            it one of a kind.
        upload_id: The upload; None where none is known.
        body: The request's body, as JSON.
        at: When it is due.
    """
    made = [_delivery(one, key, key[1], upload_id or "", body, at) for one in endpoints]
    write_deliveries(connection, [delivery_row(one) for one in made])


class WebhookDispatcher:
    """Sends the ledger's deliveries from a thread of its own, and retries what fails.

    Several dispatchers may share one ledger. A delivery is repeated after a timeout or an error;
    the endpoint recognises the repetition by its ``webhook-id``.

    Args:
        ledger: Holds the queue of deliveries.
        endpoints: Where deliveries go, by name.
        client: The HTTP client; by default one that follows no redirect.
        before: Called before each look for deliveries; it may queue some.
    """

    def __init__(
        self,
        ledger: Ledger,
        endpoints: Sequence[Endpoint],
        client: httpx.Client | None = None,
        before: Callable[[], Any] | None = None,
    ) -> None:
        self._before = before
        self._queue = DeliveryQueue(ledger)
        self._endpoints = {endpoint.name: endpoint for endpoint in endpoints}
        self._client = client or httpx.Client(timeout=ATTEMPT_SECONDS, follow_redirects=False)
        self._awake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Look for new deliveries now, without waiting for the next poll."""
        self._awake.set()

    def close(self, seconds: float = ATTEMPT_SECONDS) -> None:
        """Stop after the attempt that is under way."""
        self._closing = True
        self._awake.set()
        self._thread.join(seconds)
        self._client.close()

    def _run(self) -> None:
        while not self._closing:
            self._awake.clear()
            try:
                if self._before is not None:
                    self._before()
                busy = self.deliver_due()
            except LedgerUnavailable as error:
                _log.warning("%s", error)
                busy = False
            if not busy:
                self._awake.wait(POLL_SECONDS)

    def deliver_due(self) -> bool:
        """Attempt each delivery that is due once; whether there were any."""
        found = self._queue.claim(lease=LEASE, limit=5)
        for delivery in found:
            if self._closing:
                self._queue.postpone(delivery, now(), delivery.error or "shut down")
                continue
            self._attempt(delivery)
        return bool(found)

    def _attempt(self, delivery: Delivery) -> None:
        endpoint = self._endpoints.get(delivery.endpoint)
        if endpoint is None:
            # Another worker may have it; the delivery expires if none does.
            error: str | None = "no endpoint of this name is configured here"
        else:
            error = self._send(endpoint, delivery)
        outcome = "delivered" if error is None else "failed"
        WEBHOOK_TRIES.labels(delivery.endpoint, outcome).inc()
        if error is None:
            self._queue.end(delivery)
        elif delivery.attempts > len(BACK_OFF):
            _log.error("gave %s up for %s: %s", delivery.verdict_id, delivery.endpoint, error)
            self._queue.end(delivery, error)
        else:
            # Jitter, so that many deliveries are not all retried at one moment.
            wait = BACK_OFF[delivery.attempts - 1] * random.uniform(0.75, 1.25)  # noqa: S311
            self._queue.postpone(delivery, now() + timedelta(seconds=wait), error)

    def _send(self, endpoint: Endpoint, delivery: Delivery) -> str | None:
        body = delivery.body.encode()
        headers = sign_webhook(endpoint.secret, delivery.id, body, now())
        headers |= {"content-type": "application/json", "user-agent": "quorum"}
        span = tracing.begun(
            "deliver verdict",
            delivery.trace,
            kind="client",
            upload_id=delivery.upload_id,
            endpoint=endpoint.name,
            attempt=delivery.attempts,
        )
        error = self._post(endpoint, body, headers | tracing.attributes_of(span.context))
        span.end(error or "")
        return error

    def _post(self, endpoint: Endpoint, body: bytes, headers: dict[str, str]) -> str | None:
        """Send a request; why it was not taken, or None."""
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
