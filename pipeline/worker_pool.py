"""Serves Beam's workers as threads of this process, on loopback only.

Beam's own loopback environment and worker pool listen on every interface, and run the code of
whoever reaches them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from apache_beam.portability.api import beam_fn_api_pb2_grpc
from apache_beam.runners.worker import sdk_worker, statesampler
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from apache_beam.utils import thread_pool_executor

from quorum.core.errors import ConfigurationError
from quorum.pipeline.state_calls import call_together
from quorum.pipeline.streams.in_flight import Worker

__all__ = ["worker_pool"]


class _Unsampled(statesampler.StateSampler):
    """Knows which step runs, and does not count for how long.

    Beam counts that in a thread of each bundle, and a bundle ends when its thread next wakes: up to
    200 ms after its last step, 50 ms for one that waited half a second for a message.
    """

    def start(self) -> None:
        self.tracked_thread = threading.current_thread()
        statesampler.set_current_tracker(self)
        self.started = True

    def stop(self) -> None:
        statesampler.set_current_tracker(None)
        self.finished = True


class _Harness(sdk_worker.SdkHarness):
    """Tells its bundles whose they are, and when it ends."""

    def run(self) -> None:
        self._worker = Worker()
        try:
            super().run()
        finally:
            self._worker.end()

    def create_worker(self) -> sdk_worker.SdkWorker:
        """See SdkHarness; called in the thread that runs the instruction."""
        self._worker.works_here()
        return super().create_worker()


@contextmanager
def worker_pool(port: int = 0, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve workers until the block ends; yields ``HOST:PORT``.

    Args:
        port: The port; 0 for a free one.
        host: The interface.

    Raises:
        ConfigurationError: If the port is in use.
    """
    server = grpc.server(
        thread_pool_executor.shared_unbounded_instance(),
        options=[
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.http2.max_ping_strikes", 0),
            ("grpc.so_reuseport", 0),
        ],
    )
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError:
        bound = 0
    if not bound:
        msg = f"port {port} of {host} is in use; give another --port"
        raise ConfigurationError(msg)
    statesampler.StateSampler = _Unsampled  # type: ignore[misc]
    sdk_worker.SdkHarness = _Harness  # type: ignore[misc]
    call_together()
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(
        BeamFnExternalWorkerPoolServicer(), server
    )
    server.start()
    try:
        yield f"{host}:{bound}"
    finally:
        server.stop(1)
