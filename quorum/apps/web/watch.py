"""Models that change while the service runs: when a registry's alias moves, the new one serves.

The new model is fetched, checked, loaded and tried beside the old one, and takes over between two
batches: no request is dropped. While the registry cannot be reached, or what it names cannot be
used, the last good models go on, and the service says so.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping

from quorum.apps.web.metrics import MODEL_SWAPS
from quorum.apps.web.service import Service
from quorum.core.errors import QuorumError
from quorum.core.settings import Settings
from quorum.models.ensemble import Ensemble
from quorum.models.pinning import Pinned, pinned

__all__ = ["Watcher"]

_log = logging.getLogger(__name__)


class Watcher:
    """Looks for references whose models moved, in a thread of its own.

    Args:
        settings: With the references that may move.
        first: The settings that the service starts with.
        seconds: Between two looks; 0 for none.
        pin: Finds the versions that the references name.
        load: Makes an ensemble.
    """

    def __init__(
        self,
        settings: Settings,
        first: Pinned,
        seconds: float,
        *,
        pin: Callable[[Settings], Pinned] = pinned,
        load: Callable[[Settings], Ensemble] = Ensemble.load,
    ) -> None:
        self._settings = settings
        self._serves = first
        self._seconds = seconds
        self._pin = pin
        self._load = load
        self._ended = threading.Event()

    @property
    def stale(self) -> Mapping[str, str]:
        """By detector, why its model may not be the one that its reference names now."""
        return self._serves.stale

    def followed(self, name: str) -> str | None:
        """The reference that a detector's model follows; None if it stays what it is."""
        asked = (self._settings.detectors or {}).get(name)
        serves = (self._serves.settings.detectors or {}).get(name)
        return asked.model if asked and serves and asked.model != serves.model else None

    def start(self, service: Service) -> None:
        """Look from now on; to be called in the event loop of the service."""
        if self._seconds <= 0:
            return
        loop = asyncio.get_running_loop()
        # A daemon: a model that is being fetched keeps no process from ending.
        threading.Thread(
            target=self._run, args=(service, loop), name="model-watcher", daemon=True
        ).start()

    def close(self) -> None:
        """Look no more."""
        self._ended.set()

    def _run(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        while not self._ended.wait(self._seconds):
            try:
                self.look(service, loop)
            except Exception:  # what is unforeseen must not end the looking
                if not self._ended.is_set():
                    _log.exception("cannot look for other models")

    def look(self, service: Service, loop: asyncio.AbstractEventLoop) -> bool:
        """Look once, from a thread that is not the loop's; whether other models serve now."""
        before = self._serves.settings
        try:
            found = self._pin(self._settings)
            if found.settings == before:
                self._stay(found)
                return False
            ensemble = self._load(found.settings)
        except QuorumError as error:
            names = [name for name in before.detectors or {} if self.followed(name)]
            self._stay(Pinned(before, dict.fromkeys(names, str(error))))
            return False
        if self._ended.is_set():
            return False
        asyncio.run_coroutine_threadsafe(service.replace(ensemble), loop).result()
        for name in _changed(before, found.settings):
            version = ensemble.detectors[name].detector.version
            model = (found.settings.detectors or {})[name].model
            MODEL_SWAPS.labels(name).inc()
            _log.info("%s scores with another model now: %s, version %s", name, model, version)
        self._stay(found)
        return True

    def _stay(self, serves: Pinned) -> None:
        before, self._serves = self._serves, serves
        if set(serves.stale.items()) - set(before.stale.items()):
            serves.with_warnings()
        elif before.stale and not serves.stale:
            _log.info("the models are again those that the registry names")


def _changed(before: Settings, after: Settings) -> list[str]:
    old, new = before.detectors or {}, after.detectors or {}
    return [name for name in new if old.get(name) != new[name]]
