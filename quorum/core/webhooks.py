"""The signature of a webhook, as Standard Webhooks defines it: for the sender and the receiver.

A receiver that checks the signature and the time, and remembers the ids of the last minutes,
cannot be told a verdict by anyone else, nor told an old one again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime

from quorum.core.errors import ConfigurationError, InputError

__all__ = ["TOLERANCE_SECONDS", "WebhookRefused", "sign_webhook", "verify_webhook"]

#: How far the sender's and the receiver's clocks may be apart, with the way between them.
TOLERANCE_SECONDS = 300

_PREFIX = "whsec_"

#: A shorter secret could be guessed.
MIN_SECRET_BYTES = 24


class WebhookRefused(InputError):
    """A webhook that is not from whom it says, or not of now."""


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
    """The headers that a webhook is sent with.

    Args:
        secret: Base64, with or without ``whsec_``.
        message_id: The same for each try.
        body: Exactly what is sent.
        at: The time of this try.

    Raises:
        ConfigurationError: If the secret is not usable.
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
    """Check who sent a webhook and when; returns its id, by which a repetition is known.

    Args:
        secret: Base64, with or without ``whsec_``.
        headers: The request's headers, in any case.
        body: The body as it came.
        now: The receiver's time; by default the clock's.
        tolerance: Seconds that the sender's time may differ.

    Raises:
        WebhookRefused: If a header lacks, the time is too far, or no signature fits.
        ConfigurationError: If the secret is not usable.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message_id = given["webhook-id"]
        seconds = given["webhook-timestamp"]
        signatures = given["webhook-signature"]
        at = int(seconds)
    except KeyError as error:
        msg = f"the header {error.args[0]} is missing"
        raise WebhookRefused(msg) from None
    except ValueError:
        msg = "webhook-timestamp is not a number of seconds"
        raise WebhookRefused(msg) from None
    if abs((now or datetime.now(UTC)).timestamp() - at) > tolerance:
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
