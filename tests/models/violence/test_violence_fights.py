"""Smoke test of the shipped weights on their own training clips."""

import csv

import pytest

from quorum.core.messages import Upload
from quorum.core.settings import MediaAccess
from quorum.models.detectors import Feature
from quorum.models.features.extract import Extractor
from quorum.models.violence.detector import ViolenceDetector
from tests.models.data import shared_data


@pytest.mark.slow
def test_fights_score_above_other_clips_and_name_the_seconds():
    folder = shared_data("fights")
    with (folder / "clips.csv").open() as file:
        rows = list(csv.DictReader(file))
    chosen = [row for row in rows if row["fight"] == "1"][::28]
    chosen += [row for row in rows if row["fight"] == "0"][::28]
    extractor = Extractor(frozenset({Feature.FRAMES}), MediaAccess(folders=(str(folder),)))
    uploads = [
        Upload.model_validate(
            {
                "id": row["file"],
                "uploader": "x",
                "media": (folder / row["file"]).resolve().as_uri(),
                "published_at": "2026-01-01T00:00:00Z",
            }
        )
        for row in chosen
    ]
    features = extractor.extract(uploads)
    findings = ViolenceDetector().score(features)
    fights = [one for one, row in zip(findings, chosen, strict=True) if row["fight"] == "1"]
    others = [one for one, row in zip(findings, chosen, strict=True) if row["fight"] == "0"]
    mean = [sum(one.score for one in group) / len(group) for group in (fights, others)]
    assert mean[0] > mean[1] + 0.3
    for one, seen in zip(findings, features, strict=True):
        if one.score >= 0.5:
            assert one.evidence[0].kind == "video"
            assert one.evidence[0].end <= seen.frames.duration + 0.1
