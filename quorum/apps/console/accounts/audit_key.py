"""The key of the audit log, and the file of its anchors: both lie outside the database."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from quorum.core.errors import ConfigurationError
from quorum.core.identity.signing import decoded
from quorum.core.private_files import read_secret

__all__ = [
    "ANCHORS",
    "ENVIRONMENT",
    "ENVIRONMENT_FILE",
    "Anchor",
    "AuditKey",
    "anchors_file",
    "audit_key",
]

#: Where the key is: the key itself, or the path of a file that holds it.
ENVIRONMENT: Final = "QUORUM_AUDIT_KEY"
ENVIRONMENT_FILE: Final = "QUORUM_AUDIT_KEY_FILE"
#: The path of the file of anchors.
ANCHORS: Final = "QUORUM_AUDIT_ANCHORS"

_PREFIX: Final = "audit:"
_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class AuditKey:
    """A secret by which the lines of the log are authenticated.

    Attributes:
        secret: 32 random bytes.
    """

    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> AuditKey:
        """A new random key."""
        return cls(secrets.token_bytes(_BYTES))

    @classmethod
    def from_text(cls, text: str, where: str) -> AuditKey:
        """Read a key as ``text`` gives it.

        Raises:
            ConfigurationError: If it is none; the text is not quoted.
        """
        given = text.strip()
        secret = decoded(given.removeprefix(_PREFIX), _BYTES)
        if secret is None or not given.startswith(_PREFIX):
            msg = f"{where} must read audit:BASE64; make one with: quorum audit new-key"
            raise ConfigurationError(msg)
        return cls(secret)

    @property
    def text(self) -> str:
        """The key on one line: a secret."""
        return _PREFIX + base64.b64encode(self.secret).decode()

    def mac(self, what: str, value: str) -> str:
        """HMAC-SHA256 of a value, such as a line's digest, as 64 hexadecimal digits.

        Args:
            what: What the value is, so that the code of one thing is none of another.
            value: The value.
        """
        return hmac.new(self.secret, f"{what}\0{value}".encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Anchor:
    """One anchor.

    Attributes:
        number: The number of the log's last line.
        digest: The digest of that line.
        at: When it was written, RFC 3339.
        mac: HMAC of these by the audit key; None without a key.
    """

    number: int
    digest: str
    at: str
    mac: str | None = None

    def expected(self, key: AuditKey) -> str:
        """Compute the code by a key."""
        return key.mac("anchor", f"{self.number}\0{self.digest}\0{self.at}")


def audit_key() -> AuditKey | None:
    """Return the key that the environment holds or names, if any.

    Raises:
        ConfigurationError: If both variables are set, the file cannot be read, or it is no key.
    """
    return _read(os.environ.get(ENVIRONMENT), os.environ.get(ENVIRONMENT_FILE))


@lru_cache(maxsize=4)
def _read(text: str | None, file: str | None) -> AuditKey | None:
    found = read_secret(text, file, ENVIRONMENT, "the audit key")
    return None if found is None else AuditKey.from_text(*found)


def anchors_file() -> Path | None:
    """Return the file of anchors that the environment names, if any."""
    named = os.environ.get(ANCHORS)
    return Path(named) if named else None
