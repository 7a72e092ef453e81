"""Clients of Google Pub/Sub: the generated ones, or the emulator's where it is named."""

from __future__ import annotations

import os
from typing import Any

import grpc
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

__all__ = ["emulator_host", "publisher_client", "subscriber_client"]

#: Pub/Sub's own limit is 10 MB a message; gRPC's default for what is received is 4 MB.
_CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
]


def emulator_host() -> str | None:
    """Where the emulator listens, from ``PUBSUB_EMULATOR_HOST``."""
    return os.environ.get("PUBSUB_EMULATOR_HOST") or None


def publisher_client() -> PublisherClient:
    """A client that publishes and that makes topics."""
    if host := emulator_host():
        channel = grpc.insecure_channel(host, options=_CHANNEL_OPTIONS)
        transport: Any = PublisherGrpcTransport(channel=channel)
        return PublisherClient(transport=transport)
    return PublisherClient()


def subscriber_client() -> SubscriberClient:
    """A client that pulls and acknowledges and that makes subscriptions."""
    if host := emulator_host():
        channel = grpc.insecure_channel(host, options=_CHANNEL_OPTIONS)
        transport: Any = SubscriberGrpcTransport(channel=channel)
        return SubscriberClient(transport=transport)
    return SubscriberClient()
