"""Replace models while the service runs, when a registry's alias moves.

The new model is fetched, verified, loaded and warmed up beside the old one, and takes over between
two batches: no request is dropped. While the registry is unreachable, or names an unusable model,
the last good models stay in use, and the service reports them as stale.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping

from quorum.apps.web.service import Service
from quorum.core.errors import QuorumError
from quorum.core.metrics import MODEL_SWAPS
from quorum.core.settings import Settings
from quorum.models.ensemble import Ensemble
from quorum.models.pinning import Pinned, pinned
from quorum.models.supervision.supervisor import Supervisor

__all__ = ["Watcher"]

_log = logging.getLogger(__name__)


class Watcher:
    """Polls references that may move, in a thread of its own.

    Args:
        settings: Settings with the references.
        first: The settings, pinned to the versions that the service starts with.
        seconds: Interval of the polls; 0 for none.
        pin: Resolves references to versions.
        load: Loads an ensemble.
    """

    def __init__(
        self,
        settings: Settings,
        first: Pinned,
        seconds: float,
        *,
        pin: Callable[[Settings], Pinned] = pinned,
        load: Callable[[Settings], Ensemble | Supervisor],
    ) -> None:
        self._settings = settings
        self._serves = first
        self._seconds = seconds
        self._pin = pin
        self._load = load
        self._ended = threading.Event()

    @property
    def stale(self) -> Mapping[str, str]:
        """By detector, why its model may differ from the one that its reference names now."""
        return self._serves.stale

    def followed(self, name: str) -> str | None:
        """The reference that a detector's model follows; None if it cannot move."""
        configured = (self._settings.detectors or {}).get(name)
        serves = (self._serves.settings.detectors or {}).get(name)
        moves = configured and serves and configured.model != serves.model
        return configured.model if configured and moves else None

    def start(self, service: Service) -> None:
        """Start polling; call it in the event loop of the service."""
        if self._seconds <= 0:
            return
        loop = asyncio.get_running_loop()
        # A daemon: a fetch under way does not keep the process from exiting.
        threading.Thread(
            target=self._run, args=(service, loop), name="model-watcher", daemon=True
        ).start()

    def close(self) -> None:
        """Stop polling."""
        self._ended.set()

    def _run(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        while not self._ended.wait(self._seconds):
            try:
                self.poll(service, loop)
            except Exception:  # an unforeseen error must not end the polling
                if not self._ended.is_set():
                    _log.exception("cannot check for new models")

    def poll(self, service: Service, loop: asyncio.AbstractEventLoop) -> bool:
        """Check once, from a thread other than the loop's; whether models were replaced."""
        before = self._serves.settings
        try:
            found = self._pin(self._settings)
            if found.settings == before:
                self._set(found)
                return False
            ensemble = self._load(found.settings)
        except QuorumError as error:
            names = [name for name in before.detectors or {} if self.followed(name)]
            self._set(Pinned(before, dict.fromkeys(names, str(error))))
            return False
        if self._ended.is_set():
            return False
        asyncio.run_coroutine_threadsafe(service.replace(ensemble), loop).result()
        for name in _changed(before, found.settings):
            version = service.detectors[name].version
            model = (found.settings.detectors or {})[name].model
            MODEL_SWAPS.labels(name).inc()
            _log.info("%s uses another model now: %s, version %s", name, model, version)
        self._set(found)
        return True

    def _set(self, serves: Pinned) -> None:
        before, self._serves = self._serves, serves
        if set(serves.stale.items()) - set(before.stale.items()):
            serves.with_warnings()
        elif before.stale and not serves.stale:
            _log.info("the models match the registry again")


def _changed(before: Settings, after: Settings) -> list[str]:
    old, new = before.detectors or {}, after.detectors or {}
    return [name for name in new if old.get(name) != new[name]]
