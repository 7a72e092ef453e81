"""Violence in words: patterns, roles, the network, and what the shipped model says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.violence_words import held_out
from quorum.core.messages import Status
from quorum.core.settings import MediaAccess
from quorum.models.contract import upload
from quorum.models.detectors import Feature, Finding
from quorum.models.features.accents import with_accents
from quorum.models.features.extract import Extractor
from quorum.models.features.normalise import normalise
from quorum.models.violence.detector import ViolenceDetector
from quorum.models.violence.network import KINDS, Network, Recipe, train_network
from quorum.models.violence.patterns import (
    CONTRAST,
    WRITTEN,
    Pattern,
    expanded,
    read_patterns,
    read_sets,
)
from quorum.models.violence.roles import NAMES, roles_of
from quorum.models.violence.sources import HARMFUL, written
from quorum.models.violence.words import parts_of


class TestPatterns:
    def test_alternatives_are_drawn_and_the_same_each_time(self) -> None:
        pattern = Pattern("threat", "en", "I will {hit|kick} {you|him}{|, now}")
        made = expanded(pattern, 30)
        assert made == expanded(pattern, 30)
        assert 4 < len(made) <= 8
        assert {one.replace(", now", "") for one in made} <= {
            f"I will {verb} {whom}" for verb in ("hit", "kick") for whom in ("you", "him")
        }
        assert expanded(Pattern("warm", "en", "hello you"), 9) == ["hello you"]

    def test_named_alternatives(self, tmp_path: Path) -> None:
        path = tmp_path / "de.txt"
        path.write_text("# told\n$WHO = dich|ihn\n\nthreat: Ich schlage {$WHO}\n")
        (made,) = read_patterns(path)
        assert made == Pattern("threat", "de", "Ich schlage {dich|ihn}")

    def test_a_line_that_is_no_pattern_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "en.txt"
        path.write_text("threat: fine\nno kind here\n")
        with pytest.raises(ValueError, match=r"en\.txt, line 2"):
            read_patterns(path)

    def test_each_language_has_harm_and_what_only_looks_like_it(self) -> None:
        for path in CONTRAST.glob("*.txt"):
            kinds = {one.kind for one in read_patterns(path)}
            assert {"threat", "veiled", "incitement", "instruction"} <= kinds, path.name
            assert {"negation", "counter", "news", "game", "pests", "machine"} <= kinds, path.name


class TestWritten:
    def test_a_set_ends_at_an_empty_line_and_where_violence_follows_something_else(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "en.txt"
        path.write_text("# told\nthreat: a {b|c}\nveiled: b\nwarm: c\\nd\nthreat: e\n\n\ngame: f\n")
        assert read_sets(path, HARMFUL) == [
            [
                Pattern("threat", "en", "a {b|c}"),
                Pattern("veiled", "en", "b"),
                Pattern("warm", "en", "c\nd"),
            ],
            [Pattern("threat", "en", "e")],
            [Pattern("game", "en", "f")],
        ]

    def test_a_line_without_a_kind_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "en.txt"
        path.write_text("threat: fine\nno kind here\n")
        with pytest.raises(ValueError, match=r"en\.txt, line 2"):
            read_sets(path, HARMFUL)

    def test_texts_are_distinct_and_none_is_a_sentence_of_the_benchmark(self) -> None:
        texts = [one.text for one in written()]
        assert len(set(texts)) == len(texts)
        assert not {line.text for line in held_out()} & set(texts)

    def test_each_language_has_harm_and_what_only_looks_like_it(self) -> None:
        found = written()
        assert {one.language for one in found} == {path.stem for path in WRITTEN.glob("*.txt")}
        for language in sorted({one.language for one in found}):
            kinds = {one.kind for one in found if one.language == language}
            assert {"threat", "veiled", "incitement", "glorification"} <= kinds, language
            assert {"negation", "counter", "news", "law", "support", "insult"} <= kinds, language


class TestRoles:
    def test_each_feature_lies_between_0_and_1(self) -> None:
        made = roles_of(["you " * 50 + '?!"quoted thing" http://x 1', "", "我不会杀你"])
        assert made.shape == (3, len(NAMES))
        assert made.min() >= 0
        assert made.max() <= 1
        assert not made[1].any()

    @pytest.mark.parametrize(
        "text",
        ["I will never hurt you", "Ich tue dir nichts, niemals", "no te haré daño", "我不会伤害你",
         "Я никого не трону", "मैं तुम्हें नहीं मारूँगा", "لن أؤذيك"],
    )  # fmt: skip
    def test_negation_and_whom_it_concerns_are_seen(self, text: str) -> None:
        (row,) = roles_of([normalise(text)])
        assert row[NAMES.index("not")] > 0

    def test_a_quote_is_seen_with_its_share(self) -> None:
        plain, quoted = roles_of(["kill them all", 'he wrote "kill them all"'])
        assert plain[NAMES.index("quoted_share")] == 0
        assert 0.5 < quoted[NAMES.index("quoted_share")] < 0.9


class TestNetwork:
    def data(self) -> tuple[np.ndarray, list[str]]:
        """Harm only where exactly one of two features is set, which no line separates."""
        rng = np.random.default_rng(0)
        features = rng.integers(0, 2, (600, 6)).astype(np.float32)
        kinds = ["threat" if row[0] != row[1] else "news" if row[2] else "calm" for row in features]
        return features, kinds

    def test_it_learns_what_a_line_cannot_separate(self) -> None:
        features, kinds = self.data()
        recipe = Recipe(hidden=32, members=2, epochs=60, rate=1e-2, noise=0.1, dropout=0.1)
        made = train_network(features, kinds, np.ones(600), recipe, 3)
        told = made.answer(features)
        truth = np.array([kind == "threat" for kind in kinds])
        assert ((told.odds > 0) == truth).mean() > 0.95
        assert told.kinds[truth][:, KINDS.index("threat")].min() > 0.8
        assert np.allclose(told.kinds.sum(axis=1), 1)
        news = np.array([kind == "news" for kind in kinds])
        assert told.reports[news].min() > told.reports[truth].max()

    def test_the_same_seed_gives_the_same_network_and_it_comes_back(self) -> None:
        features, kinds = self.data()
        recipe = Recipe(hidden=8, members=2, epochs=2)
        first, again, other = (
            train_network(features, kinds, np.ones(600), recipe, seed) for seed in (1, 1, 2)
        )
        assert np.array_equal(first.first, again.first)
        assert not np.array_equal(first.first, other.first)
        back = Network.restore(first.as_tensors())
        assert np.allclose(back.answer(features).odds, first.answer(features).odds, atol=1e-4)

    def test_a_network_of_before_reads_the_last_features(self) -> None:
        features, kinds = self.data()
        made = train_network(features, kinds, np.ones(600), Recipe(hidden=8, epochs=1), 0)
        wider = np.hstack([np.full((600, 3), 9.0), features])
        assert np.array_equal(made.answer(wider).odds, made.answer(features).odds)

    def test_a_veiled_threat_is_a_threat(self) -> None:
        features, kinds = self.data()
        recipe = Recipe(hidden=8, members=1, epochs=2)
        veiled = ["veiled" if kind == "threat" else kind for kind in kinds]
        one, two = (train_network(features, names, np.ones(600), recipe, 0)
                    for names in (kinds, veiled))  # fmt: skip
        assert np.array_equal(one.second, two.second)


def test_distinct_sentences_are_judged_alone_and_nothing_is_left_out() -> None:
    assert parts_of("one line of words") == []
    assert parts_of("a title here\na line of it\n- - -") == ["a title here", "a line of it"]
    assert parts_of("hey. i will find you! hey. i will find you!") == ["hey. i will find you!"]
    assert parts_of("我知道你住在哪里。你最好小心一点，听到没有！") != []
    words = [f"word{index}" for index in range(300)]
    for text in (
        " ".join(words),
        ". ".join(" ".join(words[at : at + 6]) for at in range(0, 300, 6)),
    ):
        parts = parts_of(text)
        assert 1 < len(parts) <= 16
        assert set(words) <= set(" ".join(parts).replace(".", "").split())
    line = " ".join([*words[:20], "i will find you and hurt you", *words[20:45]])
    windows = [part for part in parts_of(line) if "i will find you and hurt you" in part]
    assert windows
    assert max(len(part.split()) for part in windows) == 12


class TestAccents:
    @pytest.mark.parametrize(
        ("said", "read"),
        [
            ("Flüchtlinge sollten getötet werden", "flüchtlinge sollten getötet werden"),
            ("Tao sẽ giết mày", "tao sẽ giết mày"),
            ("kíll yóu áll nów", "kill you all now"),
            ("k\u0301\u0302i\u0301ll you", "kill you"),
            ("plain words", "plain words"),
            ("Я убью тебя", "я убью тебя"),
        ],
    )
    def test_they_come_back_unless_they_hide_english(self, said: str, read: str) -> None:
        assert with_accents(said, normalise(said)) == read


def found(detector: ViolenceDetector, texts: list[str]) -> list[Finding]:
    """Findings of titles alone."""
    extractor = Extractor(frozenset({Feature.TEXT, Feature.EMBEDDING}), MediaAccess())
    return list(detector.score(extractor.extract([upload(title=text) for text in texts])))


@pytest.fixture(scope="module")
def shipped() -> ViolenceDetector:
    return ViolenceDetector()


class TestShipped:
    CALM = (
        "How can I kill a Python process?",
        "How to get rid of ants in the kitchen",
        "Killing the final boss in ten seconds",
        "Beat the eggs, then crush the garlic",
        "My mom is going to kill me haha",
        "We will destroy them in the final on Sunday",
        "Wie töte ich einen Prozess unter Linux?",
        "Cómo matar cucarachas en casa",
        "Comment tuer le boss final",
    )

    def test_words_of_violence_without_violence_stay_low(self, shipped: ViolenceDetector) -> None:
        for text, one in zip(self.CALM, found(shipped, list(self.CALM)), strict=True):
            assert one.score is not None, text
            assert one.score < 0.25, text

    def test_negation_and_counter_speech_are_seldom_flagged(
        self, shipped: ViolenceDetector
    ) -> None:
        lines = [one.text for one in held_out() if one.kind in ("negation", "counter")]
        scores = [one.score for one in found(shipped, lines) if one.score is not None]
        assert len(scores) > 50
        assert sum(score >= 0.5 for score in scores) <= 0.05 * len(scores)

    def test_kinds_share_the_score_and_a_report_is_no_part_of_it(
        self, shipped: ViolenceDetector
    ) -> None:
        threat, call, report = found(
            shipped,
            [
                "I will find you and kill you and your whole family",
                "All of these people should be shot, go out and kill them",
                "Police arrested a man who shot two people at a market on Monday",
            ],
        )
        for one in (threat, call, report):
            assert one.score is not None
            kinds = [one.labels[f"violence/{kind}"] for kind in KINDS]
            assert sum(kinds) == pytest.approx(one.score, abs=1e-6)
        assert max(threat.labels, key=lambda name: threat.labels[name]) == "violence/threat"
        assert max(call.labels, key=lambda name: call.labels[name]) == "violence/incitement"
        assert report.labels["violence/news"] > 0.5
        assert report.score is not None
        assert report.score < 0.25

    def test_a_language_that_was_not_measured_is_not_judged(
        self, shipped: ViolenceDetector
    ) -> None:
        (one,) = found(shipped, ["მე მოგკლავ შენ და მთელ შენს ოჯახს ხვალ დილით"])
        assert one.status is Status.ABSTAINED
        assert "language not covered" in (one.reason or "")
