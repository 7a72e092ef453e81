"""This process's supervisors, one for each ensemble."""

from __future__ import annotations

import logging
import sys
import threading

from quorum.models.supervision.launcher import InThread, Launcher
from quorum.models.supervision.spec import EnsembleSpec
from quorum.models.supervision.supervisor import Supervisor
from quorum.models.supervision.zygote import Zygote

__all__ = ["close_supervisors", "shared_supervisor", "start_supervisor"]

_log = logging.getLogger(__name__)

#: Children are forked, limited and ended by calls that Linux alone has.
_ISOLATES = sys.platform == "linux"

_supervisors: dict[str, Supervisor] = {}
_lock = threading.Lock()


def start_supervisor(spec: EnsembleSpec) -> Supervisor:
    """Load an ensemble where its settings say, and start to supervise it.

    On systems other than Linux it is always loaded in this process.

    Raises:
        ArtifactError: If a model is absent, altered or of an unknown format.
        ConfigurationError: If a detector cannot be loaded with its settings.
        EngineUnavailable: If the child process does not start.
    """
    launcher: Launcher
    if spec.workers.isolation and _ISOLATES:
        launcher = Zygote(spec)
    else:
        if spec.workers.isolation:
            _log.warning("detectors are not isolated: their processes need Linux")
        ensemble = spec.load()
        ensemble.warm_up()
        launcher = InThread(ensemble, spec.settled, spec.workers.memory)
    return Supervisor(launcher, spec.workers)


def shared_supervisor(spec: EnsembleSpec) -> Supervisor:
    """This process's only supervisor of an ensemble, started at the first call.

    Raises:
        QuorumError: As ``start_supervisor`` does.
    """
    with _lock:
        if spec.key not in _supervisors:
            _supervisors[spec.key] = start_supervisor(spec)
        return _supervisors[spec.key]


def close_supervisors() -> None:
    """End the children of all shared supervisors."""
    with _lock:
        supervisors = list(_supervisors.values())
        _supervisors.clear()
    for supervisor in supervisors:
        supervisor.close()
