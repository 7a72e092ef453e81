"""The connection to an MLflow server: its address, its timeouts and its errors.

Address and credentials come from MLflow's environment variables alone: ``MLFLOW_TRACKING_URI``
(or ``MLFLOW_REGISTRY_URI``), ``MLFLOW_TRACKING_USERNAME`` and ``MLFLOW_TRACKING_PASSWORD``, or
``MLFLOW_TRACKING_TOKEN``. Credentials stand in no log line and no error.
"""

from __future__ import annotations

import os
import re
from typing import Any

from quorum.core.errors import ArtifactError, ConfigurationError, EngineUnavailable, QuorumError

__all__ = ["connect", "registry_address", "registry_error"]

#: Defaults for MLflow's client. Its own would retry for minutes before an error, and would send
#: telemetry.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}

_SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
_USER = re.compile(r"://[^/@\s'\"]+@")


def registry_address() -> str:
    """The registry's address without credentials.

    Raises:
        ConfigurationError: If the environment names none.
    """
    named = os.environ.get("MLFLOW_REGISTRY_URI") or os.environ.get("MLFLOW_TRACKING_URI")
    if not named:
        msg = "no model registry is named: set MLFLOW_TRACKING_URI, such as http://mlflow:5000"
        raise ConfigurationError(msg)
    return _USER.sub("://", named)


def connect() -> Any:
    """Create an ``MlflowClient`` of the registry; no request is sent yet.

    Raises:
        ConfigurationError: If the environment names no registry, or the client is not installed.
    """
    registry_address()
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
    except ImportError:
        msg = "the registry needs MLflow's client: pip install 'quorum-moderation[mlflow]'"
        raise ConfigurationError(msg) from None
    try:
        return MlflowClient(
            tracking_uri=os.environ.get("MLFLOW_TRACKING_URI"),
            registry_uri=os.environ.get("MLFLOW_REGISTRY_URI"),
        )
    except Exception as error:  # an address of an unknown kind, a store that cannot be opened
        failure = registry_error("cannot be used", error)
        raise failure from None


def registry_error(what: str, error: Exception) -> QuorumError:
    """Convert an error of MLflow to one sentence without credentials.

    Args:
        what: What failed; it follows "the registry at ...".
        error: The error of the client or of the network.

    Returns:
        ``EngineUnavailable`` if the server could not be reached or failed, ``ConfigurationError``
        if it refused the credentials, else ``ArtifactError``.
    """
    if isinstance(error, QuorumError):
        return error
    status = _status(error)
    text = _scrubbed(" ".join(str(error).split()) or type(error).__name__)
    if status in (401, 403):
        return ConfigurationError(
            f"the registry at {registry_address()} refuses these credentials ({status}): set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    if status is None or status >= 500:
        # Such as: ... (Caused by NewConnectionError("HTTPConnection(...): Failed to ...")).
        cause = re.search(r"Caused by \w+\([\"'](?:\w+\(.*?\): )?(.+?)[\"']\)", text)
        return EngineUnavailable(
            f"the registry at {registry_address()} cannot be reached, or does not answer as one: "
            f"{(cause[1] if cause else text)[:200]}; look at MLFLOW_TRACKING_URI"
        )
    # Such as "RESOURCE_DOES_NOT_EXIST: Model Version (name=spam, version=7) not found".
    text = re.sub(r"^[A-Z_]+: ", "", text)
    return ArtifactError(f"the registry at {registry_address()} {what}: {text[:300]}")


def _status(error: Exception) -> int | None:
    """The HTTP status of the response; None if it was not a response of MLflow."""
    code = getattr(error, "get_http_status_code", None)
    if code is not None:
        found = re.search(r"failed with error code (\d{3})", str(error))
        return int(found[1]) if found else int(code())
    response = getattr(error, "response", None)
    return None if response is None else int(response.status_code)


def _scrubbed(text: str) -> str:
    # An object's address is another one each time: what is the same must read the same.
    text = re.sub(r" at 0x[0-9a-f]+", "", _USER.sub("://", text))
    for name in _SECRETS:
        if secret := os.environ.get(name):
            text = text.replace(secret, "…")
    return text
