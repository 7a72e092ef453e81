"""Clients of Google Pub/Sub: the generated ones, or the emulator's where it is named."""

from __future__ import annotations

import os
from functools import partial
from typing import Any, cast

import grpc
from google.auth.exceptions import DefaultCredentialsError
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from quorum.core.errors import ConfigurationError

__all__ = ["emulator_host", "publisher_client", "subscriber_client"]

#: Pub/Sub's own limit is 10 MB a message; gRPC's default for what is received is 4 MB.
_CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
]
#: After an absence of the broker gRPC would wait for up to two minutes before it connects again.
_RECONNECT_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]


def emulator_host() -> str | None:
    """Where the emulator listens, from ``PUBSUB_EMULATOR_HOST``."""
    return os.environ.get("PUBSUB_EMULATOR_HOST") or None


def publisher_client() -> PublisherClient:
    """A client that publishes and that makes topics.

    Raises:
        ConfigurationError: If there are no credentials of Google Cloud.
    """
    if host := emulator_host():
        channel = grpc.insecure_channel(host, options=[*_CHANNEL_OPTIONS, *_RECONNECT_OPTIONS])
        transport: Any = PublisherGrpcTransport(channel=channel)
        return PublisherClient(transport=transport)
    return cast("PublisherClient", _with_credentials(PublisherClient, PublisherGrpcTransport))


def subscriber_client() -> SubscriberClient:
    """A client that pulls and acknowledges and that makes subscriptions.

    Raises:
        ConfigurationError: If there are no credentials of Google Cloud.
    """
    if host := emulator_host():
        channel = grpc.insecure_channel(host, options=[*_CHANNEL_OPTIONS, *_RECONNECT_OPTIONS])
        transport: Any = SubscriberGrpcTransport(channel=channel)
        return SubscriberClient(transport=transport)
    return cast("SubscriberClient", _with_credentials(SubscriberClient, SubscriberGrpcTransport))


def _with_credentials(client: Any, transport: Any) -> Any:
    def connect(host: str, *, options: Any = (), **more: Any) -> grpc.Channel:
        made: grpc.Channel = transport.create_channel(
            host, options=[*options, *_RECONNECT_OPTIONS], **more
        )
        return made

    try:
        return client(transport=partial(transport, channel=connect))
    except DefaultCredentialsError:
        msg = (
            "there are no credentials of Google Cloud: run `gcloud auth application-default login`,"
            " name a key in GOOGLE_APPLICATION_CREDENTIALS, or an emulator in PUBSUB_EMULATOR_HOST"
        )
        raise ConfigurationError(msg) from None
