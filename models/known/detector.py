"""The detector ``hashes``: finds uploads that match a hash which an exchange or authority lists.

It runs where the settings name hash lists or a database of them (``hashes``). Its labels say what
to do: ``hashes/csam/exact`` for the same file, ``hashes/csam/similar`` for a picture that is alike,
``hashes/csam/flooded`` where the hash matched too much lately; likewise ``hashes/intimate/…`` and
``hashes/terrorism/…``.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from quorum.core.child_safety_settings import HashSettings
from quorum.core.errors import QuorumError
from quorum.core.messages import Evidence
from quorum.models.detectors import Detector, Example, Feature, Features, Finding

if TYPE_CHECKING:
    from quorum.core.settings import Settings
    from quorum.models.copyright.catalogue.database import Database
    from quorum.models.known.bank import HashBank, Match
    from quorum.models.known.hashes import Listed

__all__ = ["NAME", "KnownHashDetector"]

_log = logging.getLogger(__name__)

NAME: Final = "hashes"

#: Seconds between two looks for changes in the database.
_REFRESH_SECONDS: Final = 5.0

#: The most matches that are told of one upload.
_MOST: Final = 50

_CERTAIN: Final = 1.0
_SIMILAR: Final = 0.9


class KnownHashDetector(Detector):
    """Compares the digests and picture hashes of an upload with those that are listed.

    The score is 1 for the same file, 0.9 for a picture that is alike, and 0 without a match. A file
    that cannot be decoded is the same file still; if no list has it, its pictures are not known.

    Args:
        settings: The lists, and the database.

    Raises:
        ConfigurationError: If a list cannot be read, or there is no database.
        EngineUnavailable: If the database cannot be reached.
    """

    name = NAME
    needs = frozenset({Feature.FINGERPRINT, Feature.DIGESTS})

    def __init__(self, settings: HashSettings) -> None:
        from quorum.models.known.hashes import read_list

        self._settings = settings
        self._listed: list[Listed] = []
        for one in settings.lists:
            self._listed += read_list(Path(one.file), one.category, one.name)
        self._files = hashlib.sha256(repr(sorted(map(repr, self._listed))).encode()).hexdigest()
        self._database: Database | None = None
        if settings.database is not None:
            from quorum.models.copyright.catalogue.database import Database

            self._database = Database.at(settings.database)
        self._lock = threading.Lock()
        self._bank, self._loaded = self._load()
        self._refreshed = time.monotonic()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """See Detector."""
        return cls(settings.hashes)

    @property
    def version(self) -> str:  # type: ignore[override]
        """Digest of the lists, and the version of the database: any change gives another one."""
        return f"{self._files[:12]}.{self._loaded or 0}"

    def _load(self) -> tuple[HashBank, str]:
        from quorum.models.known import records
        from quorum.models.known.bank import HashBank

        listed, said, version = list(self._listed), {}, ""
        if self._database is not None:
            with self._database.reading() as connection:
                version = records.version_of(connection)
                listed += records.every_entry(connection)
                said = {
                    (row.kind, row.value): row.standing for row in records.standings_of(connection)
                }
        chosen = self._settings
        bank = HashBank(listed, said, distance=chosen.distance, quality=chosen.quality)
        return bank, version

    def _refresh(self) -> None:
        if self._database is None:
            return
        from quorum.models.known import records

        with self._lock:
            if time.monotonic() - self._refreshed < _REFRESH_SECONDS:
                return
            self._refreshed = time.monotonic()
            try:
                with self._database.reading() as connection:
                    version = records.version_of(connection)
                if version != self._loaded:
                    self._bank, self._loaded = self._load()
            except QuorumError as error:
                # What was listed a moment ago is better than nothing.
                _log.warning("cannot look for changes of the listed hashes: %s", error)

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """See Detector."""
        self._refresh()
        return [self._score_one(features) for features in batch]

    def _score_one(self, features: Features) -> Finding:
        from quorum.models.fingerprint.fingerprint import FileDigests, Fingerprint

        if features.upload.media is None:
            return Finding.abstained("no media")
        found = features.fingerprint
        if found is not None and not isinstance(found, Fingerprint):
            return Finding.failed(f"the fingerprint is a {type(found).__name__}")
        unseen = features.absent.get(Feature.FINGERPRINT, "no fingerprint")
        file: FileDigests | None = features.digests if found is None else found.file
        if file is None:
            return Finding.failed(unseen)
        matched = self._bank.matches(found or file)[:_MOST]
        told = f"sha256={file.sha256} sha1={file.sha1} md5={file.md5}"
        evidence = [Evidence(kind="video", field="file", what=told)]
        labels: dict[str, float] = {}
        for one in matched:
            score = _CERTAIN if one.how == "exact" else _SIMILAR
            for category in {entry.category for entry in one.entries}:
                last = "flooded" if one.flooded else one.how
                for label in (f"{NAME}/{category}", f"{NAME}/{category}/{last}"):
                    labels[label] = max(labels.get(label, 0.0), score)
            evidence.append(_evidence(one, score))
        unread = (unseen,) if found is None else found.unread
        if not matched and unread:
            return Finding.failed("; ".join(unread)[:500])
        return Finding.scored(max(labels.values(), default=0.0), labels, evidence)

    def close(self) -> None:
        """See Detector."""
        if self._database is not None:
            self._database.close()

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """See Detector."""
        return (Example.of("hashes-text", "abstained", "no media", title="just words"),)


def _evidence(one: Match, score: float) -> Evidence:
    first = one.entries[0]
    lists = ", ".join(f"{entry.source} {entry.reference}".strip() for entry in one.entries[:10])
    how = "the same file"
    if one.how == "similar":
        how = f"a picture that differs in {one.distance} bits"
    shows = ", ".join(sorted({entry.category for entry in one.entries}))
    return Evidence(
        kind="match",
        what=f"{how}, listed by {lists} as {shows}"[:500],
        start=one.second,
        end=one.second,
        weight=score,
        work=first.name,
    )
