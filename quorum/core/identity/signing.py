"""Signatures of messages: Ed25519 over the body and the attributes that say what it is.

A signature covers the publisher, the key, the type, the id and the time of the event, and the bytes
of the body, so that none of them can be changed, and a message cannot be moved to another stream.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NoReturn

from quorum.core.errors import ConfigurationError
from quorum.core.private_files import read_secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = [
    "ENVIRONMENT",
    "ENVIRONMENT_FILE",
    "KEY",
    "NAME",
    "PUBLISHER",
    "SIGNATURE",
    "SigningKey",
    "decoded",
    "verify_signature",
]

#: The attributes that carry a signature.
PUBLISHER: Final = "quorum-publisher"
KEY: Final = "quorum-key"
SIGNATURE: Final = "quorum-signature"

#: The names of publishers and of keys.
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

#: Where this process' signing key is: the key itself, or the path of a file that holds it.
ENVIRONMENT: Final = "QUORUM_SIGNING_KEY"
ENVIRONMENT_FILE: Final = "QUORUM_SIGNING_KEY_FILE"

#: The format of what is signed; another format would have another name.
_FORMAT: Final = "quorum-signature-v1"
#: The attributes that are signed; one that is absent is signed as empty.
_SIGNED: Final = ("ce-type", "ce-id", "ce-time")
_PREFIX: Final = "ed25519"
_KEY_BYTES: Final = 32
_MEND: Final = "make one with: quorum keys new PUBLISHER"


def _signed_bytes(attributes: Mapping[str, str], data: bytes) -> bytes:
    """What is signed: each part after its length in eight bytes, so that none can flow over."""
    named = (PUBLISHER, KEY, *_SIGNED)
    texts = (_FORMAT, *(attributes.get(name, "") for name in named))
    parts = (*(text.encode("utf-8", "surrogatepass") for text in texts), data)
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def decoded(text: str, size: int) -> bytes | None:
    """Bytes of this size from their Base64; None if it is not their one spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if len(data) == size and base64.b64encode(data).decode() == text else None


@lru_cache(maxsize=256)
def _public_key(public: str) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(decoded(public, _KEY_BYTES) or b"")


def verify_signature(public: str, data: bytes, attributes: Mapping[str, str]) -> bool:
    """Whether a message was signed with the private key of this public one.

    Args:
        public: The public key, in Base64.
        data: The body, unchanged.
        attributes: The attributes, as they arrived.
    """
    from cryptography.exceptions import InvalidSignature

    signature = decoded(attributes.get(SIGNATURE, ""), 64)
    if signature is None:
        return False
    try:
        _public_key(public).verify(signature, _signed_bytes(attributes, data))
    except InvalidSignature:
        return False
    return True


@dataclass(frozen=True)
class SigningKey:
    """The private key of a publisher, which signs what it publishes.

    Attributes:
        publisher: Whose it is.
        id: Its name among the publisher's keys.
        private: The private key, 32 bytes.
    """

    publisher: str
    id: str
    private: bytes = field(repr=False)

    @classmethod
    def new(cls, publisher: str, key_id: str) -> SigningKey:
        """A new random key.

        Raises:
            ConfigurationError: If a name has other characters than letters, digits and ``_.-``.
        """
        for name in (publisher, key_id):
            if not NAME.fullmatch(name):
                msg = f"{name!r} is no name of a publisher or key: letters, digits and _.- only"
                raise ConfigurationError(msg)
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(publisher, key_id, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def from_text(cls, text: str, where: str = "the signing key") -> SigningKey:
        """Read ``ed25519:PUBLISHER:KEY:BASE64``.

        Args:
            text: The key, as ``text`` gives it.
            where: What an error calls its place; the key itself is never quoted.

        Raises:
            ConfigurationError: If it is not a key.
        """
        parts = text.strip().split(":")
        private = decoded(parts[3], _KEY_BYTES) if len(parts) == 4 else None
        if private is None or parts[0] != _PREFIX or not all(map(NAME.fullmatch, parts[1:3])):
            msg = f"{where} must read {_PREFIX}:PUBLISHER:KEY:BASE64; {_MEND}"
            raise ConfigurationError(msg)
        return cls(parts[1], parts[2], private)

    @classmethod
    def from_environment(cls) -> SigningKey | None:
        """The key that ``QUORUM_SIGNING_KEY`` holds or ``QUORUM_SIGNING_KEY_FILE`` names, if any.

        Raises:
            ConfigurationError: If both are set, the file cannot be read, or it is not a key.
        """
        text, file = (os.environ.get(name) for name in (ENVIRONMENT, ENVIRONMENT_FILE))
        found = read_secret(text, file, ENVIRONMENT, "the signing key")
        return None if found is None else cls.from_text(*found)

    @property
    def text(self) -> str:
        """The key on one line, for ``from_text``: a secret."""
        private = base64.b64encode(self.private).decode()
        return f"{_PREFIX}:{self.publisher}:{self.id}:{private}"

    @property
    def public(self) -> str:
        """The public key in Base64, for the settings of those who verify."""
        return base64.b64encode(_private_key(self.private).public_key().public_bytes_raw()).decode()

    def sign(self, data: bytes, attributes: Mapping[str, str]) -> dict[str, str]:
        """Sign a message.

        Args:
            data: The body, exactly as it will be sent.
            attributes: The CloudEvents attributes (``Message.attributes``).

        Returns:
            The attributes, and those of the signature.
        """
        signed = {**attributes, PUBLISHER: self.publisher, KEY: self.id}
        signature = _private_key(self.private).sign(_signed_bytes(signed, data))
        return {**signed, SIGNATURE: base64.b64encode(signature).decode()}

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a key must not travel inside a job's graph."""
        msg = "a signing key is read from the environment where it is used, and is never sent"
        raise TypeError(msg)


@lru_cache(maxsize=8)
def _private_key(private: bytes) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(private)
