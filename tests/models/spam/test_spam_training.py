"""What the spam model is trained on, and how its cut is chosen."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.traffic import written
from quorum.core.errors import ArtifactError
from quorum.models.detectors import Features
from quorum.models.features.embedding import shared_embedder
from quorum.models.features.normalise import plain_letters
from quorum.models.features.text import text_of
from quorum.models.registry.artifacts import open_artifact
from quorum.models.scoring.settling import Outcome, cut_of
from quorum.models.spam import model as spam_model
from quorum.models.spam.detector import ARTIFACT, SpamDetector
from quorum.models.spam.disguise import disguise_of
from quorum.models.spam.folds import FOLDS, read_examples, weights_of
from quorum.models.spam.made import NOTICE, form_rows
from quorum.models.spam.made.letters import decorated
from quorum.models.spam.model import Stack
from quorum.models.spam.reading import FieldKind
from quorum.models.spam.signals import NAMES, NEVER_AGAINST
from quorum.models.spam.sources import Row, comments_of
from quorum.models.spam.train import FLOOR
from quorum.models.training.unicode_evasions import UNICODE_EVASIONS


def test_forms_are_filled_the_same_way_for_the_same_seed():
    first, second = (list(form_rows(np.random.default_rng(5))) for _ in range(2))
    assert first == second
    assert {label for _, _, label, _, _ in first} == {0, 1}
    assert not any(sign in text for _, text, _, _, _ in first for sign in "{}|")


def test_an_honest_notice_counts_less_and_takes_no_weight_from_others():
    plain = [Row(FieldKind.COMMENT, str(n), 0, "made", "made en") for n in range(9)]
    notices = [replace(plain[0], text=f"n{n}", notice=True) for n in range(30)]
    alone, beside = weights_of(plain), weights_of([*plain, *notices])
    assert beside[9] == pytest.approx(beside[0] / 4)
    assert beside[0] / beside[1] == alone[0] / alone[1] == 1.0
    assert {kind for _, _, label, _, kind in form_rows(np.random.default_rng(5)) if not label} == {
        "",
        NOTICE,
    }


def test_what_is_clearly_a_notice_speaks_against_spam_and_nothing_else_does():
    words, signals = np.zeros((4, 3)), np.zeros(4)
    meaning = np.array([[0.0, 0.0, 0.0, notice] for notice in (np.nan, -6.0, 1.0, 3.0)])
    stack = Stack((0.0,) * (Stack.width() - 1) + (0.8,), 0.5)
    assert stack.apply(words, signals, meaning).tolist() == pytest.approx([0.5, 0.5, 0.5, -1.1])


def test_decorated_letters_are_told_from_letters_of_alphabets():
    rng = np.random.default_rng(0)
    seen = [decorated("Harbour", rng) for _ in range(60)]
    assert len(set(seen)) > 12
    found = [disguise_of(f"main di {one}77") for one in seen]
    assert all(one.decorated > 2 or one.mixed for one in found)
    for text in (
        "Käse über Ærø, çok güzel",
        "Привет из Казани",
        "東京で会おう ＡＢＣ",
        "été à 20 °C",
    ):
        assert disguise_of(text).decorated <= 1
        assert not disguise_of(text).mixed


def test_a_name_in_other_letters_within_plain_words_is_told():
    assert disguise_of("main di 𝐇𝐀𝐑𝐁𝐎𝐔𝐑𝟕𝟕 langsung cuan").partly
    assert not disguise_of("𝐇𝐀𝐑𝐁𝐎𝐔𝐑𝟕𝟕").partly
    assert plain_letters("𝐇𝐀𝐑𝐁𝐎𝐔𝐑𝟕𝟕") == "harbour77"


@pytest.mark.parametrize(
    ("evasion", "least"),
    [("look-alikes", 0.85), ("invisible characters", 1.0), ("combining marks", 1.0)],
)
def test_a_name_with_digits_is_read_under_evasions_that_unicode_offers(evasion, least):
    rng = np.random.default_rng(7)
    evaded = [UNICODE_EVASIONS[f"{evasion} of Unicode"]("Harbour77", rng) for _ in range(40)]
    assert np.mean([plain_letters(one) == "harbour77" for one in evaded]) >= least
    if evasion != "look-alikes":
        assert all(disguise_of(one).invisible + disguise_of(one).decorated for one in evaded)


def test_what_a_script_or_an_emoji_needs_is_no_hidden_character():
    for text in ("می\u200cخواهم", "👩\u200d🔬 lab", "so good\ufeff", "5\ufe0f\u20e3 ways"):
        assert disguise_of(text).invisible == 0
    assert disguise_of("f\u200br\u2060\u00adee").invisible == 3


def _rows():
    lines = "A walk by the river\nSecond line of ours\nThird line of the text"
    for number in range(24):
        group = f"channel {number}"
        yield Row(FieldKind.DESCRIPTION, f"{lines} {number:02d}", 0, "youtube_uploads", group)
        yield Row(FieldKind.DESCRIPTION, f"win a prize now {number:02d}", 1, "other", "o", "scam")
        yield Row(FieldKind.DESCRIPTION, f"what a lovely song {number:02d}", 0, "other", "o")


def test_composed_descriptions_stay_in_the_fold_of_both_halves():
    rows = list(_rows())
    plain = len(rows)
    examples = read_examples(rows, 0)
    fold_of = dict(zip((row.text for row in rows[:plain]), examples.folds, strict=False))
    made = [(row, fold) for row, fold in zip(examples.rows, examples.folds, strict=True)
            if row.composed]  # fmt: skip
    assert made
    assert {row.label for row, _ in made} == {0, 1}
    for row, fold in made:
        assert 0 <= fold < FOLDS
        lines = set(row.text.splitlines())
        put = [text for text in fold_of if set(text.splitlines()) <= lines]
        assert len(put) == 2
        assert {int(fold_of[text]) for text in put} == {int(fold)}
    for index, part in zip(examples.trained, examples.parts, strict=True):
        if examples.rows[index].composed and examples.rows[index].label:
            assert "prize" in part.told


def test_the_cut_settles_the_ordinary_and_spares_what_the_whole_model_flags():
    ordinary = [Outcome(-4.0 + 0.001 * one, 0.01, True) for one in range(2000)]
    spam = [Outcome(0.5 + 0.01 * one, 0.9, False) for one in range(200)]
    cut, report = cut_of([*ordinary, *spam], FLOOR)
    assert report["settled"] == pytest.approx(1.0)
    assert report["ordinary_missed"] == 0
    assert report["harmful_missed"] == 2
    assert cut == pytest.approx(0.52)
    lower, spared = cut_of([*ordinary, *spam], FLOOR, margin=0.8)
    assert lower == pytest.approx(cut - 0.8)
    assert spared["harmful_missed"] == 0


def test_the_cut_goes_down_to_an_ordinary_text_that_the_whole_model_flags():
    ordinary = [Outcome(-4.0 + 0.01 * one, 0.01, True) for one in range(400)]
    low = [Outcome(-3.0, FLOOR, True), Outcome(-2.0, FLOOR, True)]
    cut, report = cut_of([*ordinary, *low], FLOOR)
    assert cut == -3.0
    assert report["ordinary_missed"] == 0
    assert cut_of(ordinary, FLOOR)[0] == float("-inf")


def test_the_cut_spares_ordinary_uploads_the_embedding_and_changes_no_side():
    """At each threshold of the shipped policies, with the shipped model."""
    sent = [one.upload for one in written(np.random.default_rng(11), 1)]
    batch = [Features(one, text_of(one)[0]) for one in sent]
    cut, uncut = SpamDetector(), SpamDetector()
    uncut._model = replace(uncut._model, cuts={})
    embedder = shared_embedder()
    found, asked = [], []
    for detector in (cut, uncut):
        embedder._kept.clear()
        before = embedder.forwards
        found.append([one.score or 0.0 for one in detector.score(batch)])
        asked.append(embedder.forwards - before)
    assert asked[0] < len(sent) / 2
    assert asked[0] < asked[1] / 2
    for threshold in (FLOOR, 0.5, 0.7, 0.85, 0.95, 0.98):
        sides = [[score >= threshold for score in scores] for scores in found]
        assert sides[0] == sides[1]


def test_no_disguise_speaks_for_innocence_in_the_shipped_model():
    coefficients = SpamDetector()._model.heads.signals.coefficients
    for name in ("mixed", "invisible", "comment: decorated share", "title: set apart"):
        assert NEVER_AGAINST[NAMES.index(name)]
    assert not NEVER_AGAINST[NAMES.index("comment: length")]
    assert (coefficients[list(NEVER_AGAINST)] >= 0).all()
    assert (coefficients < 0).any()


def test_the_mark_that_ends_the_comments_of_an_export_is_no_sign(tmp_path):
    file = tmp_path / "video.csv"
    file.write_text("CONTENT,CLASS\nso good\ufeff,0\nsub to me,1\n", encoding="utf-8")
    assert list(comments_of(file)) == [("so good", 0), ("sub to me", 1)]


def test_an_artifact_with_other_signals_is_refused_with_the_mend(monkeypatch):
    monkeypatch.setattr(spam_model, "NAMES", spam_model.NAMES[:-1])
    with pytest.raises(ArtifactError, match="quorum models train spam"):
        spam_model.SpamModel.read(open_artifact(ARTIFACT, "spam"))
