"""The copyright detector: finds registered works in uploads."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from quorum.core.errors import ConfigurationError, QuorumError
from quorum.core.messages import Action, Evidence, Prediction, Status, now, prediction_id
from quorum.models.detectors import Detector, Example, Feature, Features, Finding

if TYPE_CHECKING:
    from quorum.core.settings import Settings
    from quorum.models.copyright.matching.matching import CopyMatch
    from quorum.models.copyright.rules import Ruling
    from quorum.models.fingerprint.fingerprint import Fingerprint

__all__ = ["ARTIFACT", "CopyrightDetector"]

_log = logging.getLogger(__name__)

#: Folder of the shipped catalogue and its media.
ARTIFACT = Path(__file__).parent / "artifact"

#: Seconds between two checks of the catalogue for changes.
_REFRESH_SECONDS = 5.0


#: Maximum score by the action of the work's rule, so that a policy that only reads the score
#: removes only what the owner's rule wants removed.
_CEILING = {Action.REMOVE: 1.0, Action.REVIEW: 0.9, Action.RESTRICT: 0.55, Action.ALLOW: 0.0}


class CopyrightDetector(Detector):
    """Matches the fingerprint of an upload against the catalogue of registered works.

    The score is the probability that the upload contains a work whose rule asks for removal. For
    milder rules it is capped at 0.9 (review) or 0.55 (restrict), and a permitted work scores 0.
    Labels: ``copyright/match`` for any work; ``copyright/remove``, ``copyright/review``,
    ``copyright/restrict`` or ``copyright/allow`` for the outcome of the rule; and
    ``copyright/restrict/DE`` for each territory of a restriction.

    Args:
        catalogue: The catalogue's folder or JSON file; None for the shipped example.
        database: URL of the ledger's database, or ``ledger``, if the works are stored there.

    Raises:
        ConfigurationError: If the catalogue does not exist.
        EngineUnavailable: If its database cannot be reached.
    """

    name = "copyright"
    needs = frozenset({Feature.FINGERPRINT})

    def __init__(self, catalogue: str | Path | None = None, database: str | None = None) -> None:
        # The index imports a compiler: only a process that compares pays for it.
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
        """Digest of the works and their rules: any change gives another version."""
        return self._catalogue.version

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """See Detector."""
        self._refresh()
        return [self._score_one(features) for features in batch]

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
            # A stale catalogue is better than none.
            _log.warning("cannot refresh the catalogue: %s", error)

    def _score_one(self, features: Features) -> Finding:
        finding = self._compare(features)
        if self._kept and features.fingerprint is not None:
            try:
                labels = dict(finding.labels)
                self._kept.keep(features.upload, features.fingerprint, labels, now())
            except QuorumError as error:
                _log.warning("cannot store the fingerprint of an upload: %s", error)
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
        return _finding(made) if made else _nothing_found(found)

    def rescan(self) -> Iterator[Prediction]:
        """Compare the kept uploads again, and yield a prediction for each changed result.

        The predictions carry the current version of the catalogue, so that they count as late
        predictions: a verdict whose action changes is superseded. They are yielded at each call
        until ``mark_published`` records them.

        Raises:
            ConfigurationError: If the catalogue does not keep uploads.
            EngineUnavailable: If the catalogue's database cannot be reached.
        """
        self._catalogue.refresh()
        if self._kept is None:
            msg = "the catalogue keeps no uploads; start with: quorum catalogue keep"
            raise ConfigurationError(msg)
        self._kept.forget(now())
        for upload, found, labels in self._kept:
            begun = time.perf_counter()
            finding = self._compare(Features(upload, fingerprint=found))
            if finding.status is Status.SCORED and _differ(labels, finding.labels):
                # A local file may be a copy of media that a request brought: then the content is
                # another than the one that was sent, and the prediction names none.
                local = (upload.media or "").startswith("file:")
                content = None if local else upload.digest
                yield Prediction(
                    id=prediction_id(upload.id, self.name, self.version, content),
                    upload_id=upload.id,
                    digest=content,
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
        """Record that predictions of ``rescan`` were published.

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
            Example.of(
                "copyright-copy",
                "flagged",
                "a registered work, mirrored, cropped and re-encoded",
                title="my new clip",
                media=ARTIFACT / "copy.mp4",
            ),
            Example.of(
                "copyright-own",
                "clear",
                "media that shares nothing with the catalogue",
                title="my own clip",
                media=ARTIFACT / "other.mp4",
            ),
            Example.of("copyright-text", "abstained", "no media", title="just words"),
        )


def _differ(before: Mapping[str, float], after: Mapping[str, float]) -> bool:
    names = set(before) | set(after)
    return any(abs(before.get(name, 0.0) - after.get(name, 0.0)) > 0.05 for name in names)


def _nothing_found(found: Fingerprint) -> Finding:
    """The finding without a match: a score only if picture or sound could be compared."""
    comparable = any(
        (one.video is not None and len(one.video) > 1) or (one.audio is not None and len(one.audio))
        for one in found.sights
    )
    if found.unread:
        return Finding.failed("; ".join(found.unread)[:500])
    if comparable:
        return Finding.scored(0.0)
    told = "; ".join(found.notices)
    if told:
        return Finding.failed(f"nothing could be compared: {told}"[:500])
    still = any(one.video is not None and len(one.video) == 1 for one in found.sights)
    if still:
        return Finding.abstained("one still picture is too little to be compared with works")
    return Finding.failed("nothing could be compared: no frame and no sound could be read")


def _finding(made: Sequence[Ruling]) -> Finding:
    labels: dict[str, float] = {}
    evidence: list[Evidence] = []
    score = 0.0
    for ruling in made:
        outcome = f"copyright/{ruling.action}"
        for label in (
            "copyright/match",
            outcome,
            *(f"{outcome}/{code}" for code in ruling.blocked),
        ):
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
    work = match.work
    described = ", ".join([f"{how} of {work.title!r} by {work.owner}", *match.edits])
    return Evidence(
        kind="match",
        what=f"{described}; {ruling.why}",
        start=match.start,
        end=match.end,
        weight=match.score,
        work=work.id,
        work_start=match.work_start,
        work_end=match.work_end,
    )
