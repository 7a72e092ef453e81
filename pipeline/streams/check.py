"""Whether the streams of a job are there, told before it starts and not in its midst."""

from __future__ import annotations

from collections.abc import Iterable

from google.api_core import exceptions as google_errors
from google.api_core import retry as google_retry
from google.auth import exceptions as auth_errors

from pipeline.streams.address import Address, AddressKind, parse_address
from pipeline.streams.pubsub_clients import emulator_host, publisher_client, subscriber_client
from quorum.errors import ConfigurationError, EngineUnavailable

__all__ = ["check_streams"]

_SECONDS = 10.0


def check_streams(addresses: Iterable[str | None]) -> None:
    """Ask Pub/Sub for each topic and subscription; files are looked at where they are opened.

    Who may only publish or pull is not allowed to ask, and is believed.

    Raises:
        ConfigurationError: If one is absent, or there are no credentials.
        EngineUnavailable: If Pub/Sub does not answer.
    """
    for text in addresses:
        if text and (address := parse_address(text)).kind is not AddressKind.FILE:
            _check(address)


def _check(address: Address) -> None:
    retry = google_retry.Retry(timeout=_SECONDS)
    try:
        if address.kind is AddressKind.SUBSCRIPTION:
            subscriber_client().get_subscription(
                subscription=address.path, retry=retry, timeout=_SECONDS
            )
        else:
            publisher_client().get_topic(topic=address.path, retry=retry, timeout=_SECONDS)
    except google_errors.PermissionDenied:
        return
    except (google_errors.NotFound, google_errors.InvalidArgument):
        msg = (
            f"there is no {address.kind.value} {address}; `quorum topics create --project "
            f"{address.path.split('/')[1]}` makes what a deployment needs"
        )
        raise ConfigurationError(msg) from None
    except (google_errors.GoogleAPIError, auth_errors.TransportError) as error:
        where = f"the emulator at {emulator_host()}" if emulator_host() else "Pub/Sub"
        msg = f"{where} does not answer: {' '.join(str(error).split())}"
        raise EngineUnavailable(msg) from None
    except auth_errors.GoogleAuthError as error:
        msg = f"Google Cloud refuses the credentials: {' '.join(str(error).split())}"
        raise ConfigurationError(msg) from None
