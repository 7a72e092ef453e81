"""API keys: scopes, their file, and rate limits."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from quorum.core.errors import ConfigurationError
from quorum.core.private_files import warn_if_open

__all__ = ["READ_ALL", "SCOPES", "ApiKey", "Bucket", "Keyring", "new_key", "read_keys"]

#: The scope to read every upload, whoever made it; it includes ``read``.
READ_ALL = "read-all"

#: Scopes: request verdicts; read verdicts on the client's own uploads, policies and models; read
#: those on all uploads; read metrics; send users' reports.
SCOPES = ("moderate", "read", READ_ALL, "metrics", "report")

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A known API key, without its secret."""

    #: The client. Two keys of one name are of one client, so that a key can be replaced.
    name: str
    scopes: frozenset[str]
    #: SHA-256 of the secret. A slow hash guards weak passwords; these are 256 random bits.
    digest: str

    def allows(self, scope: str) -> bool:
        """Whether it has a scope, or one that includes it."""
        return scope in self.scopes or (scope == "read" and READ_ALL in self.scopes)


def new_key(name: str, scopes: frozenset[str]) -> tuple[str, str]:
    """Create a key: the secret for the client, and the line for the file of keys.

    Raises:
        ConfigurationError: If the name or a scope is invalid.
    """
    secret = f"qm_{secrets.token_urlsafe(32)}"
    line = f"{name} {','.join(sorted(scopes))} {_digest(secret)}"
    _parse(line, "the new key")
    return secret, line


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Read a file of keys: one per line, as ``name scope,scope digest``; ``#`` begins a comment.

    Raises:
        ConfigurationError: If the file cannot be read, or a line is invalid.
    """
    warn_if_open(path, "the file of keys")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read the keys {path}: {getattr(error, 'strerror', None) or error}"
        raise ConfigurationError(msg) from None
    found = [
        _parse(line, f"{path}:{number}")
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not found:
        msg = f"{path} holds no key; make one with: quorum serve --new-key NAME"
        raise ConfigurationError(msg)
    return tuple(found)


def _parse(line: str, where: str) -> ApiKey:
    parts = line.split()
    if len(parts) != 3 or not _NAME.fullmatch(parts[0]) or not _DIGEST.fullmatch(parts[2]):
        msg = f"{where}: must be a name, scopes and a SHA-256 digest, as --new-key prints them"
        raise ConfigurationError(msg)
    scopes = frozenset(parts[1].split(","))
    if unknown := scopes - set(SCOPES):
        msg = f"{where}: unknown scope {min(unknown)!r}; there are {', '.join(SCOPES)}"
        raise ConfigurationError(msg)
    return ApiKey(parts[0], scopes, parts[2])


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class Keyring:
    """The known API keys."""

    def __init__(self, keys: tuple[ApiKey, ...]) -> None:
        self._keys = keys

    def find(self, headers: Mapping[str, str]) -> ApiKey | None:
        """Find a request's key: ``authorization: Bearer SECRET`` or ``x-api-key: SECRET``."""
        scheme, _, value = headers.get("authorization", "").partition(" ")
        secret = value.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        return self.find_secret(secret)

    def find_secret(self, secret: str) -> ApiKey | None:
        """Find the key with this secret."""
        if not secret:
            return None
        digest = _digest(secret)
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found


class Bucket:
    """A token bucket.

    Args:
        rate: Tokens per second.
        burst: Most tokens at once.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._at = time.monotonic()

    def take(self, count: int) -> float:
        """Take tokens; returns 0, or the seconds until they are available."""
        at = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (at - self._at) * self._rate)
        self._at = at
        # A batch larger than the bucket needs a full bucket, and puts it into debt.
        if self._tokens >= min(count, self._burst):
            self._tokens -= count
            return 0.0
        return (min(count, self._burst) - self._tokens) / self._rate
