"""Which rows a model was trained on, as digests: so that nobody measures it on these.

Kept in an artifact's file ``training_rows.json``: for each row the first 40 bits of a salted
SHA-256, sorted, as differences in base-128 (about four bytes a row). The words cannot be read from
them; who has a text can ask whether it was there. Of a million other texts about one is taken for
a seen one by chance, per million rows.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

from quorum.core.errors import ArtifactError
from quorum.core.messages import Upload

__all__ = ["FILE", "SeenRows"]

#: The artifact's file that holds them.
FILE: Final = "training_rows.json"

_BYTES: Final = 5
#: More rows than any training set that fits into the memory of one machine.
_MOST: Final = 20_000_000


@dataclass(frozen=True)
class SeenRows:
    """Digests of training rows.

    Attributes:
        salt: What each digest begins with.
        digests: The first 40 bits of each row's digest.
    """

    salt: str
    digests: frozenset[int]

    @classmethod
    def of(cls, uploads: Iterable[Upload], salt: str) -> Self:
        """Of training rows; rows with neither words nor media are left out."""
        made = (_digest(upload, salt) for upload in uploads)
        return cls(salt, frozenset(one for one in made if one is not None))

    def has(self, upload: Upload) -> bool:
        """Whether an upload with the same words, or the same media if it has no words, was seen.

        Case, spaces, compatible forms of letters and the field of a text make no difference.
        """
        return _digest(upload, self.salt) in self.digests

    def as_document(self) -> dict[str, Any]:
        """What an artifact keeps of it."""
        packed = bytearray()
        before = 0
        for one in sorted(self.digests):
            gap, before = one - before, one
            while gap > 0x7F:
                packed.append(gap & 0x7F | 0x80)
                gap >>= 7
            packed.append(gap)
        text = base64.b85encode(bytes(packed)).decode()
        return {"salt": self.salt, "rows": len(self.digests), "digests": text}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read what ``as_document`` made.

        Raises:
            ArtifactError: If it is damaged.
        """
        try:
            packed = base64.b85decode(document["digests"])
            digests: set[int] = set()
            gap = shift = before = 0
            for byte in packed:
                gap |= (byte & 0x7F) << shift
                shift += 7
                if byte & 0x80:
                    continue
                before += gap
                digests.add(before)
                gap = shift = 0
            if len(digests) != document["rows"] or len(digests) > _MOST:
                raise ValueError
            return cls(str(document["salt"]), frozenset(digests))
        except (KeyError, TypeError, ValueError, binascii.Error):
            msg = f"{FILE} of the artifact is damaged"
            raise ArtifactError(msg) from None


def _digest(upload: Upload, salt: str) -> int | None:
    words = " ".join((upload.title, upload.description, *upload.tags, *upload.comments))
    plain = " ".join(unicodedata.normalize("NFKC", words).casefold().split())
    what = plain.encode("utf-8", "replace") if plain else _media(upload.media)
    if not what:
        return None
    made = hashlib.sha256(salt.encode() + b"\0" + what).digest()
    return int.from_bytes(made[:_BYTES], "big")


def _media(address: str | None) -> bytes:
    """The digest of a local file's bytes, else the address."""
    if not address:
        return b""
    parts = urlsplit(address)
    path = Path(unquote(parts.path))
    if parts.scheme == "file" and path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    return address.encode("utf-8", "replace")
