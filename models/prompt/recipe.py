"""A file that describes a policy in words as a detector; see ``quorum.models.prompt.detector``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from quorum.core.errors import ConfigurationError
from quorum.core.settings import Settings
from quorum.models.registry.descriptions import (
    Calibration,
    LanguageCode,
    read_description,
    validated,
)

__all__ = [
    "NONE",
    "PromptRecipe",
    "api_key",
    "check_allowed",
    "endpoint_url",
    "origin_of",
    "read_prompt",
]

#: The label of what does not break the policy.
NONE = "none"

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

#: The most bytes of a policy.
_MOST_POLICY = 100_000


def endpoint_url(value: str) -> str:
    """The address of an OpenAI-compatible interface, checked, without a slash at its end.

    Raises:
        ValueError: If it is none, or holds a key.
    """
    parts = urlsplit(value)
    # A port that is none is a ValueError, too.
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        msg = "must be a URL such as http://127.0.0.1:11434/v1"
        raise ValueError(msg)
    if parts.username or parts.password or parts.query or parts.fragment:
        msg = "must hold no key, query or fragment; the key belongs to the environment (key_env)"
        raise ValueError(msg)
    return value.rstrip("/")


class PromptRecipe(BaseModel):
    """The content of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Literal["policy-prompt"]
    #: The address of the interface, up to ``/v1``; the settings must allow its server.
    endpoint: Annotated[str, AfterValidator(endpoint_url)]
    #: The name of the model on that server.
    model: Annotated[str, Field(min_length=1, max_length=256)]
    #: The policy's file, in Markdown, beside this file.
    policy: str
    #: Maps the labels that the model may give, beside ``none``, to paths in the tree of labels.
    labels: Annotated[dict[str, str], Field(min_length=1, max_length=50)]
    #: Languages that it is asked about; of others it abstains. Empty for all.
    language: tuple[LanguageCode, ...] = ()
    #: The environment variable with the API key; None for no key.
    key_env: Annotated[str, Field(pattern="^[A-Z][A-Z0-9_]*$")] | None = None
    #: How the server is asked for JSON. ``auto`` begins with the first and goes on to the next
    #: where the server refuses one.
    response: Literal["auto", "json_schema", "json_object", "text"] = "auto"
    #: Seconds for a batch, retries included; what has no answer by then fails.
    seconds: Annotated[float, Field(gt=0, le=600)] = 5.0
    #: The most tokens of an answer.
    max_tokens: Annotated[int, Field(ge=16, le=32_768)] = 512
    #: Characters of an upload in one question; longer ones are asked about in parts.
    max_characters: Annotated[int, Field(ge=200, le=100_000)] = 6_000
    #: The most parts of an upload.
    max_parts: Annotated[int, Field(ge=1, le=16)] = 4
    #: Questions at the same time, of one worker.
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    #: Tokens that may be used in an hour, by all workers of this process's ensemble; None for any
    #: number.
    tokens_per_hour: Annotated[int, Field(ge=1)] | None = None
    #: Answers that are remembered, by content and version; 0 for none.
    cache: Annotated[int, Field(ge=0, le=1_000_000)] = 10_000
    calibration: Calibration | None = None


def origin_of(url: str) -> str:
    """The scheme, host and port of a URL."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def check_allowed(endpoint: str, settings: Settings, where: str) -> None:
    """Refuse a server that the settings do not name.

    Raises:
        ConfigurationError: If so.
    """
    origin = origin_of(endpoint)
    if origin not in {origin_of(allowed) for allowed in settings.endpoints}:
        there = ", ".join(settings.endpoints) or "none"
        msg = f"{where}: endpoint: the settings do not allow {origin}; endpoints: {there}"
        raise ConfigurationError(msg)


def api_key(endpoint: str, key_env: str | None, where: str) -> str:
    """The API key from the environment; empty for none.

    Raises:
        ConfigurationError: If there is none, or it would be sent in the clear.
    """
    if key_env is None:
        return ""
    key = os.environ.get(key_env, "")
    if not key or not key.isascii() or not key.isprintable():
        msg = f"{where}: key_env: the environment has no {key_env} with a key"
        raise ConfigurationError(msg)
    parts = urlsplit(endpoint)
    if parts.scheme != "https" and (parts.hostname or "") not in _LOOPBACK:
        msg = f"{where}: endpoint: a key is sent over https:// alone, or to this machine"
        raise ConfigurationError(msg)
    return key


def read_prompt(reference: str) -> tuple[PromptRecipe, str, Path]:
    """Read the file that a reference names, and its policy.

    Returns:
        The recipe, the policy's text, and the file.

    Raises:
        ConfigurationError: If one cannot be read or is invalid.
    """
    data, path = read_description(reference)
    recipe = validated(PromptRecipe, data, path)
    if NONE in recipe.labels:
        msg = f"{path}: labels: {NONE} is what breaks no policy; map the others alone"
        raise ConfigurationError(msg)
    place = path.parent / recipe.policy
    try:
        raw = place.read_bytes()
        text = raw.decode("utf-8").strip()
    except OSError as error:
        msg = f"{path}: policy: cannot read {place}: {error.strerror or error}"
        raise ConfigurationError(msg) from None
    except UnicodeDecodeError as error:
        msg = f"{place}: not valid UTF-8 at byte {error.start}"
        raise ConfigurationError(msg) from None
    if not text or len(raw) > _MOST_POLICY:
        msg = f"{place}: a policy has 1 to {_MOST_POLICY:,} bytes"
        raise ConfigurationError(msg)
    return recipe, text, path
