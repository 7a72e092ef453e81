"""One ensemble, deployed in three ways: on a stream, in batch, behind a request."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs quorum-moderation[web]")

import apache_beam as beam
import httpx

from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.apps.web.app import create_app
from quorum.client import Client, RequestRefused
from quorum.core.errors import MalformedMessage
from quorum.core.messages import Upload, Verdict, now
from quorum.core.settings import MediaAccess, Settings
from quorum.models.ensemble import Ensemble
from quorum.pipeline import graph
from quorum.pipeline.batch.run import BatchOptions, ModerateBatch
from quorum.pipeline.batch.sources import FileBatch
from quorum.pipeline.engines import Engine, launch
from quorum.pipeline.moderator import Moderator, ensemble_of
from quorum.pipeline.streams.open import sink, source
from quorum.store.ledger import Ledger, TimeRange
from tests.apps.web.doubles import POLICY as DOUBLES
from tests.apps.web.doubles import Slow, Words
from tests.apps.web.serving import run

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
DATA = Path(os.environ.get("QUORUM_DATA", ROOT.parent / "shared" / "data"))
SETTINGS = Settings(media=MediaAccess(folders=(str(EXAMPLES),)))


#: Without caps: whose removal is the one too many depends on who came first, in each way by itself.
#: With a deadline that a slow machine keeps: what is late is another decision.
POLICY = Policy.from_text(
    re.sub(
        r"(?m)^caps:\n(?:  .*\n)+",
        "",
        load_policy("balanced").text.replace("deadline: 30 s ", "deadline: 10 min ", 1),
    )
)


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
            ensemble=ensemble_of(settings, (POLICY,)),
            policy=POLICY,
        )

    with launch(build, Engine.DIRECT, streaming=False) as result:
        result.wait_until_finish()
    made = [Verdict.from_bytes(line) for line in out.read_bytes().splitlines()]
    made.sort(key=lambda one: one.order)
    return {verdict.upload_id: verdict for verdict in made}


def apart(file: Path, folder: Path, settings: Settings) -> dict[str, Verdict]:
    """The two halves, which share only the predictions: uploads and these come in any order."""
    predictions, out, dead = (str(folder / f"apart-{name}.jsonl") for name in "pod")

    def detect(pipeline: beam.Pipeline) -> None:
        graph.detect(
            pipeline,
            uploads=source(str(file), "uploads"),
            predictions=sink(predictions, origin="/test"),
            dead_letters=sink(dead, origin="/test"),
            ensemble=ensemble_of(settings, ()),
        )

    def decide(pipeline: beam.Pipeline) -> None:
        graph.decide(
            pipeline,
            sources=[source(str(file), "uploads"), source(predictions, "predictions")],
            verdicts=sink(out, origin="/test"),
            dead_letters=sink(dead, origin="/test"),
            policy=POLICY,
        )

    for half in (detect, decide):
        with launch(half, Engine.DIRECT, streaming=False) as result:
            result.wait_until_finish()
    assert not Path(dead).exists() or not Path(dead).read_bytes()
    made = [Verdict.from_bytes(line) for line in Path(out).read_bytes().splitlines()]
    made.sort(key=lambda one: one.order)
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
def test_two_hundred_real_texts(tmp_path: Path) -> None:
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
        for number, text in enumerate(real_texts(200))
    ]
    made = same(uploads, tmp_path)
    assert len(made) == 200
    assert len({verdict.action for verdict in made.values()}) >= 3


def one_by_one(uploads: Sequence[Upload], settings: Settings) -> dict[str, Verdict]:
    """The verdict that holds after each request has had its answer."""
    app = create_app(POLICY, Ensemble.load(settings))
    with run(app) as url, Client(url, timeout=100) as client:
        for upload in uploads:
            try:
                client.moderate(upload)
            except RequestRefused as refused:
                assert (refused.status, upload.published_at) == (409, FIRST_AT)
        found = {name: client.status(name) for name in {one.id for one in uploads}}
    return {name: one.verdict for name, one in found.items() if one is not None}


def recorded(uploads: Sequence[Upload], folder: Path) -> dict[str, Verdict]:
    """What the ledger takes for current of a stream that is recorded backwards."""
    with Ledger(f"sqlite:///{folder}/recorded.db", create=True) as ledger:
        for line in reversed((folder / "out.jsonl").read_bytes().splitlines()):
            ledger.record([Verdict.from_bytes(line)])
        for upload in reversed(uploads):
            ledger.record([upload])
        return {one.upload_id: one.verdict for one in ledger.cases() if one.verdict}


FIRST_AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
CONTENTS = [
    ("a walk in the park", "WIN a FREE iPhone!!! click http://x.example now, limited offer"),
    ("WIN a FREE iPhone!!! click http://x.example now, limited offer", "a walk in the park"),
    ("a walk in the park", "a walk by the sea"),
]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_id_two_contents(tmp_path: Path) -> None:
    first, edits = [], []
    for number, (before, after) in enumerate(CONTENTS):
        upload = Upload(id=f"edited-{number}", uploader="by", title=before, published_at=FIRST_AT)
        first.append(upload)
        later = FIRST_AT + timedelta(minutes=1)
        edits.append(upload.model_copy(update={"title": after, "published_at": later}))
    # The first contents are delivered again at the end, as after a crash.
    uploads = [*first, *edits, *edits, *first]
    file = tmp_path / "in.jsonl"
    write(uploads, file)
    ways = [
        streamed(file, tmp_path, SETTINGS),
        batched(file, tmp_path, SETTINGS),
        one_by_one(uploads, SETTINGS),
        recorded(uploads, tmp_path),
    ]
    halves = apart(file, tmp_path, SETTINGS)
    (tmp_path / "alone").mkdir()
    write(edits, tmp_path / "alone.jsonl")
    alone = streamed(tmp_path / "alone.jsonl", tmp_path / "alone", SETTINGS)
    for edit in edits:
        hold_together(ways, edit.id)
        verdict = ways[0][edit.id]
        assert (verdict.digest, verdict.revision) == (edit.digest, 2)
        # As if the edit were an upload of its own, but for its revision, and so its id.
        for other in (alone[edit.id], halves[edit.id]):
            assert other.digest == edit.digest
            assert told(other)[1] == told(verdict)[1]
            assert told(other)[3:] == told(verdict)[3:]
            assert scores(other) == pytest.approx(scores(verdict), abs=NOISE)
    assert len({ways[0][edit.id].action for edit in edits}) > 1
