"""Check before a job starts that its streams exist."""

from __future__ import annotations

from collections.abc import Iterable

from google.api_core import exceptions as google_errors
from google.api_core import retry as google_retry
from google.auth import exceptions as auth_errors

from quorum.core.errors import ConfigurationError, EngineUnavailable
from quorum.pipeline.streams.address import Address, AddressKind, KafkaAddress, parse_address
from quorum.pipeline.streams.pubsub_clients import (
    emulator_host,
    publisher_client,
    subscriber_client,
)

__all__ = ["NoSuchStream", "check_streams"]

_SECONDS = 10.0


class NoSuchStream(ConfigurationError):
    """A topic or subscription that a broker does not know."""


def check_streams(addresses: Iterable[str | None], *, mend: str = "") -> None:
    """Ask the brokers for each topic and subscription; files are looked at where they are opened.

    Who may only publish or pull is not allowed to ask, and is believed.

    Args:
        addresses: Where a job reads and writes; None for nowhere.
        mend: Options that ``quorum topics create`` needs to make them.

    Raises:
        NoSuchStream: If some are absent, all of which it names.
        ConfigurationError: If there are no credentials.
        EngineUnavailable: If a broker does not answer.
    """
    streams = [parse_address(text) for text in addresses if text]
    absent = [each for each in streams if each.kind is not AddressKind.FILE and not _is_there(each)]
    if absent:
        named = ", no ".join(f"{each.kind.value} {each}" for each in absent)
        command = f"quorum topics create {_where(absent[0])} {mend}".rstrip()
        msg = f"there is no {named}; `{command}` makes what a deployment needs"
        raise NoSuchStream(msg)


def _where(address: Address) -> str:
    """Options of ``quorum topics create`` that say where."""
    if address.kind is AddressKind.KAFKA:
        return f"--kafka {KafkaAddress.parse(address.path).brokers}"
    return f"--project {address.path.split('/')[1]}"


def _is_there(address: Address) -> bool:
    if address.kind is AddressKind.KAFKA:
        from quorum.pipeline.streams.kafka_admin import KafkaCluster

        found = KafkaAddress.parse(address.path)
        return KafkaCluster(found.brokers).has(found.topic)
    retry = google_retry.Retry(timeout=_SECONDS)
    try:
        if address.kind is AddressKind.SUBSCRIPTION:
            subscriber_client().get_subscription(
                subscription=address.path, retry=retry, timeout=_SECONDS
            )
        else:
            publisher_client().get_topic(topic=address.path, retry=retry, timeout=_SECONDS)
    except google_errors.PermissionDenied:
        return True
    except (google_errors.NotFound, google_errors.InvalidArgument):
        return False
    except (google_errors.GoogleAPIError, auth_errors.TransportError) as error:
        where = f"the emulator at {emulator_host()}" if emulator_host() else "Pub/Sub"
        msg = f"{where} does not answer: {' '.join(str(error).split())}"
        raise EngineUnavailable(msg) from None
    except auth_errors.GoogleAuthError as error:
        msg = f"Google Cloud refuses the credentials: {' '.join(str(error).split())}"
        raise ConfigurationError(msg) from None
    return True
