"""What a case has in common with others: its text, its media, its links.

Each case that waits has keys in the ledger: cases that share a key are alike. Texts that are nearly
the same are found by MinHash (Broder, On the resemblance and containment of documents, 1997): of a
text's sketch of 64 numbers, bands of four are keys, and what shares a band is compared by the whole
sketch. Two texts of which 80 % of the pieces are common share a band with probability 0.98, and
texts without common pieces practically never.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import numpy as np
from sqlalchemy import Connection, delete, insert, select

from quorum.core.messages import Prediction, Upload, Verdict, digest
from quorum.models.spam.links import contacts_of
from quorum.store.ledger.console_schema import likeness_keys, sketches, tasks
from quorum.store.ledger.reading import load_cases
from quorum.store.ledger.schema import cases, predictions
from quorum.store.ledger.words import words_of

__all__ = [
    "ALIKE",
    "Likeness",
    "fill",
    "likeness_of",
    "links_of",
    "resemblance",
    "waves_of",
    "write_likeness",
]

#: Texts of which at least this share of the pieces is estimated to be common are alike.
ALIKE: Final = 0.7

_NUMBERS: Final = 64
_BANDS: Final = 8
_ROWS: Final = 4
#: Characters of a piece, and of the shortest text that is compared piece by piece.
_PIECE: Final = 5
_SHORTEST: Final = 24
#: Characters that are read of a text: waves differ at their ends, if at all.
_READ: Final = 8000
_COMPARED: Final = 4000
#: Links of one upload.
_MOST_LINKS: Final = 8
_BATCH: Final = 200

#: Parameters by which a signed address differs each time.
_SIGNED: Final = re.compile(
    r"(?:x-(?:goog|amz)-.*|signature|sig|expires|token|key-pair-id|policy|se|sp|sv|sr)", re.I
)


@dataclass(frozen=True, slots=True)
class Likeness:
    """What one upload may have in common with others.

    Attributes:
        keys: Uploads that share one of these are alike.
        sketch: 64 unsigned numbers of four bytes; None if the text is too short.
    """

    keys: tuple[str, ...]
    sketch: bytes | None


def likeness_of(
    upload: Upload, works: Collection[str] = (), waves: Collection[str] = ()
) -> Likeness:
    """What an upload may have in common with others.

    Args:
        upload: The upload.
        works: The registered works that its media matches, as its fingerprint tells.
        waves: The campaigns that it is part of, as its verdict tells.
    """
    keys: dict[str, None] = {}
    words = _plain(upload)
    sketch = None
    if words:
        keys[f"text:{digest(words)}"] = None
    if len(words) >= _SHORTEST:
        numbers = _sketch(words)
        sketch = numbers.tobytes()
        for band in range(_BANDS):
            part = numbers[band * _ROWS : (band + 1) * _ROWS].tobytes().hex()
            keys[f"near:{band}:{part}"] = None
    if upload.media:
        keys[f"media:{digest(_address(upload.media))}"] = None
    keys.update(dict.fromkeys(f"work:{work[:256]}" for work in works))
    keys.update(dict.fromkeys(f"wave:{wave[:256]}" for wave in waves))
    for link, site in links_of(upload).items():
        keys[f"link:{digest(link)}"] = None
        keys[f"site:{site}"] = None
    return Likeness(tuple(keys), sketch)


def waves_of(verdict: Verdict | None) -> tuple[str, ...]:
    """The campaigns that a verdict names."""
    return () if verdict is None else tuple(one.id for one in verdict.campaigns or ())


def links_of(upload: Upload) -> Mapping[str, str]:
    """The links of an upload's texts, without scheme and ``www.``, each with its host."""
    found: dict[str, str] = {}
    for text in (upload.title, upload.description, *upload.tags):
        part = text[:_READ]
        for link in contacts_of(part).links:
            bare = re.sub(r"^\w+://", "", part[link.start : link.end])
            path = re.split(r"[/?#:]", bare, maxsplit=1)
            rest = bare[len(path[0]) :].rstrip(".,;:!?)]}\"'/")
            found.setdefault(f"{link.host}{rest}"[:300].replace("\x00", "\ufffd"), link.host[:253])
            if len(found) == _MOST_LINKS:
                return found
    return found


def _plain(upload: Upload) -> str:
    """The words of title, description and tags; links and numbers of waves differ, so they go."""
    texts = (upload.title, upload.description, *upload.tags)
    rests = (contacts_of(text[:_READ]).rest for text in texts)
    return re.sub(r"\d+", "0", " ".join(words_of(*rests)))


def _address(media: str) -> str:
    """The address of media without the parts by which one file's addresses differ."""
    try:
        parts = urlsplit(media)
        kept = [(k, v) for k, v in parse_qsl(parts.query) if not _SIGNED.fullmatch(k)]
    except ValueError:
        return media
    return f"{parts.scheme}://{parts.netloc}{parts.path}?{urlencode(kept)}"


@cache
def _empty() -> Any:
    # It loads SciPy's integration, which takes half a second.
    from datasketch import MinHash

    return MinHash(num_perm=_NUMBERS, seed=1, hashfunc=zlib.crc32, scheme="affine32")


def _sketch(words: str) -> np.ndarray[Any, np.dtype[np.uint32]]:
    data = words[:_COMPARED].encode()
    pieces = {data[start : start + _PIECE] for start in range(len(data) - _PIECE + 1)}
    made = _empty().copy()
    made.update_batch(sorted(pieces))
    return np.asarray(made.hashvalues, dtype="<u4")


def resemblance(sketch: bytes, others: Sequence[bytes]) -> list[float]:
    """Estimate which share of the pieces of a text and of others is common, from 0 to 1."""
    if not others:
        return []
    here = np.frombuffer(sketch, dtype="<u4")
    there = np.frombuffer(b"".join(others), dtype="<u4").reshape(len(others), -1)
    return [float(value) for value in (there == here).mean(axis=1)]


def write_likeness(
    connection: Connection,
    uploads: Sequence[Upload],
    waves: Mapping[str, Collection[str]] | None = None,
) -> None:
    """Write the keys of cases that wait, in place of those of an earlier content.

    Args:
        connection: A connection that writes.
        uploads: The uploads.
        waves: The campaigns that they are part of, by upload.
    """
    works = _works(connection, [upload.id for upload in uploads])
    made = {
        upload.id: likeness_of(upload, works.get(upload.id, ()), (waves or {}).get(upload.id, ()))
        for upload in uploads
    }
    if not made:
        return
    for table in (likeness_keys, sketches):
        connection.execute(delete(table).where(table.c.upload_id.in_(made)))
    keys = [{"upload_id": name, "key": key} for name, one in made.items() for key in one.keys]
    if keys:
        connection.execute(insert(likeness_keys), keys)
    rows = [{"upload_id": name, "sketch": one.sketch} for name, one in made.items()]
    connection.execute(insert(sketches), rows)


def _works(connection: Connection, upload_ids: Sequence[str]) -> dict[str, set[str]]:
    p = predictions.c
    query = select(p.upload_id, p.body).where(
        p.upload_id.in_(upload_ids), p.detector == "copyright", p.status == "scored"
    )
    found: dict[str, set[str]] = {}
    for upload_id, body in connection.execute(query):
        for one in Prediction.model_validate_json(body).evidence:
            if one.work:
                found.setdefault(upload_id, set()).add(one.work.replace("\x00", "\ufffd"))
    return found


def fill(connection: Connection, after: str = "") -> str | None:
    """Write the keys of the next cases that wait without any, in a ledger older than groups.

    Args:
        connection: A connection that writes.
        after: The result of the previous call; empty to begin.

    Returns:
        The id to continue from; None at the end.
    """
    t = tasks.c
    query = (
        select(cases.c.upload_id)
        .where(
            cases.c.upload_id > after,
            cases.c.upload_id.in_(select(t.upload_id).where(t.state == "open")),
            ~select(sketches.c.upload_id).where(sketches.c.upload_id == cases.c.upload_id).exists(),
        )
        .order_by(cases.c.upload_id)
        .limit(_BATCH)
        # A concurrent erasure waits for this lock and then deletes what is written here.
        .with_for_update(read=True, of=cases)
    )
    ids = list(connection.execute(query).scalars())
    loaded = load_cases(connection, ids, ("upload", "verdicts"))
    waves = {one.upload_id: waves_of(one.verdict) for one in loaded}
    write_likeness(connection, [one.upload for one in loaded if one.upload is not None], waves)
    return ids[-1] if len(ids) == _BATCH else None
