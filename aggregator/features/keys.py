"""The keys and values of an upload that features over time count by and count.

Texts that are nearly the same share a key: MinHash of their shingles (Broder, On the resemblance
and containment of documents, 1997), cut into bands (Leskovec, Rajaraman and Ullman, Mining of
Massive Datasets, section 3.4). With six bands of four, two texts whose shingles overlap by 0.9
share a band with a probability of 0.998, by 0.75 with 0.90, by 0.5 with 0.32, by 0.2 with 0.01.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from struct import Struct
from typing import Final
from urllib.parse import urlsplit

from quorum.core.messages import Upload

__all__ = ["hashed", "keys_of", "number_of", "words_in"]

_BANDS: Final = 6
_ROWS: Final = 4
#: Words of a shingle.
_WORDS: Final = 2
#: Shingles and links that are read of one upload: its cost stays bounded.
MAX_SHINGLES: Final = 200
MAX_DOMAINS: Final = 10

_WORD: Final = re.compile(r"\w+")
_LINK: Final = re.compile(r"""\bhttps?://[^\s<>"')\]]+""", re.IGNORECASE)
#: Reads the hashes of one shingle, one for each row of each band.
_HASHES: Final = Struct(f"<{_BANDS * _ROWS}I")


def hashed(text: str) -> int:
    """64 bits of a text, the same in every process."""
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest())


def keys_of(upload: Upload, by: str) -> tuple[int, ...]:
    """The keys of an upload, each once; none where it lacks what the feature is by.

    Args:
        upload: The upload.
        by: ``uploader``, ``domain`` (of each link in its words), ``media`` (its address), ``text``
            (nearly the same words), or a field of the producer's own.
    """
    if by == "uploader":
        return (hashed(upload.uploader),)
    if by == "media":
        return () if upload.media is None else (hashed(upload.media),)
    if by == "domain":
        return tuple(hashed(one) for one in _domains(upload))
    if by == "text":
        return _bands(_text(upload))
    value = (upload.model_extra or {}).get(by)
    if value is None or isinstance(value, list | dict):
        return ()
    return (hashed(str(value)),)


def number_of(upload: Upload, field: str) -> float | None:
    """The number in a field; None where there is none."""
    extra = upload.model_extra or {}
    value = extra.get(field) if field in extra else getattr(upload, field, None)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def words_in(upload: Upload, most: int) -> int:
    """The number of words that an upload has in common with others by text, up to ``most``."""
    return sum(1 for _ in islice(_WORD.finditer(_text(upload)[:4000]), most))


def _text(upload: Upload) -> str:
    return f"{upload.title} {upload.description}"


def _domains(upload: Upload) -> list[str]:
    found: dict[str, None] = {}
    for text in (upload.title, upload.description, *upload.comments[:20]):
        if "://" not in text:
            continue
        for link in _LINK.findall(text):
            try:
                host = urlsplit(link).hostname
            except ValueError:
                continue
            if host:
                found[host.lower().removeprefix("www.")] = None
            if len(found) == MAX_DOMAINS:
                return list(found)
    return list(found)


def _bands(text: str) -> tuple[int, ...]:
    words = _WORD.findall(text[:4000].lower())
    if not words:
        return ()
    last = max(1, len(words) - _WORDS + 1)
    shingles = {" ".join(words[at : at + _WORDS]) for at in range(min(last, MAX_SHINGLES))}
    rows = _HASHES.iter_unpack(b"".join(map(_row, shingles)))
    least = list(map(min, zip(*rows, strict=True)))
    return tuple(
        hashed(f"{band} {least[band * _ROWS : (band + 1) * _ROWS]}") for band in range(_BANDS)
    )


@lru_cache(maxsize=8192)
def _row(shingle: str) -> bytes:
    """Independent hashes of a shingle, the same in every process."""
    data = shingle.encode("utf-8", "replace")
    return blake2b(data).digest() + blake2b(data, digest_size=_HASHES.size - 64).digest()
