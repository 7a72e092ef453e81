"""One ensemble, deployed in three ways: on a stream, in batch, behind a request."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs quorum-moderation[web]")

import apache_beam as beam
import httpx

from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.apps.web.app import create_app
from quorum.client import Client
from quorum.core.errors import MalformedMessage
from quorum.core.messages import Upload, Verdict, now
from quorum.core.settings import MediaAccess, Settings
from quorum.models.configured import choose_detectors
from quorum.models.ensemble import Ensemble
from quorum.pipeline import graph
from quorum.pipeline.batch.run import BatchOptions, ModerateBatch
from quorum.pipeline.batch.sources import FileBatch
from quorum.pipeline.engines import Engine, launch
from quorum.pipeline.moderator import Moderator
from quorum.pipeline.streams import sink, source
from quorum.store.ledger import Ledger, TimeRange
from tests.apps.web.doubles import POLICY as DOUBLES
from tests.apps.web.doubles import Slow, Words
from tests.apps.web.serving import run

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
DATA = Path(os.environ.get("QUORUM_DATA", ROOT.parent / "shared" / "data"))
SETTINGS = Settings(media=MediaAccess(folders=(str(EXAMPLES),)))


#: Without caps: whose removal is the one too many depends on who came first, in each way by itself.
POLICY = Policy.from_text(re.sub(r"(?m)^caps:\n(?:  .*\n)+", "", load_policy("balanced").text))


#: What other texts of its batch do to a score: the order in which floats are added.
NOISE = 1e-4


def told(verdict: Verdict) -> tuple[object, ...]:
    """All of a verdict but its times and the scores."""
    used = tuple((one.id, one.detector, one.version, one.status) for one in verdict.predictions)
    said = (verdict.id, verdict.action, verdict.revision, verdict.rule, verdict.category)
    return (*said, verdict.decided_by, verdict.missing, tuple(sorted(used)))


def scores(verdict: Verdict) -> dict[str, float | None]:
    return {one.detector: one.score for one in verdict.predictions}


def hold_together(ways: Sequence[dict[str, Verdict]], upload: str) -> None:
    first, *others = (way[upload] for way in ways)
    for other in others:
        assert told(other) == told(first), upload
        assert scores(other) == pytest.approx(scores(first), abs=NOISE), upload


def test_a_difference_would_be_found() -> None:
    upload = Upload(id="u", uploader="by", title="a title", published_at=now())
    doubles = Moderator(policy=DOUBLES, ensemble=Ensemble.of([Words(), Slow()]))
    made = doubles.moderate([upload])[0].verdict
    hold_together([{"u": made}, {"u": made}], "u")
    used = made.predictions[0]
    others = [
        made.model_copy(update={"rule": "another"}),
        made.model_copy(update={"decided_by": "deadline"}),
        *(
            made.model_copy(update={"predictions": (used.model_copy(update=change),)})
            for change in ({"score": 0.5}, {"version": "another"}, {"status": "failed"})
        ),
    ]
    for other in others:
        with pytest.raises(AssertionError):
            hold_together([{"u": made}, {"u": made}, {"u": other}], "u")


def streamed(file: Path, folder: Path, settings: Settings) -> dict[str, Verdict]:
    out, dead = folder / "out.jsonl", folder / "dead.jsonl"

    def build(pipeline: beam.Pipeline) -> None:
        graph.stream(
            pipeline,
            uploads=source(str(file), "uploads"),
            verdicts=sink(str(out), origin="/test"),
            dead_letters=sink(str(dead), origin="/test"),
            detectors=choose_detectors(settings),
            policy=POLICY,
            media=settings.media,
            cascade=settings.cascade,
        )

    with launch(build, Engine.DIRECT, streaming=False) as result:
        result.wait_until_finish()
    made = [Verdict.from_bytes(line) for line in out.read_bytes().splitlines()]
    made.sort(key=lambda one: (one.revision, one.at))
    return {verdict.upload_id: verdict for verdict in made}


def batched(file: Path, folder: Path, settings: Settings) -> dict[str, Verdict]:
    url = f"sqlite:///{folder}/ledger.db"
    with Ledger(url, create=True) as ledger:
        how = BatchOptions(POLICY, settings, url)
        files = FileBatch(str(file))

        def build(pipeline: beam.Pipeline) -> None:
            pipeline | ModerateBatch(files, files.ranges(TimeRange(), 1), how)

        with launch(build, Engine.DIRECT, streaming=False) as result:
            result.wait_until_finish()
        cases = ledger.cases(parts=("verdicts",))
        return {case.upload_id: case.verdict for case in cases if case.verdict}


def requested(uploads: Sequence[Upload], settings: Settings) -> dict[str, Verdict]:
    app = create_app(POLICY, Ensemble.load(settings))
    made: dict[str, Verdict] = {}
    with run(app) as url, Client(url, timeout=100) as client:
        assert httpx.get(f"{url}/ready").status_code == 200
        for start in range(0, len(uploads), 50):
            some = uploads[start : start + 50]
            for upload, answer in zip(some, client.moderate_batch(some), strict=True):
                assert not isinstance(answer, Exception), answer
                made[upload.id] = answer.verdict
    return made


def write(uploads: Sequence[Upload], file: Path) -> None:
    file.write_bytes(b"".join(upload.to_bytes() + b"\n" for upload in uploads))


def same(
    uploads: Sequence[Upload], folder: Path, settings: Settings = SETTINGS
) -> dict[str, Verdict]:
    folder.mkdir(exist_ok=True)
    file = folder / "in.jsonl"
    write(uploads, file)
    ways = [
        streamed(file, folder, settings),
        batched(file, folder, settings),
        requested(uploads, settings),
    ]
    for upload in uploads:
        hold_together(ways, upload.id)
    return ways[0]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_shipped_examples(tmp_path: Path) -> None:
    uploads: dict[str, Upload] = {}
    for line in (EXAMPLES / "uploads.jsonl").read_bytes().splitlines():
        try:
            upload = Upload.from_bytes(line)
        except MalformedMessage:
            continue
        if upload.media and "://" not in upload.media:
            media = (EXAMPLES / upload.media).resolve().as_uri()
            upload = upload.model_copy(update={"media": media})
        uploads.setdefault(upload.id, upload)
    made = same(list(uploads.values()), tmp_path)
    assert {verdict.action.value for verdict in made.values()} == {
        "allow",
        "restrict",
        "review",
        "remove",
    }
    spared = same(
        list(uploads.values()), tmp_path / "cascade", SETTINGS.model_copy(update={"cascade": True})
    )
    assert {name: one.action for name, one in spared.items()} == {
        name: one.action for name, one in made.items()
    }


def real_texts(count: int) -> list[str]:
    comments = sorted((DATA / "youtube_spam").glob("*.csv"))
    prompts = DATA / "openai_moderation" / "violence_filtered.jsonl"
    if not comments or not prompts.is_file():
        pytest.skip("needs shared/data (QUORUM_DATA)")
    texts: list[str] = []
    for file in comments:
        with file.open(encoding="utf-8-sig", newline="") as rows:
            texts += [row["CONTENT"] for row in csv.DictReader(rows)]
    with prompts.open(encoding="utf-8") as lines:
        texts += [json.loads(line)["prompt"] for line in itertools.islice(lines, count)]
    assert len(texts) >= count
    return texts[:count]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_thousand_real_texts(tmp_path: Path) -> None:
    uploads = [
        Upload.model_validate_json(
            json.dumps(
                {
                    "id": f"text-{number}",
                    "uploader": f"someone-{number % 97}",
                    "title": text[:300],
                    "published_at": "2026-01-31T12:00:00Z",
                }
            )
        )
        for number, text in enumerate(real_texts(2000))
    ]
    made = same(uploads, tmp_path)
    assert len(made) == 2000
    assert len({verdict.action for verdict in made.values()}) >= 3
