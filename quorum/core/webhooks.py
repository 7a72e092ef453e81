"""Signs and verifies webhooks as Standard Webhooks defines it; used by the service and the client.

A receiver that verifies the signature and the time, and rejects ids that it has already seen
within the tolerance, is safe from forged and replayed webhooks.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from quorum.core.errors import ConfigurationError, InputError

__all__ = ["TOLERANCE_SECONDS", "WebhookRefused", "sign_webhook", "verify_webhook"]

#: The allowed difference of the sender's and the receiver's clocks, with the transmission.
TOLERANCE_SECONDS = 300

_PREFIX = "whsec_"

#: Seconds since 1970 as they are signed; ``int`` would take signs, spaces and hundreds of digits.
_SECONDS = re.compile(r"[0-9]{1,12}")

#: Shorter secrets are refused.
MIN_SECRET_BYTES = 24


class WebhookRefused(InputError):
    """A webhook with a wrong signature or an expired time."""


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < MIN_SECRET_BYTES:
        msg = (
            f"a webhook's secret must be base64 of at least {MIN_SECRET_BYTES} random bytes; "
            "make one with: openssl rand -base64 32"
        )
        raise ConfigurationError(msg)
    return key


def sign_webhook(secret: str, message_id: str, body: bytes, at: datetime) -> dict[str, str]:
    """Sign a webhook.

    Args:
        secret: Base64, with or without ``whsec_``.
        message_id: The same for each attempt.
        body: The request's body.
        at: The time of this attempt.

    Returns:
        The headers to send.

    Raises:
        ConfigurationError: If the secret is invalid.
    """
    seconds = str(int(at.timestamp()))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{_signature(_key(secret), message_id, seconds, body)}",
    }


def verify_webhook(
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: datetime | None = None,
    tolerance: float = TOLERANCE_SECONDS,
) -> str:
    """Verify the signature and the time of a webhook.

    Args:
        secret: Base64, with or without ``whsec_``.
        headers: The request's headers; their case does not matter.
        body: The request's body, unchanged.
        now: The receiver's time; by default the current time.
        tolerance: Seconds that the sender's time may differ.

    Returns:
        The webhook's id, which is the same for each attempt to deliver it.

    Raises:
        WebhookRefused: If a header is missing, the time differs too much, or no signature matches.
        ConfigurationError: If the secret is invalid.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message_id = given["webhook-id"]
        seconds = given["webhook-timestamp"]
        signatures = given["webhook-signature"]
    except KeyError as error:
        msg = f"the header {error.args[0]} is missing"
        raise WebhookRefused(msg) from None
    if not _SECONDS.fullmatch(seconds):
        msg = "webhook-timestamp is not a number of seconds"
        raise WebhookRefused(msg)
    if abs((now or datetime.now(UTC)).timestamp() - int(seconds)) > tolerance:
        msg = f"the webhook is more than {tolerance:g} s old or ahead"
        raise WebhookRefused(msg)
    wanted = _signature(_key(secret), message_id, seconds, body).encode()
    for signature in signatures.split():
        version, _, value = signature.partition(",")
        if version == "v1" and hmac.compare_digest(value.encode(), wanted):
            return message_id
    msg = "no signature of the webhook fits the secret"
    raise WebhookRefused(msg)


def _signature(key: bytes, message_id: str, seconds: str, body: bytes) -> str:
    signed = message_id.encode() + b"." + seconds.encode() + b"." + body
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
