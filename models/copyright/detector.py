"""The copyright detector: says which registered works an upload contains, and where."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from quorum.core.errors import ConfigurationError, QuorumError
from quorum.core.messages import Action, Evidence, Prediction, Status, Upload, now, prediction_id
from quorum.models.detectors import Detector, Example, Feature, Features, Finding

if TYPE_CHECKING:
    from quorum.core.settings import Settings
    from quorum.models.copyright.matching.matching import CopyMatch
    from quorum.models.copyright.rules import Ruling

__all__ = ["CopyrightDetector"]

_log = logging.getLogger(__name__)

_ARTIFACT = Path(__file__).parent / "artifact"

#: Seconds after which a changed catalogue is looked for: a work that was added is found within.
_REFRESH_SECONDS = 5.0


#: However sure a match is, the score says no more than the work's rule asks for, so that a policy
#: which goes by the score alone removes only what a rights holder wants removed.
_CEILING = {Action.REMOVE: 1.0, Action.REVIEW: 0.9, Action.RESTRICT: 0.55, Action.ALLOW: 0.0}


class CopyrightDetector(Detector):
    """Compares an upload's fingerprint with the catalogue of registered works.

    The score is the probability that the upload holds a work whose rule asks for removal; for a
    milder rule it stays under 0.9 (review) or 0.55 (restrict), and a work that may be used raises
    none. The labels say it in full: ``copyright/match`` for any work, and ``copyright/remove``,
    ``copyright/review``, ``copyright/restrict`` or ``copyright/allow`` for what the rules say, and
    ``copyright/restrict/DE`` for where alone the owner has the rights.

    Args:
        catalogue: The catalogue's folder or JSON file; None for the small one that ships.
        database: The URL of the ledger's database, or ``ledger``, where the works lie there.

    Raises:
        ConfigurationError: If there is no such catalogue.
        EngineUnavailable: If its database cannot be reached.
    """

    name = "copyright"
    needs = frozenset({Feature.FINGERPRINT})

    def __init__(self, catalogue: str | Path | None = None, database: str | None = None) -> None:
        # The index brings a compiler with it: only who compares pays for its import.
        from quorum.models.copyright.catalogue.exchange import load_catalogue
        from quorum.models.fingerprint.audio import ABSENT, AudioHasher

        if not AudioHasher.available():
            _log.warning("copyright: %s", ABSENT)
        self._catalogue = load_catalogue(catalogue, database)
        self._kept = self._catalogue.kept_uploads()
        self._lock = threading.Lock()
        self._refreshed = time.monotonic()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """See Detector."""
        chosen = settings.catalogue
        if chosen is None or isinstance(chosen, str):
            return cls(chosen)
        return cls(chosen.folder, chosen.database)

    @property
    def version(self) -> str:  # type: ignore[override]
        """A digest of the works and their rules: a work that is added makes another version."""
        return self._catalogue.version

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """See Detector."""
        self._refresh()
        return [self._judge(features) for features in batch]

    def close(self) -> None:
        """See Detector."""
        self._catalogue.close()
        if self._kept:
            self._kept.close()

    def _refresh(self) -> None:
        with self._lock:
            if time.monotonic() - self._refreshed < _REFRESH_SECONDS:
                return
            self._refreshed = time.monotonic()
        try:
            self._catalogue.refresh()
            if self._kept is None:
                self._kept = self._catalogue.kept_uploads()
        except QuorumError as error:
            # What is known of the catalogue is better than nothing.
            _log.warning("the catalogue cannot be looked at anew: %s", error)

    def _judge(self, features: Features) -> Finding:
        finding = self._compare(features)
        if self._kept and features.fingerprint is not None and finding.status is Status.SCORED:
            try:
                labels = dict(finding.labels)
                self._kept.keep(features.upload, features.fingerprint, labels, now())
            except QuorumError as error:
                _log.warning("the fingerprint of an upload is not kept: %s", error)
        return finding

    def _compare(self, features: Features) -> Finding:
        from quorum.models.copyright.matching.matching import find_matches
        from quorum.models.copyright.rules import rulings
        from quorum.models.fingerprint.fingerprint import Fingerprint

        found = features.fingerprint
        if found is None:
            if features.upload.media is None:
                return Finding.abstained("no media")
            return Finding.failed(features.absent.get(Feature.FINGERPRINT, "no fingerprint"))
        if not isinstance(found, Fingerprint):
            return Finding.failed(f"the fingerprint is a {type(found).__name__}")
        try:
            made = rulings(find_matches(found, self._catalogue), features.upload, now())
        except QuorumError as error:
            return Finding.failed(str(error))
        return _finding(made)

    def rescan(self) -> Iterator[Prediction]:
        """Judge kept uploads anew, and tell those of which another thing is to be said now.

        Their predictions carry the catalogue's present version, so that whoever decides takes
        them for late ones: a verdict whose action changes is superseded. They are told again
        until ``said`` notes them.

        Raises:
            ConfigurationError: If no uploads are kept.
            EngineUnavailable: If the catalogue's database cannot be reached.
        """
        self._catalogue.refresh()
        if self._kept is None:
            msg = "no uploads are kept for this catalogue; quorum catalogue keep makes it do so"
            raise ConfigurationError(msg)
        self._kept.forget(now())
        for upload, found, labels in self._kept:
            begun = time.perf_counter()
            finding = self._compare(Features(upload, fingerprint=found))
            if finding.status is Status.SCORED and _differ(labels, finding.labels):
                yield Prediction(
                    id=prediction_id(upload.id, self.name, self.version),
                    upload_id=upload.id,
                    detector=self.name,
                    version=self.version,
                    status=finding.status,
                    score=finding.score,
                    labels=dict(finding.labels),
                    evidence=finding.evidence,
                    elapsed=time.perf_counter() - begun,
                    at=now(),
                )

    def mark_published(self, predictions: Iterable[Prediction]) -> None:
        """Note what ``rescan`` found and was published since.

        Raises:
            EngineUnavailable: If the catalogue's database cannot be reached.
        """
        for prediction in predictions:
            if self._kept is not None:
                self._kept.note(prediction.upload_id, dict(prediction.labels))

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """See Detector."""
        return (
            Example(
                _upload("copyright-copy", "my new clip", _ARTIFACT / "copy.mp4"),
                "flagged",
                "a registered work, mirrored, cropped and encoded anew",
            ),
            Example(
                _upload("copyright-own", "my own clip", _ARTIFACT / "other.mp4"),
                "clear",
                "media that no work of the catalogue shares anything with",
            ),
            Example(_upload("copyright-text", "just words", None), "abstained", "no media"),
        )


def _differ(before: Mapping[str, float], after: Mapping[str, float]) -> bool:
    names = set(before) | set(after)
    return any(abs(before.get(name, 0.0) - after.get(name, 0.0)) > 0.05 for name in names)


def _finding(made: Sequence[Ruling]) -> Finding:
    labels: dict[str, float] = {}
    evidence: list[Evidence] = []
    score = 0.0
    for ruling in made:
        asked = f"copyright/{ruling.action}"
        for label in ("copyright/match", asked, *(f"{asked}/{code}" for code in ruling.blocked)):
            labels[label] = max(labels.get(label, 0.0), ruling.score)
        score = max(score, min(ruling.score, _CEILING[ruling.action]))
        evidence += [_evidence(match, ruling) for match in ruling.matches]
    return Finding.scored(score, labels, evidence)


def _evidence(match: CopyMatch, ruling: Ruling) -> Evidence:
    how = {
        "file": "the same file or coded content",
        "video": "the picture",
        "audio": "the sound",
        "both": "picture and sound",
    }[match.medium]
    edits = [
        *(["mirrored"] if match.mirrored else []),
        *([f"at {match.speed:g} times its speed"] if abs(match.speed - 1) > 0.03 else []),
    ]
    told = ", ".join([f"{how} of {match.work.title!r} of {match.work.owner}", *edits])
    return Evidence(
        kind="match",
        what=f"{told}; {ruling.why}",
        start=match.start,
        end=match.end,
        weight=match.score,
        work=match.work.id,
        work_start=match.work_start,
        work_end=match.work_end,
    )


def _upload(id: str, title: str, media: Path | None) -> Upload:  # noqa: A002
    return Upload(
        id=id,
        uploader="example",
        title=title,
        media=media.as_uri() if media else None,
        published_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
