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
from itertools import islice, pairwise
from struct import Struct
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from quorum.core.messages import Upload

__all__ = ["UNITS", "Asked", "Event", "Reading", "hashed", "keys_of", "number_of", "words_in"]

_BANDS: Final = 6
_ROWS: Final = 4
#: Shingles, of two words each, and links that are read of one upload: its cost stays bounded.
MAX_SHINGLES: Final = 200
MAX_DOMAINS: Final = 10

_WORD: Final = re.compile(r"\w+")
_LINK: Final = re.compile(r"""\bhttps?://[^\s<>"')\]]+""", re.IGNORECASE)
#: Sums are kept in whole millionths.
UNITS: Final = 1_000_000
#: The hashes of a shingle, one for each row of each band.
_HASH: Final = np.dtype("<u4")
_HASHES_SIZE: Final = _HASH.itemsize * _BANDS * _ROWS
#: The texts that the keys of all bands are hashes of, and these keys.
_BAND_TEXTS: Final = (
    "|".join(f"{band} {['%d'] * _ROWS}" for band in range(_BANDS)).replace("'", "").encode()
)
_KEYS: Final = Struct(f">{_BANDS}Q")


class Event(NamedTuple):
    """What features by one kind of key read of an upload.

    Attributes:
        at: When it was published, in seconds since 1970.
        edge: Where the windows end.
        amounts: What it adds to each total.
        values: Its value of each kind of distinct values; None where it has none.
    """

    at: float
    edge: int
    amounts: tuple[int, ...]
    values: tuple[int | None, ...]


#: A lateness, the fields that are summed (the empty one counts uploads), and what distinct values
#: are counted of.
Asked = tuple[float, tuple[str, ...], tuple[str, ...]]


class Reading:
    """One upload as features read it: what several of them ask for is made once.

    Args:
        upload: The upload.

    Attributes:
        at: When it was published, in seconds since 1970.
    """

    __slots__ = ("_events", "_keys", "at", "upload")

    def __init__(self, upload: Upload) -> None:
        self.upload = upload
        self.at = upload.published_at.timestamp()
        self._events: dict[Asked, Event] = {}
        self._keys: dict[str, tuple[int, ...]] = {}

    def keys(self, by: str) -> tuple[int, ...]:
        """Its keys, as ``keys_of`` makes them."""
        found = self._keys.get(by)
        if found is None:
            found = self._keys[by] = keys_of(self.upload, by)
        return found

    def event(self, asked: Asked) -> Event:
        """What features with this lateness, these sums and kinds of distinct values read of it."""
        found = self._events.get(asked)
        if found is None:
            lateness, sums, kinds = asked
            found = self._events[asked] = Event(
                self.at,
                int(self.at - lateness),
                tuple([self._amount(name) for name in sums]),
                tuple([(self.keys(kind) or (None,))[0] for kind in kinds]),
            )
        return found

    def _amount(self, field: str) -> int:
        if not field:
            return 1
        number = number_of(self.upload, field)
        return 0 if number is None else round(number * UNITS)


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
    words = _WORD.findall(text[:4000].lower())[: MAX_SHINGLES + 1]
    if not words:
        return ()
    shingles = set(map(" ".join, pairwise(words))) or {words[0]}
    rows = np.frombuffer(b"".join(map(_row, shingles)), _HASH).reshape(-1, _BANDS * _ROWS)
    bands = (_BAND_TEXTS % tuple(np.minimum.reduce(rows).tolist())).split(b"|")
    return _KEYS.unpack(b"".join([blake2b(one, digest_size=8).digest() for one in bands]))


@lru_cache(maxsize=8192)
def _row(shingle: str) -> bytes:
    """Independent hashes of a shingle, the same in every process."""
    data = shingle.encode("utf-8", "replace")
    return blake2b(data).digest() + blake2b(data, digest_size=_HASHES_SIZE - 64).digest()
