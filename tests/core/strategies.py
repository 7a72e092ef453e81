"""Hypothesis strategies for every message, with unknown fields at each level."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import strategies as st

from quorum.core.messages import (
    CONTROL,
    Action,
    DeadLetter,
    Evidence,
    Missing,
    Prediction,
    Review,
    Status,
    Upload,
    UsedPrediction,
    Verdict,
)

texts = st.text(st.characters(codec="utf-8"), max_size=40)
identifiers = (
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
    .map(lambda text: CONTROL.sub("", text).strip())
    .filter(bool)
)
zones = st.just(UTC) | st.integers(-14 * 60, 14 * 60).map(
    lambda minutes: timezone(timedelta(minutes=minutes))
)
times = st.datetimes(
    datetime(2000, 1, 2),  # noqa: DTZ001
    datetime(2099, 12, 30),  # noqa: DTZ001
    timezones=zones,
)
probabilities = st.floats(0, 1)
seconds = st.floats(0, 1e9)
labels = st.dictionaries(texts, probabilities, max_size=3)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
unknown = st.dictionaries(texts.map(lambda text: f"x-{text}"), json_values, max_size=3)


def optional(strategy):
    return st.none() | strategy


@st.composite
def uploads(draw):
    return Upload(
        id=draw(identifiers),
        uploader=draw(identifiers),
        title=draw(texts),
        description=draw(texts),
        tags=draw(st.lists(texts, max_size=3)),
        language=draw(optional(st.sampled_from(["en", "de-CH", "zh-Hant-TW"]))),
        media=draw(optional(st.just("https://media.example.org/a.mp4"))),
        duration=draw(optional(seconds)),
        territories=draw(st.lists(st.sampled_from(["DE", "FR", "US"]), max_size=2)),
        published_at=draw(times),
        comments=draw(st.lists(texts, max_size=3)),
        **draw(unknown),
    )


@st.composite
def evidence(draw):
    return Evidence(
        kind=draw(st.sampled_from(["text", "video", "audio", "match"])),
        what=draw(texts),
        field=draw(optional(st.just("comments[0]"))),
        start=draw(optional(seconds)),
        end=draw(optional(seconds)),
        weight=draw(optional(st.floats(allow_nan=False, allow_infinity=False))),
        work=draw(optional(texts)),
        **draw(unknown),
    )


@st.composite
def predictions(draw):
    status = draw(st.sampled_from(list(Status)))
    scored = status is Status.SCORED
    return Prediction(
        id=draw(identifiers),
        upload_id=draw(identifiers),
        detector=draw(identifiers),
        version=draw(identifiers),
        status=status,
        score=draw(probabilities) if scored else None,
        reason=None if scored else draw(texts.filter(bool)),
        labels=draw(labels),
        evidence=draw(st.lists(evidence(), max_size=2)),
        elapsed=draw(seconds),
        at=draw(times),
        shadow=draw(st.booleans()),
        **draw(unknown),
    )


@st.composite
def used(draw):
    made = draw(predictions())
    return UsedPrediction(
        id=made.id,
        detector=made.detector,
        version=made.version,
        status=made.status,
        score=made.score,
        labels=made.labels,
        reason=made.reason,
        shadow=made.shadow,
        **draw(unknown),
    )


@st.composite
def verdicts(draw):
    return Verdict(
        id=draw(identifiers),
        upload_id=draw(identifiers),
        action=draw(st.sampled_from(list(Action))),
        revision=draw(st.integers(1, 10**6)),
        supersedes=draw(optional(identifiers)),
        policy_version=draw(identifiers),
        rule=draw(texts),
        category=draw(optional(texts)),
        reasons=draw(st.lists(texts, max_size=3)),
        predictions=draw(st.lists(used(), max_size=2)),
        missing=draw(
            st.lists(st.builds(Missing, detector=identifiers, why=texts), max_size=2),
        ),
        decided_by=draw(st.sampled_from(["policy", "deadline", "reviewer", "cap"])),
        at=draw(times),
        latency=draw(seconds),
        statement=draw(optional(texts)),
        **draw(unknown),
    )


@st.composite
def reviews(draw):
    return Review(
        upload_id=draw(identifiers),
        verdict_id=draw(identifiers),
        action=draw(st.sampled_from(list(Action))),
        reviewer=draw(identifiers),
        labels=draw(st.lists(texts, max_size=3)),
        note=draw(texts),
        at=draw(times),
        **draw(unknown),
    )


@st.composite
def dead_letters(draw):
    return DeadLetter(
        data=draw(st.binary(max_size=200)),
        original=draw(st.dictionaries(texts, texts, max_size=3)),
        stage=draw(texts),
        error=draw(texts),
        at=draw(times),
        original_id=draw(identifiers),
        **draw(unknown),
    )


messages = st.one_of(uploads(), predictions(), verdicts(), reviews(), dead_letters())
