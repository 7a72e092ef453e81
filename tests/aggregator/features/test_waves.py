"""Waves: the same campaigns in any order and mode, under one name, in bounded memory."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.aggregator.decider import Decider
from quorum.aggregator.features.table import FeatureTable
from quorum.aggregator.features.waves import MAX_EARLIER
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.check import check_policy
from quorum.aggregator.study.difference import differences
from quorum.aggregator.study.features import with_features
from quorum.aggregator.study.golden import read_golden, run_golden
from quorum.aggregator.study.record import PastCase
from quorum.core.errors import PolicyError
from quorum.core.messages import Action, Upload, Verdict
from tests.aggregator.aggregator_cases import START, after, backtest, said

LATENESS = 3

POLICY = Policy.from_text(
    f"""\
name: waves
detectors:
  spam: {{required: false}}
features:
  text_wave:
    {{kind: wave, by: text, over: 10 min, uploads: 4, uploaders: 3, lateness: {LATENESS} s}}
  media_wave: {{kind: wave, by: media, over: 1 h, lateness: {LATENESS} s}}
rules:
  - name: wave
    when: feature("text_wave") > 0.0 || feature("media_wave") > 0.0
    action: review
    category: spam
    reason: Nearly the same from many accounts within minutes.
"""
)
TEXT, MEDIA = (POLICY.features[name].key for name in ("text_wave", "media_wave"))
SPAM = "Buy cheap pills now at our great shop, today only, and get the second pack for free"


def an_upload(number: int, at: float, uploader: str, **fields: object) -> Upload:
    moment = START + timedelta(seconds=at)
    return Upload(id=f"u{number:03}", uploader=uploader, published_at=moment, **fields)


def a_wave(count: int, text: str = SPAM, first: int = 0, every: float = 5) -> list[Upload]:
    return [
        an_upload(first + n, every * (first + n), f"bot{first + n}", title=f"{text} {n}")
        for n in range(count)
    ]


def test_a_wave_is_found_named_and_explained() -> None:
    decider = Decider(POLICY)
    made = []
    for upload in a_wave(8):
        moment = upload.published_at
        spoken = [said("spam", 0.1, upload_id=upload.id)]
        made.append((upload, spoken, decider.first(upload, spoken, arrived=moment, at=moment)))
    verdicts = [one.verdict for _, _, one in made]
    assert [one.action for one in verdicts] == [Action.ALLOW] * 3 + [Action.REVIEW] * 5
    assert all(one.campaigns is None for one in verdicts[:3])
    found = [one.campaigns[0] for one in verdicts[3:]]
    assert len({one.id for one in found}) == 1
    assert {one.label for one in found} == {"wave/text"}
    assert {one.feature for one in found} == {TEXT}
    assert [(one.uploads, one.uploaders) for one in found] == [(n, n) for n in range(4, 9)]
    assert found[0].earlier == ("u000", "u001", "u002"), "those that were allowed before"
    assert all(one.earlier == () for one in found[1:])
    assert [one.features[TEXT] for one in verdicts] == [0, 0, 0, 4, 5, 6, 7, 8]
    # On the wire, and through a snapshot, a replay and a review.
    upload, spoken, last = made[-1]
    assert Verdict.from_bytes(last.verdict.to_bytes()).campaigns == last.verdict.campaigns
    restored = Decider(POLICY).restore(last.case.snapshot())
    assert restored.snapshot() == last.case.snapshot()
    fresh = Decider(POLICY)
    assert fresh.again(upload, spoken, (), last.verdict, at=after(99)) is None
    stricter = Policy.from_text(POLICY.text.replace("action: review", "action: restrict"))
    again = Decider(stricter).again(upload, spoken, (), last.verdict, at=after(99))
    assert (again.action, again.campaigns) == (Action.RESTRICT, last.verdict.campaigns)


def test_few_accounts_short_texts_and_other_texts_are_no_wave() -> None:
    table = FeatureTable([POLICY])
    for n in range(20):
        same = table.count(an_upload(n, 5 * n, f"bot{n % 2}", title=SPAM))
        assert (same.values[TEXT], same.campaigns) == (0, ())
    for n in range(100, 120):
        short = table.count(an_upload(n, 5 * n, f"bot{n}", title="Good morning, everyone!"))
        assert short.values == {}, "four words are no campaign, and nothing is known"
    for n in range(200, 220):
        words = " ".join(f"word{n}-{m}" for m in range(12))
        assert table.count(an_upload(n, 5 * n, f"bot{n}", title=words)).campaigns == ()
    for n in range(4):
        slow = table.count(an_upload(300 + n, 5000 + 700 * n, f"bot{n}", title=f"{SPAM} now"))
        assert slow.campaigns == (), "not within ten minutes"


def test_media_from_many_accounts_is_a_campaign_of_its_own() -> None:
    table = FeatureTable([POLICY])
    counted = [
        table.count(an_upload(n, 60 * n, f"bot{n}", media="https://m.example/1.mp4", title=f"{n}"))
        for n in range(6)
    ]
    assert [one.values[MEDIA] for one in counted] == [0, 0, 0, 0, 5, 6]
    assert {one.campaigns[0].label for one in counted[4:]} == {"wave/media"}
    assert all(TEXT not in one.values for one in counted)


def test_variants_of_a_text_have_one_name_and_a_later_wave_has_its_own() -> None:
    """Each changes another word: they share some bands, and no band is in all of them."""
    words = [f"word{n}" for n in range(40)]
    table, names = FeatureTable([POLICY]), set()
    for n in range(60):
        changed = list(words)
        changed[7 * n % len(words)] = f"other{n}"
        counted = table.count(an_upload(n, 4 * n, f"bot{n}", title=" ".join(changed)))
        names |= {one.id for one in counted.campaigns}
    last = counted.campaigns[0]
    assert last.uploaders > 20
    assert len(names) <= 3, "bands that were named apart come together"
    again = [table.count(one) for one in a_wave(6, "a walk along the old harbour in spring", 500)]
    assert {one.id for each in again for one in each.campaigns}.isdisjoint(names)
    other = FeatureTable([POLICY])
    once_more = [other.count(one) for one in a_wave(6, "a walk along the old harbour in spring")]
    assert once_more[-1].campaigns[0].id == again[-1].campaigns[0].id, "by its text alone"


TEXTS = [SPAM, f"{SPAM} hurry", "a quiet walk along the river on a sunday in may", "hello"]
streams = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.25, 1.0, 2.0, 7.0, 61.0, 700.0]),
        st.sampled_from(["ann", "bob", "cy", "dee"]),
        st.sampled_from(TEXTS),
        st.sampled_from([None, "https://m.example/1.mp4"]),
        st.floats(0, LATENESS, exclude_max=True),
    ),
    min_size=5,
    max_size=40,
)


def made_of(stream: list[tuple[float, str, str, str | None, float]]) -> list[Upload]:
    """The uploads in the order in which they arrive, each later by less than the lateness."""
    at, made = 0.0, []
    for number, (pause, who, text, media, delay) in enumerate(stream):
        at += pause
        made.append((at + delay, an_upload(number, at, who, title=text, media=media)))
    return [upload for _, upload in sorted(made, key=lambda one: one[0])]


@settings(max_examples=25, deadline=None)
@given(streams, st.randoms())
def test_any_order_any_duplicates_and_every_mode_find_the_same_campaigns(stream, random) -> None:
    arrived = made_of(stream)
    in_order = FeatureTable([POLICY])
    wanted = {
        one.id: in_order.count(one)
        for one in sorted(arrived, key=lambda one: (one.published_at, one.id))
    }
    decider, cases = Decider(POLICY), []
    for place, upload in enumerate(arrived):
        spoken = [said("spam", 0.1, upload_id=upload.id)]
        moment = upload.published_at
        verdict = decider.first(upload, spoken, arrived=moment, at=moment).verdict
        assert (verdict.campaigns or ()) == wanted[upload.id].campaigns
        assert (verdict.features or {}) == wanted[upload.id].values
        cases.append(PastCase.gather(upload, spoken, [verdict]))
        if place and random.random() < 0.3:
            decider.features.count(arrived[random.randrange(max(0, place - 2), place)])
    for case in cases:
        object.__setattr__(case, "features", {})
    assert backtest(with_features(reversed(cases), [POLICY]), POLICY).changed == 0


def test_memory_is_bounded_however_many_come() -> None:
    few = Policy.from_text(POLICY.text.replace("by: text,", "by: text, keys: 60,"))
    table = FeatureTable([few])
    for n in range(700):
        table.count(an_upload(n, n / 2, f"bot{n}", title=SPAM))
        table.count(an_upload(9000 + n, n / 4, "ann", title=f"{n} {n + 1} {n + 2} a b c d e"))
    (numbers,) = [numbers for by, keys, numbers in table.sizes("wave/text") if keys == 60]
    steps = 10 * 60 / 5 + 60
    assert numbers < 60 * (3 * 600 + 2 * steps + 3 * 20 + 2 * MAX_EARLIER)
    one_key = Policy.from_text(POLICY.text.replace("by: text,", "by: text, keys: 1,"))
    tight = FeatureTable([one_key])
    for upload in a_wave(20):
        tight.count(upload)


def test_golden_cases_checks_and_differences() -> None:
    cases = read_golden(
        POLICY,
        """
- {name: No wave, scores: {spam: 0}, features: {text_wave: 0}, expect: allow}
- {name: Wave, scores: {spam: 0}, features: {text_wave: 7}, expect: review}
""",
    )
    assert [one.wrong for one in run_golden(POLICY, cases)] == [()] * 2
    assert [one for one in check_policy(POLICY) if one.severity == "error"] == []
    removes = Policy.from_text(POLICY.text.replace("action: review", "action: remove"))
    assert any(
        "by the wave `media_wave` and no detector" in p.message for p in check_policy(removes)
    )
    more = Policy.from_text(POLICY.text.replace("uploaders: 3", "uploaders: 9"))
    assert more.features["text_wave"].key != TEXT
    assert "The feature text_wave counts differently." in differences(POLICY, more)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("by: media", "by: uploader", "a wave has many uploaders"),
        ("by: media", "by: medium", "did you mean `media`"),
        ("by: media", "by: media, words: 3", "`words` is for a wave by text"),
        ("kind: wave, by: media", "kind: count, uploads: 3, by: media", "is for `kind: wave`"),
        ("uploads: 4", "uploads: 1", "text_wave"),
        ("uploaders: 3", "uploaders: 3, of: media", "`of` is for"),
    ],
)
def test_mistakes_are_told_with_their_line(old: str, new: str, told: str) -> None:
    with pytest.raises(PolicyError) as refused:
        Policy.from_text(POLICY.text.replace(old, new, 1), "mine.yaml")
    assert told in str(refused.value)
    assert "mine.yaml:" in str(refused.value)


def test_policies_without_waves_keep_their_versions() -> None:
    text = (
        "name: x\ndetectors: {spam: {}}\nfeatures:\n  n: {kind: count, by: uploader, over: 1 h}\n"
    )
    assert Policy.from_text(text).version == "x@0793f87513910120"
