"""A client of the web service, for platforms in Python.

with Client("https://quorum.example.org", key="qm_…") as client:
    response = client.moderate(upload)
    if response.verdict.action is Action.REMOVE:
        ...
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx

from quorum.core.errors import InputError, QuorumError
from quorum.core.messages import Message, Prediction, Upload, Verdict
from quorum.core.webhooks import WebhookRefused, verify_webhook

__all__ = [
    "Client",
    "ModerationResponse",
    "RequestRefused",
    "ServiceUnavailable",
    "UploadStatus",
    "WebhookRefused",
    "read_webhook",
    "verify_webhook",
]

M = TypeVar("M", bound=Message)

#: HTTP statuses after which the request is retried.
_RETRIED = frozenset({429, 502, 503, 504})


class RequestRefused(InputError):
    """The service refuses the request; a retry would not help.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{detail} (HTTP {status})")
        self.status = status


class ServiceUnavailable(QuorumError):
    """The service cannot be reached, or stayed overloaded until the retries ended."""

    exit_code = 69


@dataclass(frozen=True, slots=True)
class ModerationResponse:
    """The response to a moderation request.

    Attributes:
        verdict: The verdict on the upload.
        predictions: The detectors' predictions with their evidence.
        recorded: Whether the service's ledger has recorded it.
    """

    verdict: Verdict
    predictions: tuple[Prediction, ...]
    recorded: bool = True


@dataclass(frozen=True, slots=True)
class UploadStatus:
    """The current state of an upload.

    Attributes:
        verdict: The current verdict.
        earlier: The superseded verdicts, oldest first.
        predictions: The detectors' predictions.
    """

    verdict: Verdict
    earlier: tuple[Verdict, ...]
    predictions: tuple[Prediction, ...]


class Client:
    """A client of one Quorum service.

    A request that fails to connect, or that the service is too busy for, is retried with the same
    idempotency key.

    Args:
        url: The service's base URL.
        key: The API key.
        timeout: Seconds until one attempt times out; must exceed the policy's deadline.
        patience: Seconds until the retries end.
        transport: Another HTTP transport, for tests.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 60.0,
        patience: float = 120.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._patience = patience
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=timeout, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def moderate(self, upload: Upload, media: bytes | None = None) -> ModerationResponse:
        """Moderate one upload.

        Args:
            upload: The upload.
            media: Its media, if the service cannot fetch it from the upload's ``media`` URI.

        Raises:
            RequestRefused: If the service refuses the upload.
            ServiceUnavailable: If there is no response in time.
        """
        if media is None:
            body: dict[str, Any] = {
                "content": upload.to_bytes(),
                "headers": {"content-type": "application/json"},
            }
        else:
            body = {
                "data": {"upload": upload.to_bytes().decode()},
                "files": {"media": ("media", media)},
            }
        response = self._request("POST", "/v1/moderate", **body)
        return _moderation(response.json(), response)

    def moderate_batch(
        self, uploads: Sequence[Upload]
    ) -> list[ModerationResponse | RequestRefused]:
        """Moderate a batch of uploads.

        Returns:
            For each upload, in their order, its response, or the error if it alone was refused.

        Raises:
            RequestRefused: If the service refuses the whole batch.
            ServiceUnavailable: If there is no response in time.
        """
        body = b'{"uploads":[' + b",".join(upload.to_bytes() for upload in uploads) + b"]}"
        response = self._request(
            "POST",
            "/v1/moderate:batch",
            content=body,
            headers={"content-type": "application/json"},
        )
        return [
            RequestRefused(one["problem"]["status"], one["problem"]["detail"])
            if "problem" in one
            else _moderation(one, response)
            for one in response.json()["results"]
        ]

    def status(self, upload_id: str) -> UploadStatus | None:
        """The current state of an upload; None if the service has no verdict on it.

        Raises:
            RequestRefused: If the API key is not allowed to read it.
            ServiceUnavailable: If there is no response in time.
        """
        try:
            found = self._request("GET", f"/v1/verdicts/{quote(upload_id, safe='')}").json()
        except RequestRefused as refused:
            if refused.status == 404:
                return None
            raise
        return UploadStatus(
            _read(Verdict, found["verdict"]),
            tuple(_read(Verdict, one) for one in found["earlier"]),
            tuple(_read(Prediction, one) for one in found["predictions"]),
        )

    def _request(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"idempotency-key": uuid.uuid4().hex, **more.pop("headers", {})}
        end = time.monotonic() + self._patience
        wait = 0.5
        while True:
            after = ""
            try:
                response = self._http.request(method, path, headers=headers, **more)
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                if response.status_code < 400:
                    return response
                problem = _detail(response)
                if response.status_code not in _RETRIED:
                    raise RequestRefused(response.status_code, problem)
                after = response.headers.get("retry-after", "")
            if after.isdigit():
                wait = float(after)
            # Jitter, so that clients that were rejected together do not retry together.
            pause = wait * random.uniform(1.0, 1.25)  # noqa: S311
            if time.monotonic() + pause > end:
                msg = f"the service did not answer within {self._patience:g} s: {problem}"
                raise ServiceUnavailable(msg)
            time.sleep(pause)
            wait = min(wait * 2, 30.0)


def read_webhook(secret: str, headers: Mapping[str, str], body: bytes) -> tuple[str, Verdict]:
    """Verify a webhook and read its verdict.

    Args:
        secret: The endpoint's secret: base64, with or without ``whsec_``.
        headers: The request's headers.
        body: The request's body, unchanged.

    Returns:
        The webhook's id, which is the same for each attempt to deliver it, and the verdict.

    Raises:
        WebhookRefused: If the signature or the time is wrong.
        MalformedMessage: If the body holds no valid verdict.
    """
    message_id = verify_webhook(secret, headers, body)
    return message_id, _read(Verdict, json.loads(body)["data"])


def _read(kind: type[M], value: object) -> M:
    return kind.from_bytes(json.dumps(value).encode())


def _moderation(found: Any, response: httpx.Response) -> ModerationResponse:
    return ModerationResponse(
        _read(Verdict, found["verdict"]),
        tuple(_read(Prediction, one) for one in found["predictions"]),
        response.headers.get("quorum-recorded") != "pending",
    )


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the service answered {response.status_code}"
