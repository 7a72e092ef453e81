"""A Flink cluster by its REST interface, and whether a job can start on it.

The interface is described at
https://nightlies.apache.org/flink/flink-docs-release-1.19/docs/ops/rest_api/.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx

from quorum.core.errors import ConfigurationError, EngineUnavailable, QuorumError

__all__ = ["FlinkCluster", "FlinkRefused", "NotThere", "checked_address", "is_open", "one_line"]

#: A JobManager under load answers late.
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_PORTS = 65_536
_CHECKPOINTS = ("execution.checkpointing.dir", "state.checkpoints.dir")


class FlinkRefused(QuorumError):
    """A request that the cluster answered with an error."""


class NotThere(FlinkRefused):
    """A job, or what is asked of one, that the cluster does not know."""


#: How much of an engine's exception is told.
_ERROR_CHARACTERS = 400


@cache
def _tls() -> ssl.SSLContext:
    """Made once: it reads all authorities of the system."""
    return httpx.create_ssl_context()


def one_line(exception: str) -> str:
    """What an exception of Flink comes from: the error of our own code, else the deepest cause.

    Args:
        exception: With its stack trace, as Flink tells it.
    """
    lines = [line.rstrip() for line in exception.splitlines() if line.strip()]
    python = [at for at, line in enumerate(lines) if "Traceback (most recent call last)" in line]
    if python:
        for line in lines[python[-1] + 1 :]:
            # The first line after the frames is the error.
            if not line.startswith((" ", "\t")):
                return line[:_ERROR_CHARACTERS]
    causes = [line for line in lines if line.lstrip().startswith("Caused by: ")]
    said = causes[-1].strip().removeprefix("Caused by: ") if causes else (lines or [""])[0]
    return said[:_ERROR_CHARACTERS]


@dataclass(frozen=True)
class FlinkCluster:
    """A cluster at its JobManager's REST interface.

    Attributes:
        url: Of the interface, such as ``http://jobmanager:8081``.
    """

    url: str

    @classmethod
    def at(cls, master: str) -> FlinkCluster:
        """The cluster whose JobManager is at ``HOST:PORT`` or a URL.

        Raises:
            ConfigurationError: If a user and a password are before the host.
        """
        url = (master if "://" in master else f"http://{master}").rstrip("/")
        if "@" in url:
            msg = (
                "--flink-master holds no user and no password: Flink's REST interface asks for "
                "none, and logs and records hold the address (docs/flink.md)"
            )
            raise ConfigurationError(msg)
        return cls(url)

    def get(self, path: str) -> Any:
        """What the interface answers.

        Raises:
            NotThere: If the cluster answers that it knows no such job.
            FlinkRefused: If it answers with another error.
            EngineUnavailable: If nothing answers there, or not as Flink does, or a JobManager
                that is not ready, as one without a leader.
        """
        return self.ask("GET", path)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What the interface answers to a request; see ``get``.

        Args:
            method: Of HTTP.
            path: From the root, with its query.
            body: What is sent as JSON.
        """
        try:
            answer = httpx.request(
                method, f"{self.url}{path}", json=body, timeout=_TIMEOUT, verify=_tls()
            )
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise self._no_cluster(str(error) or type(error).__name__) from None
        try:
            told = answer.json() if answer.content else {}
        except ValueError:
            told = None
        if answer.is_error and isinstance(told, dict) and told.get("errors"):
            reason = one_line("\n".join(str(one) for one in told["errors"]))
            msg = f"the Flink cluster at {self.url} answers: {reason}"
            if answer.is_server_error:
                raise EngineUnavailable(msg)
            raise (NotThere if answer.status_code == httpx.codes.NOT_FOUND else FlinkRefused)(msg)
        if not answer.is_success or told is None:
            status = f"HTTP {answer.status_code} {answer.reason_phrase}"
            raise self._no_cluster("no JSON" if answer.is_success else status)
        return told

    def _no_cluster(self, reason: str) -> EngineUnavailable:
        return EngineUnavailable(
            f"no Flink cluster answers at {self.url} ({reason}); start one, or give the address "
            "of its JobManager's REST interface as --flink-master"
        )

    def _told(self, path: str, name: str) -> Mapping[str, Any]:
        """What the interface answers, which holds this name if it is Flink's."""
        told = self.get(path)
        if isinstance(told, dict) and name in told:
            return told
        reason = "what answers is no JobManager"
        raise self._no_cluster(reason)

    def overview(self) -> Mapping[str, Any]:
        """The cluster's version, TaskManagers and slots, in Flink's own names.

        Raises:
            EngineUnavailable: If no cluster answers.
        """
        return self._told("/overview", "slots-total")

    def jobs(self) -> list[Mapping[str, Any]]:
        """The jobs that the cluster knows, in Flink's own names.

        Raises:
            EngineUnavailable: If no cluster answers.
        """
        return list(self._told("/jobs/overview", "jobs")["jobs"])

    def version(self) -> str:
        """Flink's version, such as ``1.19.0``.

        Raises:
            EngineUnavailable: If the cluster does not answer.
        """
        return str(self.overview().get("flink-version", ""))

    def running(self, name: str) -> str:
        """The id of the job of this name that has not ended; empty for none.

        Raises:
            EngineUnavailable: If the cluster does not answer.
        """
        ended = ("FINISHED", "CANCELED", "FAILED")
        named = (one for one in self.jobs() if one.get("name") == name)
        return next((str(one.get("jid")) for one in named if one.get("state") not in ended), "")

    def check(self, *, allow_loss: bool) -> None:
        """Whether a job can start, and go on after a failure.

        Args:
            allow_loss: Whether the cluster may keep no checkpoints.

        Raises:
            EngineUnavailable: If the cluster does not answer, or has no free slot.
            ConfigurationError: If it keeps no checkpoints.
        """
        overview = self.overview()
        if not overview.get("taskmanagers"):
            msg = f"the Flink cluster at {self.url} has no TaskManager; start one and try again"
            raise EngineUnavailable(msg)
        if not overview.get("slots-available"):
            msg = (
                f"the Flink cluster at {self.url} has no free slot: {overview.get('slots-total')} "
                f"in all, {overview.get('jobs-running')} jobs; cancel a job or start a TaskManager"
            )
            raise EngineUnavailable(msg)
        if not allow_loss and not self.checkpoint_folder():
            msg = (
                f"the Flink cluster at {self.url} has no folder for checkpoints, so that what was "
                "acknowledged is lost with its JobManager: set state.checkpoints.dir in its "
                "configuration to a folder that all can reach, or accept the loss with "
                "--flink-allow-loss"
            )
            raise ConfigurationError(msg)

    def checkpoint_folder(self) -> str:
        """Where the cluster keeps the checkpoints of its jobs; empty for nowhere.

        Raises:
            EngineUnavailable: If the cluster does not answer.
        """
        found = {one.get("key"): one.get("value") for one in self.get("/jobmanager/config")}
        return next((str(found[key]) for key in _CHECKPOINTS if found.get(key)), "")


def checked_address(address: str) -> str:
    """The address, if it is ``HOST:PORT``.

    Raises:
        ConfigurationError: If it is not.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < _PORTS:
        msg = f"{address} is no address; give HOST:PORT, such as localhost:50000"
        raise ConfigurationError(msg)
    return address


def is_open(address: str) -> bool:
    """Whether something listens at ``HOST:PORT``.

    Raises:
        ConfigurationError: If this is no such address.
    """
    host, _, port = checked_address(address).rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), 2.0):
            return True
    except UnicodeError:
        msg = f"{address} is no address: {host} cannot be the name of a host"
        raise ConfigurationError(msg) from None
    except OSError:
        return False
