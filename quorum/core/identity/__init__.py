"""Who says what on the streams: signatures of messages, and what each publisher may say.

A publisher signs what it publishes with a private key of its own (``signing``). The settings name
the publishers, their public keys, and what each may publish (``publishers``). Each message is
checked once, where it enters (``admission``). The format is in ``docs/security.md``.
"""

from __future__ import annotations

from quorum.core.identity.admission import Admission, CameBack
from quorum.core.identity.publishers import Publisher, PublisherKey, Publishers, check_signer
from quorum.core.identity.refusal import IdentityRefused, Refusal
from quorum.core.identity.signing import SigningKey, verify_signature

__all__ = [
    "Admission",
    "CameBack",
    "IdentityRefused",
    "Publisher",
    "PublisherKey",
    "Publishers",
    "Refusal",
    "SigningKey",
    "check_signer",
    "verify_signature",
]
