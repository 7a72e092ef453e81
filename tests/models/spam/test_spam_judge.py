"""No single kind of evidence decides a removal, and honest uploads are left alone."""

from datetime import UTC, datetime

import numpy as np
import pytest

from benchmarks.traffic import written
from quorum.aggregator.decision.evaluate import Uploader, decide
from quorum.aggregator.policy.policy import load_policy, shipped_policies
from quorum.core.messages import SEEN, Action, Prediction, Status, Upload
from quorum.models.detectors import Feature, Features
from quorum.models.features.text import text_of
from quorum.models.spam.detector import SpamDetector
from quorum.models.spam.judge import CAP, FAINT, capped
from quorum.models.spam.made import filled, made_rows
from quorum.models.spam.reading import FieldKind
from quorum.models.spam.signals import Sign
from quorum.models.training.channels import held_out

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def detector():
    return SpamDetector()


def read(upload, **more):
    text, _ = text_of(upload)
    return Features(upload, text, **more)


def upload(**fields):
    return Upload(id="u", uploader="somebody", published_at=AT, **fields)


@pytest.mark.parametrize("sign", list(Sign))
@pytest.mark.parametrize("kind", list(FieldKind))
def test_one_kind_of_evidence_is_capped(sign, kind):
    usual = kind is not FieldKind.COMMENT and sign in (Sign.WAY_OUT, Sign.CALL, Sign.STYLE)
    assert capped(0.9999, frozenset({sign}), kind) == (FAINT if usual else CAP)
    assert capped(0.9999, frozenset(), kind) == FAINT
    assert capped(0.2, frozenset({sign}), kind) == 0.2


def test_a_link_and_a_call_are_one_kind_in_an_uploaders_own_fields():
    signs = frozenset({Sign.WAY_OUT, Sign.CALL})
    assert capped(0.999, signs, FieldKind.DESCRIPTION) == FAINT
    assert capped(0.999, signs, FieldKind.COMMENT) == 0.999
    assert capped(0.999, signs | {Sign.PROMISE}, FieldKind.DESCRIPTION) == 0.999


def test_words_and_meaning_are_one_view_of_the_same_text():
    assert capped(0.999, frozenset({Sign.WORDS, Sign.MEANING}), FieldKind.TITLE) == CAP


@pytest.mark.parametrize("name", shipped_policies())
@pytest.mark.parametrize("score", [CAP, FAINT])
def test_no_shipped_policy_removes_at_the_cap_or_limits_what_is_faint(name, score):
    scores = {"spam": score, "violence": 0.0, "copyright": 0.0, "nsfw": 0.0}
    one = upload(title="x")
    predictions = {
        key: Prediction(id=key, upload_id="u", detector=key, version="1", status=Status.SCORED,
                        score=score, elapsed=0.0, at=AT)
        for key, score in scores.items()
    }  # fmt: skip
    policy = load_policy(name)
    for strikes in (0.0, 5.0):
        uploader = Uploader(strikes=strikes)
        action = decide(policy, one, predictions, uploader).action
        assert action is not Action.REMOVE
        assert score > FAINT or action is Action.ALLOW


def test_honest_uploads_with_their_own_site_are_left_alone_in_many_languages(detector):
    sent = [one.upload for one in written(np.random.default_rng(7), 1)]
    assert len(sent) >= 40
    scores = {one.title: found.score or 0.0 for one, found in
              zip(sent, detector.score([read(one) for one in sent]), strict=True)}  # fmt: skip
    assert {title: score for title, score in scores.items() if score >= 0.5} == {}


@pytest.mark.parametrize(
    ("title", "description"),
    [
        (
            "𝓥𝓮𝓵𝓿𝓮𝓽 𝓡𝓸𝓸𝓶 ⋆ˎˊ˗ 𝒶𝓂𝒷𝒾𝑒𝓃𝓉",
            "𝘁𝗵𝗮𝗻𝗸 𝘆𝗼𝘂 𝗳𝗼𝗿 𝗹𝗶𝘀𝘁𝗲𝗻𝗶𝗻𝗴\nꜰᴏʟʟᴏᴡ ᴍᴇ: https://instagram.com/velvetroom",
        ),
        ("ⓜⓨ ⓓⓐⓘⓛⓨ ⓥⓛⓞⓖ", "S U M M E R   D A Y S"),
        ("Why ΔxΔp ≥ ħ/2?", "ΔG = ΔH − TΔS, λmax and σx. Worksheets: https://chemlab.example"),
    ],
)
def test_letters_that_are_a_style_or_a_formula_are_no_spam(detector, title, description):
    (found,) = detector.score([read(upload(title=title, description=description))])
    assert found.score < 0.4
    spam = "𝗘𝗮𝗿𝗻 $𝟱𝟬𝟬𝟬 𝘄𝗲𝗲𝗸𝗹𝘆, 𝗴𝘂𝗮𝗿𝗮𝗻𝘁𝗲𝗲𝗱 𝗽𝗿𝗼𝗳𝗶𝘁, 𝘄𝗿𝗶𝘁𝗲 𝗺𝗲 𝗼𝗻 𝗪𝗵𝗮𝘁𝘀𝗔𝗽𝗽 +1 205 555 0147"
    (found,) = detector.score([read(upload(title=title, description=f"{description}\n{spam}"))])
    assert found.score >= 0.5


def test_what_could_not_be_read_is_told(detector):
    one = read(
        upload(title="A walk by the river", media="https://cdn.example/x.mp4"),
        partial={Feature.TEXT: "words in frames were not read: media is gone"},
    )
    (finding,) = detector.score([one])
    assert any(told.field == SEEN and "media is gone" in told.what for told in finding.evidence)


def test_the_kind_of_spam_is_named(detector):
    texts = {
        "spam/gambling": "Jackpot every day at Millbet88, sign up for free spins http://mill.bet",
        "spam/scam": "I invested $500 with @anna_fx and got $9000 profit in a week, telegram her",
        "spam/recovery": "My hacked account was recovered by @fixer, write to him on WhatsApp",
    }
    found = detector.score([read(upload(title=text)) for text in texts.values()])
    for label, finding in zip(texts, found, strict=True):
        assert label in finding.labels
        assert finding.labels[label] == finding.score


def test_templates_are_filled_the_same_way_for_the_same_seed():
    first = [filled("{site} {bad} {phone}", np.random.default_rng(3)) for _ in range(2)]
    assert first[0] == first[1]
    assert "{" not in first[0]
    rows = list(made_rows(np.random.default_rng(0)))
    assert {label for _, _, label, _, _ in rows} == {0, 1}
    assert not any("{" in text for _, text, _, _, _ in rows)


def test_a_quarter_of_the_groups_is_never_trained_on():
    share = sum(held_out(f"channel {number}") for number in range(2000)) / 2000
    assert 0.2 < share < 0.3
