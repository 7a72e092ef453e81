"""The tests that every detector passes; a new one gets them in three lines.

.. code-block:: python

    from quorum.detectors import DetectorContract

    class TestMine(DetectorContract):
        detector = MyDetector

A detector whose constructor needs arguments overrides ``make``; one whose examples carry media
names the folders that the media may be read from in ``folders``.
"""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
from datetime import UTC, datetime
from typing import Any, ClassVar

import numpy as np
import pytest

from quorum.core.messages import Prediction, Status, Upload
from quorum.core.settings import MediaAccess, Settings
from quorum.models.detectors import Detector, Feature, Features, Finding
from quorum.models.features.extract import Extractor
from quorum.models.runner import predict, score_safely

__all__ = ["HARD_TEXTS", "DetectorContract", "upload"]

AT = datetime(2026, 1, 1, tzinfo=UTC)

#: Texts that have broken text code before.
HARD_TEXTS = {
    "emoji only": "👍👍🏽👨‍👩‍👧‍👦🔥",
    "right to left": "שלום עולם, זה סרטון חדש",
    "mixed scripts": "Hello Привет こんにちは مرحبا",
    "bidirectional controls": "abc\u202edef\u202c ghi",
    "combining marks": "Z̷̢̛a̶l̵g̴o̷ t̸e̵x̶t̶",
    "lone surrogate's replacement": "\ufffd\ufffd",
    "control characters": "a\x00b\x1bc\x7f",
    "digits": "1234567890",
    "one letter": "x",
    "no spaces": "a" * 5_000,
    "a megabyte": "all work and no play makes a dull film " * 26_000,
    "many lines": "line\n" * 5_000,
    "markup": "<b>bold</b> &amp; <script>alert(1)</script>",
    "punctuation": "?!.,;:-_" * 50,
}


def upload(id: str = "u", **fields: object) -> Upload:  # noqa: A002
    """An upload with these fields."""
    return Upload.model_validate({"id": id, "uploader": "x", "published_at": AT, **fields})


class DetectorContract:
    """Inherit it, set ``detector``, and the tests run."""

    #: The class under test.
    detector: ClassVar[type[Detector]]
    #: Folders that the examples' media may be read from.
    folders: ClassVar[tuple[str, ...]] = ()
    #: How far apart the scores of one upload may be in batches of different sizes.
    tolerance: ClassVar[float] = 1e-3

    @classmethod
    def make(cls) -> Detector:
        """Make the detector; by default as a deployment without settings does."""
        return cls.detector.from_settings(Settings())

    @pytest.fixture(scope="class")
    @classmethod
    def made(cls) -> Detector:
        return cls.make()

    @pytest.fixture(scope="class")
    @classmethod
    def extractor(cls, made: Detector) -> Extractor:
        return Extractor(made.needs, MediaAccess(folders=cls.folders))

    @pytest.fixture(scope="class")
    @classmethod
    def examples(cls, extractor: Extractor) -> list[Features]:
        return extractor.extract([example.upload for example in cls.detector.examples()])

    def test_names_itself(self, made: Detector) -> None:
        assert made.name
        assert made.name == made.name.lower()
        assert made.version
        assert isinstance(made.needs, frozenset)
        assert all(isinstance(feature, Feature) for feature in made.needs)

    def test_the_version_is_stable(self, made: Detector) -> None:
        assert self.make().version == made.version

    def test_has_examples_of_both_kinds(self) -> None:
        expected = [example.expect for example in self.detector.examples()]
        assert {"flagged", "clear"} <= set(expected) <= {"flagged", "clear", "abstained"}
        ids = [example.upload.id for example in self.detector.examples()]
        assert len(ids) == len(set(ids))
        assert all(example.why for example in self.detector.examples())

    def test_does_with_its_examples_as_they_say(
        self, made: Detector, examples: list[Features]
    ) -> None:
        findings = made.score(examples)
        for example, finding in zip(self.detector.examples(), findings, strict=True):
            message = f"{example.upload.id}: {finding}"
            if example.expect == "abstained":
                assert finding.status is Status.ABSTAINED, message
            else:
                assert finding.status is Status.SCORED, message
                assert finding.score is not None, message
                assert (finding.score >= 0.5) == (example.expect == "flagged"), message

    def test_explains_what_it_flags(self, made: Detector, examples: list[Features]) -> None:
        for features, finding in zip(examples, made.score(examples), strict=True):
            if finding.score is None or finding.score < 0.5:
                continue
            assert finding.evidence, features.upload.id
            for evidence in finding.evidence:
                if evidence.kind == "text" and evidence.field and features.text:
                    assert evidence.start is not None
                    assert evidence.end is not None
                    field = features.text.fields[evidence.field]
                    assert 0 <= evidence.start < evidence.end <= len(field)

    def test_every_finding_can_be_sent(self, made: Detector, examples: list[Features]) -> None:
        for features, finding in zip(examples, made.score(examples), strict=True):
            message = predict(made, features, finding, AT, 0.01)
            assert Prediction.from_bytes(message.to_bytes()) == message

    def test_gives_as_many_findings_in_the_same_order(
        self, made: Detector, examples: list[Features]
    ) -> None:
        assert list(made.score([])) == []
        forward = made.score(examples)
        backward = made.score(examples[::-1])
        assert len(forward) == len(examples)
        self._agree(forward, list(backward)[::-1])

    def test_a_batch_changes_no_score(
        self, made: Detector, extractor: Extractor, examples: list[Features]
    ) -> None:
        alone: list[Finding] = []
        for example in self.detector.examples():
            alone.extend(made.score(extractor.extract([example.upload])))
        self._agree(alone, made.score(examples))
        self._agree(list(alone) * 3, made.score(examples * 3))

    def test_the_same_upload_gives_the_same_finding(
        self, made: Detector, examples: list[Features]
    ) -> None:
        assert list(made.score(examples)) == list(made.score(examples))

    def test_an_empty_upload_is_not_innocent(self, made: Detector, extractor: Extractor) -> None:
        (finding,) = made.score(extractor.extract([upload()]))
        assert finding.status is Status.ABSTAINED
        assert finding.reason

    def test_features_that_are_lacking_are_no_error(self, made: Detector) -> None:
        reason = "media is gone: HTTP 404"
        bare = Features(
            upload(media="https://example.org/x"), absent=dict.fromkeys(Feature, reason)
        )
        (finding,) = made.score([bare])
        assert finding.status is not Status.SCORED
        assert finding.reason

    @pytest.mark.parametrize("kind", sorted(HARD_TEXTS))
    def test_hard_texts_give_a_finding(
        self, made: Detector, extractor: Extractor, kind: str
    ) -> None:
        text = HARD_TEXTS[kind]
        batch = extractor.extract(
            [upload("a", title=text), upload("b", title="hi", comments=(text,)), upload("c")]
        )
        for features, finding in zip(batch, made.score(batch), strict=True):
            assert isinstance(finding, Finding)
            predict(made, features, finding, AT, 0.0)

    @pytest.mark.parametrize(
        "media",
        ["https://127.0.0.1/x.mp4", "file:///etc/passwd", "gs://nobody/x", "ftp://x/y", "no such"],
    )
    def test_refused_media_costs_no_score_of_others(
        self, made: Detector, extractor: Extractor, media: str, examples: list[Features]
    ) -> None:
        refused = extractor.extract([upload("r", title="hello there", media=media)])
        findings = made.score([*examples, *refused])
        self._agree(made.score(examples), list(findings)[:-1])
        assert findings[-1].status in (Status.SCORED, Status.ABSTAINED, Status.FAILED)

    def test_its_input_stays_as_it_was(self, made: Detector, examples: list[Features]) -> None:
        before = copy.deepcopy(examples)
        made.score(examples)
        for was, now in zip(before, examples, strict=True):
            assert was.upload == now.upload
            assert was.text == now.text
            for name in ("embedding", "frames", "audio"):
                self._same(getattr(was, name), getattr(now, name))

    def test_threads_share_it(self, made: Detector, examples: list[Features]) -> None:
        expected = list(made.score(examples))
        results: list[list[Finding]] = []

        def run() -> None:
            results.extend(list(made.score(examples)) for _ in range(3))

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(results) == 12
        for result in results:
            self._agree(expected, result)

    def test_the_runner_adds_nothing(self, made: Detector, examples: list[Features]) -> None:
        self._agree(made.score(examples), score_safely(made, examples, 60))

    def test_importing_it_loads_no_model(self) -> None:
        module = self.detector.__module__
        heavy = ("torch", "transformers", "sklearn", "onnxruntime", "av", "scipy.optimize")
        code = f"import sys, {module}\nprint([name for name in {heavy!r} if name in sys.modules])"
        imported = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        assert imported.strip() == "[]", f"importing {module} also imports {imported}"

    def test_findings_travel_between_processes(
        self, made: Detector, examples: list[Features]
    ) -> None:
        for finding in made.score(examples):
            assert pickle.loads(pickle.dumps(finding)) == finding

    def _agree(self, left: object, right: object) -> None:
        first, second = list(left), list(right)  # type: ignore[call-overload]
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert one.status == other.status
            if one.score is not None:
                assert one.score == pytest.approx(other.score, abs=self.tolerance)

    @staticmethod
    def _same(one: Any, other: Any) -> None:
        if one is None or other is None:
            assert one is other
        elif isinstance(one, np.ndarray):
            assert np.array_equal(one, other)
        elif hasattr(one, "__slots__"):
            for name in one.__slots__:
                DetectorContract._same(getattr(one, name), getattr(other, name))
        else:
            assert one == other
