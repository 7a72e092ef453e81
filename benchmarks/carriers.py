"""Findings of each detector on one picture, one film and one sound, carried in many ways.

    python -m benchmarks.carriers

The files are those of ``tests/models/media/carriers.py``. The film and the sound are registered
works. Carriers with the same findings, to a hundredth, share a line.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from quorum.core.messages import Action, Upload
from quorum.core.settings import MediaAccess
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.catalogue.works import OwnerRule, Work, WorkPrint
from quorum.models.copyright.detector import CopyrightDetector
from quorum.models.detectors import Detector, Finding
from quorum.models.features.extract import Extractor
from quorum.models.fingerprint.fingerprint import WORK_RATE, fingerprint
from quorum.models.nsfw.detector import NsfwDetector
from quorum.models.spam.detector import SpamDetector
from quorum.models.violence.detector import ViolenceDetector
from tests.models.media import carriers


def catalogue_of(folder: Path, works: list[Path]) -> Path:
    """A folder with a catalogue of some works."""
    made = Catalogue(folder)
    for path in works:
        work = Work(id=path.name, title=path.name, owner="-", rule=OwnerRule(action=Action.REMOVE))
        made.add(work, WorkPrint.of(fingerprint(path, rate=WORK_RATE)))
    made.close()
    return folder


def told(finding: Finding) -> str:
    """A finding in a word."""
    return finding.status.value if finding.score is None else f"{finding.score:.2f}"


def main() -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory(prefix="quorum-carriers-") as name:
        folder = Path(name)
        film, sound = carriers.plain_film(folder), carriers.plain_sound(folder)
        kinds = (
            ("picture", carriers.plain_picture(folder), carriers.PICTURES),
            ("film", film, carriers.FILMS),
            ("sound", sound, carriers.SOUNDS),
        )
        detectors: list[Detector] = [
            SpamDetector(),
            ViolenceDetector(),
            NsfwDetector(),
            CopyrightDetector(catalogue_of(folder / "works", [film, sound])),
        ]
        needs = frozenset().union(*(one.needs for one in detectors))
        extractor = Extractor(needs, MediaAccess(folders=(name,), speech="off"))

        def judged(path: Path) -> tuple[str, ...]:
            upload = Upload(
                id="u",
                uploader="u",
                media=path.as_uri(),
                published_at=datetime(2026, 1, 1, tzinfo=UTC),
            )
            features = extractor.extract([upload])
            return tuple(told(one.score(features)[0]) for one in detectors)

        print(f"| what | carriers | {' | '.join(one.name for one in detectors)} |")
        print(f"|---|---|{'---|' * len(detectors)}")
        for kind, plain, ways in kinds:
            found: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
            found[judged(plain)].append("plain")
            for way, make in ways.items():
                path = folder / f"{kind}-{way}"
                make(plain, path)
                found[judged(path)].append(f"`{way}`")
            for scores, names in found.items():
                shared = f"{len(names)}: {', '.join(names)}"
                print(f"| {kind} | {shared} | {' | '.join(scores)} |", flush=True)


if __name__ == "__main__":
    main()
