"""A tap on the broker: passes each call of the job on, and records what it pulls, acks, publishes.

It sits between the network (``proxy``) and the emulator, so that what it sees of the job is what
the broker sees, and when.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.pubsub_v1.types import AcknowledgeRequest, PublishRequest, PullRequest, PullResponse

from benchmarks.soak.history import Acked, Delivered, History, Stored, key_of
from quorum.core.messages import DeadLetter

__all__ = ["Tap"]

_OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
_PULL, _ACK, _PUBLISH = "Subscriber/Pull", "Subscriber/Acknowledge", "Publisher/Publish"
_PullRequest: Any = PullRequest.pb()
_PullResponse: Any = PullResponse.pb()
_AcknowledgeRequest: Any = AcknowledgeRequest.pb()
_PublishRequest: Any = PublishRequest.pb()
_CALLS = 64


def _stream(path: str, prefix: str) -> str:
    """``uploads`` of ``projects/P/subscriptions/soak-uploads-stream``."""
    name = path.rsplit("/", 1)[-1].removeprefix(f"{prefix}-")
    return next((one for one in ("dead-letters",) if name.startswith(one)), name.split("-")[0])


class Tap(grpc.GenericRpcHandler):  # type: ignore[misc]
    """A gRPC server that passes unary calls on to another.

    Args:
        target: ``host:port`` of the emulator.
        history: Takes what is seen.
        prefix: What names of topics begin with.

    Attributes:
        port: Where it listens on loopback.
        pulls: Pulls until now; grows when a job is up.
        stores: Requests that stored verdicts or dead letters until now; grows when it works.
        acked: Called with the stream and the key of each message that the job acks.
    """

    def __init__(self, target: str, history: History, prefix: str) -> None:
        self._history = history
        self._prefix = prefix
        self._keys: dict[str, tuple[str, str]] = {}
        self.pulls = 0
        self.stores = 0
        self.acked: Callable[[str, str], None] = lambda _stream, _key: None
        self._channel = grpc.insecure_channel(target, options=_OPTIONS)
        self._server = grpc.server(ThreadPoolExecutor(_CALLS), options=_OPTIONS)
        self._server.add_generic_rpc_handlers((self,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def point(self, target: str) -> None:
        """Pass on to another emulator from now on."""
        before, self._channel = self._channel, grpc.insecure_channel(target, options=_OPTIONS)
        before.close()

    def close(self) -> None:
        """Stop."""
        self._server.stop(0)
        self._channel.close()

    def service(self, handler_call_details: Any) -> Any:
        """See grpc.GenericRpcHandler."""
        method: str = handler_call_details.method

        def call(request: bytes, context: Any) -> bytes:
            return self._call(method, request, context)

        return grpc.unary_unary_rpc_method_handler(call)

    def _call(self, method: str, request: bytes, context: Any) -> bytes:
        if method.endswith(_ACK):
            self._acked(_AcknowledgeRequest.FromString(request))
        elif method.endswith(_PULL):
            self.pulls += 1
        metadata = [
            (key, value)
            for key, value in context.invocation_metadata()
            if not key.startswith(("grpc-", "user-agent", ":"))
        ]
        passed = self._channel.unary_unary(method).future(
            request, timeout=context.time_remaining(), metadata=metadata
        )
        # A pull that nobody waits for any more must not take messages.
        context.add_callback(passed.cancel)
        try:
            response: bytes = passed.result()
        except grpc.RpcError as error:
            context.abort(error.code(), error.details() or "")
        except (grpc.FutureCancelledError, ValueError):
            context.abort(grpc.StatusCode.UNAVAILABLE, "the broker is gone")
        if method.endswith(_PULL):
            self._pulled(_PullRequest.FromString(request), _PullResponse.FromString(response))
        elif method.endswith(_PUBLISH):
            self._published(_PublishRequest.FromString(request))
        return response

    def _pulled(self, request: Any, response: Any) -> None:
        stream = _stream(request.subscription, self._prefix)
        at = time.time()
        for item in response.received_messages:
            key = key_of(item.message.data)
            self._keys[item.ack_id] = (stream, key)
            self._history.add(
                Delivered(at=at, stream=stream, key=key, attempt=item.delivery_attempt)
            )

    def _acked(self, request: Any) -> None:
        at = time.time()
        for ack_id in request.ack_ids:
            stream, key = self._keys.pop(ack_id, ("", ""))
            if stream:
                self._history.add(Acked(at=at, stream=stream, key=key))
                self.acked(stream, key)

    def _published(self, request: Any) -> None:
        stream = _stream(request.topic, self._prefix)
        messages: Sequence[bytes] = [one.data for one in request.messages]
        if stream == "verdicts":
            keys = tuple(json.loads(data)["upload_id"] for data in messages)
        elif stream == "dead-letters":
            letters = [DeadLetter.from_bytes(data) for data in messages]
            keys = tuple(key_of(letter.data) for letter in letters)
        else:
            return
        self.stores += 1
        self._history.add(Stored(at=time.time(), stream=stream, keys=keys))
