"""Innocent media by kind: what one network and both networks of ``nsfw`` make of it.

``python -m benchmarks.nsfw_innocents --data DATA --packages PACKAGES``. DATA holds ``clips`` and
``fights``; PACKAGES the wheels of scikit-image 0.26.0, ultralytics 8.4.190 and imgaug 0.4.0, whose
sample pictures are read; they are not installed. ``--also KIND=FOLDER`` adds a folder of your own,
which must contain nothing explicit. ``--kept FILE`` keeps what was scored between runs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.core.messages import Upload
from quorum.core.settings import MediaAccess
from quorum.models.detectors import Frames
from quorum.models.features.extract import Extractor
from quorum.models.nsfw.detector import DISPUTED, NsfwDetector

#: Kinds of innocent media, by the names of files. The first that fits counts.
KINDS = (
    ("faces and hands", "asl_*", "carphone*", "astronaut.png", "grace_hopper.jpg", "zidane.jpg"),
    ("children", "sam2_bedroom*"),
    ("sport", "bikes*", "*juggle*"),
    ("people in streets", "bus.jpg", "camera.png", "intel_one*"),
    ("medicine", "ihc.png", "retina.jpg", "cell.png"),
    ("drawn and rendered", "bigbuckbunny*", "mdn_*", "horse.png"),
    ("animals", "chelsea.png", "quokka.jpg", "sam2_01*"),
    ("interfaces and text", "fl_[!b]*", "fl_bevel*", "page.png", "text.png", "sam2_sam2*"),
    ("surfaces", "brick.png", "grass.png", "gravel.png", "coins.png", "moon.png"),
    ("fights", "fi[0-9]*"),
    ("surveillance", "nofi*"),
    ("things and places", "*"),
)
#: What the issue names and of which nothing is here.
NOT_HERE = ("make-up tutorials", "babies", "swimwear", "breast-feeding", "statues and paintings")
_SUFFIXES = {".mp4", ".mkv", ".webm", ".avi", ".mov", ".jpg", ".jpeg", ".png", ".webp", ".gif"}
_WHEELS = ("scikit_image", "ultralytics", "imgaug")
_INSTALLED = (
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
)
_NO_PHOTOGRAPHS = ("logo", "depth", "color.png", "motion")


class _Told(NsfwDetector):
    """The detector, which tells the first network's highest score and how often it asks again."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.asked = 0.0, 0

    def _frames(self, frames: Frames, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        from quorum.models.scoring.timeline import smoothed

        made = super()._frames(frames, chosen)
        seen = smoothed(made, self._window)
        self.first = max(self.first, float(seen.max()))
        if self._second is not None:
            self.asked += len(self._second.asks(seen))
        return made


def kind_of(name: str) -> str:
    """The kind of a file, by its name."""
    return next(kind for kind, *forms in KINDS if any(fnmatch(name, form) for form in forms))


def media_of(data: Path, packages: Path | None, also: list[str], scratch: Path) -> Iterator[Any]:
    """Kind and path of all innocent media."""
    for folder in (data / "clips", data / "fights"):
        for path in sorted(folder.rglob("*")):
            if path.suffix in _SUFFIXES:
                yield kind_of(path.name), path
    for package, inside in _INSTALLED:
        found = find_spec(package)
        for place in (found.submodule_search_locations or ()) if found else ():
            if Path(place, inside).is_file():
                yield kind_of(Path(inside).name), Path(place, inside)
    for wheel in sorted(packages.glob("*.whl")) if packages else ():
        if not wheel.name.startswith(_WHEELS):
            continue
        with zipfile.ZipFile(wheel) as held:
            for name in sorted(held.namelist()):
                if Path(name).suffix in _SUFFIXES and not any(
                    one in name for one in _NO_PHOTOGRAPHS
                ):
                    out = scratch / Path(name).name
                    out.write_bytes(held.read(name))
                    yield kind_of(out.name), out
    for one in also:
        kind, _, folder_name = one.partition("=")
        for path in sorted(Path(folder_name).rglob("*")):
            if path.suffix.lower() in _SUFFIXES:
                yield kind, path


def scored(media: list[tuple[str, Path]], kept: Path | None) -> dict[str, dict[str, float]]:
    """Of each file: the first network's score, both networks' score, the dispute, frames asked."""
    found: dict[str, dict[str, float]] = {}
    if kept is not None and kept.exists():
        found = json.loads(kept.read_text())
    detector = _Told()
    folders = tuple(sorted({str(path.parent.resolve()) for _, path in media}))
    extractor = Extractor(detector.needs, MediaAccess(folders=folders))
    for _, path in media:
        if path.name in found:
            continue
        upload = Upload(
            id=path.name,
            uploader="x",
            media=path.resolve().as_uri(),
            published_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        detector.first, detector.asked = 0.0, 0
        (finding,) = detector.score(extractor.extract([upload]))
        if finding.score is None:
            print(f"{path.name}: {finding.reason}")
            continue
        found[path.name] = {
            "one": detector.first,
            "both": finding.score,
            "disputed": finding.labels.get(DISPUTED, 0.0),
            "asked": detector.asked,
        }
        if kept is not None:
            kept.write_text(json.dumps(found))
    return found


def main() -> None:
    """Command-line entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True, help="folder of clips and fights")
    parser.add_argument("--packages", type=Path, help="folder of wheels with sample pictures")
    parser.add_argument("--also", action="append", default=[], help="KIND=FOLDER of your own")
    parser.add_argument("--kept", type=Path, help="file of scores, kept between runs")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        media = list(media_of(given.data, given.packages, given.also, Path(scratch)))
        media.sort(
            key=lambda one: (one[1].suffix in {".mp4", ".mkv"}, one[1].name.startswith("fl_"))
        )
        found = scored(media, given.kept)
    table: dict[str, list[dict[str, float]]] = defaultdict(list)
    for kind, path in media:
        if path.name in found:
            table[kind].append(found[path.name])
    print(
        "| kind | media | asked twice | one network 0.5, 0.8, 0.9 | both 0.5, 0.8 | disputed 0.8 |"
    )
    print("|---|---|---|---|---|---|")
    everything = [one for rows in table.values() for one in rows]
    for kind, rows in [*sorted(table.items()), ("all", everything)]:
        one = ", ".join(str(sum(row["one"] >= at for row in rows)) for at in (0.5, 0.8, 0.9))
        both = ", ".join(str(sum(row["both"] >= at for row in rows)) for at in (0.5, 0.8))
        again = sum(row["asked"] > 0 for row in rows)
        doubt = sum(row["disputed"] >= 0.8 for row in rows)
        print(f"| {kind} | {len(rows)} | {again} | {one} | {both} | {doubt} |")
    print(f"\nOf these kinds nothing is here: {', '.join(NOT_HERE)}.")
    worst = sorted(found.items(), key=lambda one: -max(one[1]["one"], one[1]["disputed"]))[:20]
    for name, row in worst:
        print(f"- {row['one']:.2f}, both {row['both']:.2f}, disputed {row['disputed']:.2f}: {name}")


if __name__ == "__main__":
    main()
