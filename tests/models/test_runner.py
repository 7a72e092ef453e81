import threading
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from quorum.core.messages import Evidence, Status, Upload, prediction_id
from quorum.models.detectors import Detector, Example, Features, Finding, Frames
from quorum.models.runner import predict, score_safely

AT = datetime(2026, 1, 1, tzinfo=UTC)


def features(*titles):
    return [
        Features(Upload(id=f"u{index}", uploader="x", title=title, published_at=AT))
        for index, title in enumerate(titles)
    ]


class Scripted(Detector):
    """Does what a test says."""

    name = "scripted"
    version = "1"
    needs = frozenset()

    def __init__(self, act):
        self.act = act
        self.calls = 0

    def score(self, batch):
        self.calls += 1
        return self.act(batch)

    @classmethod
    def examples(cls) -> list[Example]:
        return []


def test_findings_come_back_in_order():
    detector = Scripted(lambda batch: [Finding.scored(len(f.upload.title) / 10) for f in batch])
    found = score_safely(detector, features("a", "abc", ""), 5)
    assert [finding.score for finding in found] == [0.1, 0.3, 0.0]
    assert score_safely(detector, [], 5) == []


def test_only_the_upload_that_raises_fails():
    def act(batch):
        if any(f.upload.title == "bad" for f in batch):
            raise ValueError("cannot  read\nthis")
        return [Finding.scored(0.5) for _ in batch]

    found = score_safely(Scripted(act), features("a", "bad", "b"), 5)
    assert [finding.status for finding in found] == [Status.SCORED, Status.FAILED, Status.SCORED]
    assert found[1].reason == "ValueError: cannot read this"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), RecursionError()])
def test_not_even_an_exit_gets_out(error):
    def act(batch):
        raise error

    (found,) = score_safely(Scripted(act), features("a"), 5)
    assert found.status is Status.FAILED


def test_a_wrong_length_is_mended_one_by_one():
    found = score_safely(Scripted(lambda batch: [Finding.scored(0.2)]), features("a", "b"), 5)
    assert [finding.score for finding in found] == [0.2, 0.2]
    found = score_safely(Scripted(lambda batch: []), features("a", "b"), 5)
    assert [finding.status for finding in found] == [Status.FAILED] * 2
    assert "0 findings for 1 uploads" in found[0].reason


@pytest.mark.parametrize("result", [None, 3, object()])
def test_what_is_no_list_fails(result):
    (found,) = score_safely(Scripted(lambda batch: result), features("a"), 5)
    assert found.status is Status.FAILED


@pytest.mark.parametrize(
    "finding",
    [
        Finding.scored(float("nan")),
        Finding.scored(float("inf")),
        Finding.scored(1.0001),
        Finding.scored(-0.1),
        Finding.scored(0.5, {"spam/x": 2.0}),
        Finding.scored(0.5, {"spam/x": float("nan")}),
        Finding.scored(0.5, evidence=["not evidence"]),
        Finding(Status.SCORED, None),
        Finding(Status.SCORED, "0.5"),
        Finding(Status.SCORED, True),
        Finding(Status.ABSTAINED),
        Finding(Status.FAILED, reason=""),
        0.7,
        None,
    ],
)
def test_a_finding_that_breaks_the_contract_fails_alone(finding):
    found = score_safely(
        Scripted(lambda batch: [Finding.scored(0.5), finding]), features("a", "b"), 5
    )
    assert found[0].score == 0.5
    assert found[1].status is Status.FAILED
    assert found[1].reason


def test_a_detector_that_hangs_is_given_up_and_not_called_while_it_hangs():
    gate = threading.Event()

    def act(batch):
        gate.wait(30)
        return [Finding.scored(0.5) for _ in batch]

    detector = Scripted(act)
    found = score_safely(detector, features("a", "b"), 0.05)
    assert [finding.reason for finding in found] == ["timed out after 0.05 s"] * 2
    found = score_safely(detector, features("c"), 0.05)
    assert found[0].reason == "the detector still hangs in an earlier batch"
    assert detector.calls == 1
    gate.set()
    for thread in threading.enumerate():
        if thread.name == "score-scripted":
            thread.join()
    assert score_safely(detector, features("d"), 5)[0].score == 0.5


def test_prediction_tells_the_finding():
    detector = Scripted(lambda batch: [])
    finding = Finding.scored(0.9, {"spam": 0.9}, [Evidence(kind="text", what="free")])
    made = predict(detector, features("a")[0], finding, AT, 0.1, shadow=True)
    content = features("a")[0].upload.digest
    assert made.digest == content
    assert made.id == prediction_id("u0", "scripted", "1", content)
    assert (made.score, made.status, made.shadow) == (0.9, Status.SCORED, True)
    again = type(made).from_bytes(made.to_bytes())
    assert again == made
    abstained = predict(detector, features("a")[0], Finding.abstained("no media"), AT, -1.0)
    assert abstained.reason == "no media"
    assert abstained.elapsed == 0.0


def test_a_large_batch_is_scored_in_parts_that_fail_alone():
    sizes = []

    def act(batch):
        sizes.append(len(batch))
        if batch[0].upload.title == "bad":
            raise ValueError("no")
        return [Finding.scored(0.5) for _ in batch]

    detector = Scripted(act)
    detector.max_batch = 2
    found = score_safely(detector, features("a", "b", "c", "d", "bad"), 5)
    assert sizes[:3] == [2, 2, 1]
    assert [finding.status for finding in found] == [Status.SCORED] * 4 + [Status.FAILED]


def test_uploads_with_frames_are_few_in_a_part_and_texts_many():
    parts = []

    def act(batch):
        parts.append("".join(one.upload.title for one in batch))
        return [Finding.scored(0.5) for _ in batch]

    detector = Scripted(act)
    detector.max_batch, detector.max_frames = 4, 2
    frames = Frames(np.zeros((1, 8, 8, 3), np.uint8), np.zeros(1), 0.25)
    batch = [
        replace(one, frames=frames if one.upload.title == "F" else None)
        for one in features(*"aFFbFcdeFfgh")
    ]
    assert len(score_safely(detector, batch, 5)) == 12
    assert parts == ["aFFb", "Fcde", "Ffgh"]
    detector.max_batch = 8
    parts.clear()
    score_safely(detector, batch, 5)
    assert parts == ["aFFb", "FcdeFfgh"]


@pytest.mark.parametrize(
    "finding",
    [
        Finding.abstained("half a pair: \ud83d"),
        Finding.failed("\udfff"),
        Finding.scored(0.5, {"harm/\ud800": 0.5}),
        Finding.scored(0.5, evidence=[Evidence(kind="text", what="\ud800")]),
        Finding.abstained("x" * 12_000_000),
        Finding.scored(0.5, {f"harm/{number}": 0.5 for number in range(300_000)}),
        Finding.scored(0.5, evidence=[Evidence(kind="text", what="x")] * 50_000),
    ],
    ids=["surrogate", "surrogate alone", "label", "evidence", "long", "many labels", "many"],
)
def test_a_finding_that_no_message_can_hold_fails_alone(finding):
    detector = Scripted(
        lambda batch: [finding, *(Finding.scored(0.5) for _ in range(len(batch) - 1))]
    )
    (found, *others) = score_safely(detector, features("a", "b"), 30)
    assert found.status is Status.FAILED
    assert "cannot be sent" in found.reason or "the limit is" in found.reason
    predict(detector, features("a")[0], found, AT, 0.0).to_bytes()
    assert [finding.status for finding in others] == [Status.SCORED]


def test_an_error_with_half_a_surrogate_pair_can_be_sent():
    def act(batch):
        msg = "no \ud83d"
        raise ValueError(msg)

    (found,) = score_safely(Scripted(act), features("a"), 5)
    predict(Scripted(act), features("a")[0], found, AT, 0.0).to_bytes()


def test_a_detector_cannot_change_the_batch_of_others():
    def act(batch):
        batch.clear()
        return [Finding.scored(0.5)]

    given = features("a", "b")
    found = score_safely(Scripted(act), given, 5)
    assert len(given) == 2
    assert [finding.status for finding in found] == [Status.FAILED, Status.FAILED]
