"""The copyright detector: says which registered works an upload contains, and where."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from models.base import Detector, Example, Feature, Features, Finding
from models.copyright.catalogue import Work, load_catalogue
from models.copyright.fingerprint import Fingerprint
from quorum.messages import Evidence, Upload

__all__ = ["CopyrightDetector"]

_ARTIFACT = Path(__file__).parent / "artifact"


class CopyrightDetector(Detector):
    """Compares an upload's fingerprint with the catalogue of registered works.

    Args:
        catalogue: The catalogue's file; None for the small one that ships.
    """

    name = "copyright"
    needs = frozenset({Feature.FINGERPRINT})

    def __init__(self, catalogue: str | Path | None = None) -> None:
        self._catalogue = load_catalogue(catalogue)
        self.version = self._catalogue.version

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """See Detector."""
        return [self._judge(features) for features in batch]

    def _judge(self, features: Features) -> Finding:
        found = features.fingerprint
        if found is None:
            if features.upload.media is None:
                return Finding.abstained("no media")
            return Finding.failed(features.absent.get(Feature.FINGERPRINT, "no fingerprint"))
        if not isinstance(found, Fingerprint):
            return Finding.failed(f"the fingerprint is a {type(found).__name__}")
        works = self._catalogue.find(found)
        if not works:
            return Finding.scored(0.0)
        return Finding.scored(
            1.0, {"copyright/match": 1.0}, [_evidence(found, work) for work in works]
        )

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """See Detector."""
        return (
            Example(
                _upload("copyright-copy", "my new clip", _ARTIFACT / "copy.mkv"),
                "flagged",
                "a registered work in another container, under another name",
            ),
            Example(
                _upload("copyright-own", "my own clip", _ARTIFACT / "other.mp4"),
                "clear",
                "media that no work of the catalogue shares anything with",
            ),
            Example(_upload("copyright-text", "just words", None), "abstained", "no media"),
        )


def _evidence(found: Fingerprint, work: Work) -> Evidence:
    return Evidence(
        kind="match",
        what=f"the same coded content as {work.title!r} of {work.owner}",
        start=0.0,
        end=found.duration,
        weight=1.0,
        work=work.id,
        work_start=0.0,
        work_end=work.fingerprint.duration,
    )


def _upload(id: str, title: str, media: Path | None) -> Upload:  # noqa: A002
    return Upload(
        id=id,
        uploader="example",
        title=title,
        media=media.as_uri() if media else None,
        published_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
