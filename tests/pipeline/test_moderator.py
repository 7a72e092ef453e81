from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.aggregator.decision.evaluate import decide
from quorum.core.messages import Action, Status, Upload, now
from quorum.core.settings import DetectorSettings, Settings
from quorum.models.detectors import Detector, Feature, Finding
from quorum.models.ensemble import Ensemble
from quorum.pipeline.moderator import Moderator, batches
from tests.apps.web.doubles import POLICY, Slow, Words


def upload(number: int, title: str) -> Upload:
    return Upload(id=f"u{number}", uploader="by", title=title, published_at=now())


def moderator(*detectors: object, **more: DetectorSettings) -> Moderator:
    made = Ensemble.of(detectors or (Words(), Slow()), Settings(detectors=more or None))  # type: ignore[arg-type]
    MADE.append(Moderator(policy=POLICY, ensemble=made))
    return MADE[-1]


#: What a test made; each has threads of its own.
MADE: list[Moderator] = []


@pytest.fixture(autouse=True)
def end() -> Iterator[None]:
    yield
    while MADE:
        MADE.pop().close()


def test_each_upload_gets_its_verdict_in_order() -> None:
    words = Words()
    uploads = [upload(n, "bad" if n % 3 == 0 else "fine") for n in range(70)]
    made = moderator(words, Slow()).moderate(uploads)
    assert [one.verdict.upload_id for one in made] == [one.id for one in uploads]
    assert [one.verdict.action for one in made] == [
        Action.REMOVE if n % 3 == 0 else Action.ALLOW for n in range(70)
    ]
    assert words.batches == [32, 32, 6]
    assert {p.detector for p in made[0].predictions} == {"words", "slow"}


@given(media=st.lists(st.booleans(), max_size=700))
def test_batches_keep_the_order_and_hold_few_with_media(media: list[bool]) -> None:
    uploads = [
        upload(n, "x").model_copy(update={"media": "https://x/y" if has else None})
        for n, has in enumerate(media)
    ]
    made = list(batches(uploads))
    assert [one.id for batch in made for one in batch] == [one.id for one in uploads]
    assert all(len(batch) <= 256 for batch in made)
    assert all(sum(bool(one.media) for one in batch) <= 32 for batch in made)


def test_one_bad_upload_takes_no_other_with_it() -> None:
    made = moderator().moderate([upload(1, "fine"), upload(2, "broken"), upload(3, "bad")])
    assert [one.verdict.action for one in made] == [Action.ALLOW, Action.REVIEW, Action.REMOVE]
    failed = made[1].predictions[0]
    assert failed.status is Status.FAILED
    assert failed.reason is not None and "cannot read this" in failed.reason


def test_a_detector_that_is_not_here_is_missing_not_innocent() -> None:
    (made,) = moderator(Words()).moderate([upload(1, "fine")])
    assert made.verdict.action is Action.REVIEW
    assert made.verdict.decided_by == "deadline"
    assert [one.detector for one in made.verdict.missing] == ["slow"]


def test_a_shadow_never_decides() -> None:
    made = moderator(Words(), Slow(), words=DetectorSettings(shadow=True))
    (one,) = made.moderate([upload(1, "bad")])
    assert one.verdict.action is Action.REVIEW
    assert any(prediction.shadow for prediction in one.predictions)


def test_a_detector_of_the_wrong_length_fails_alone() -> None:
    class Short(Words):
        def score(self, batch: Sequence[object]) -> Sequence[Finding]:
            return []

    (made,) = moderator(Short(), Slow()).moderate([upload(1, "fine")])
    assert made.verdict.action is Action.REVIEW


def test_nothing_in_nothing_out() -> None:
    assert moderator().moderate([]) == []


@settings(max_examples=25, deadline=None)
@given(titles=st.lists(st.sampled_from(["bad", "fine", "late", "bad late", "broken", ""])))
def test_it_decides_as_the_decision_function_does(titles: list[str]) -> None:
    uploads = [upload(number, title) for number, title in enumerate(titles)]
    made = moderator().moderate(uploads)
    again = moderator().moderate(uploads)
    assert [one.verdict.id for one in made] == [one.verdict.id for one in again]
    for one, given_upload in zip(made, uploads, strict=True):
        said = {prediction.detector: prediction for prediction in one.predictions}
        decision = decide(POLICY, given_upload, said)
        assert (one.verdict.action, one.verdict.rule) == (decision.action, decision.rule)


def test_unknown_settings_are_told() -> None:
    pytest.importorskip("quorum.models.installed")
    from quorum.core.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="spamm"):
        Ensemble.load(Settings(detectors={"spamm": DetectorSettings()}))


def test_a_warm_ensemble_has_scored_words_and_media() -> None:
    seen: list[tuple[bool, bool]] = []

    class Looks(Detector):
        name = "looks"
        version = "1"
        needs = frozenset({Feature.TEXT, Feature.FRAMES})

        def score(self, batch):  # type: ignore[no-untyped-def]
            seen.extend((one.text is not None, one.frames is not None) for one in batch)
            return [Finding.scored(0.5) for _ in batch]

        @classmethod
        def examples(cls):  # type: ignore[no-untyped-def]
            return ()

    Ensemble.of([Looks()]).warm_up()
    assert seen == [(True, True)]
