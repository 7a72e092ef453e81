"""How a broker carries a message: its bytes and attributes, signed where there is a key."""

from __future__ import annotations

from typing import Final

from quorum.core.errors import ConfigurationError
from quorum.core.identity import SigningKey
from quorum.core.messages import Message
from quorum.core.tracing import attributes_of

__all__ = ["NO_KEY", "Carrier", "signer_name"]

NO_KEY: Final = "no key"


def signer_name(signer: SigningKey | None = None) -> str:
    """What signs messages, in words; by default this process's key."""
    signer = signer or SigningKey.from_environment()
    return NO_KEY if signer is None else f"the key {signer.id} of {signer.publisher}"


class Carrier:
    """Makes the bytes and attributes of messages, with the signing key of this process.

    Args:
        origin: The CloudEvents ``source`` of what is published.
        expected: What the process that started the job signs with, from ``signer_name``.

    Raises:
        ConfigurationError: If this process has another key.
    """

    def __init__(self, origin: str, expected: str) -> None:
        self._origin = origin
        self._signer = SigningKey.from_environment()
        if (found := signer_name(self._signer)) != expected:
            msg = (
                f"the job was started with {expected} to sign with, and this worker has "
                f"{found}: set QUORUM_SIGNING_KEY for its workers, too"
            )
            raise ConfigurationError(msg)

    def carried(self, message: Message, trace: str = "") -> tuple[bytes, dict[str, str]]:
        """The body and the attributes of a message, with the context of its trace."""
        data, attributes = message.to_bytes(), message.attributes(self._origin)
        if trace:
            attributes |= attributes_of(trace)
        if self._signer is not None:
            attributes = self._signer.sign(data, attributes)
        return data, attributes
