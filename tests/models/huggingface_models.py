"""Tiny models in the Hugging Face format."""

from __future__ import annotations

from pathlib import Path

import torch

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "you",
    "are",
    "an",
    "idiot",
    "friend",
    ".",
    "my",
]


def text_model(folder: Path) -> None:
    """A BERT of one layer that classifies whether a text contains the word "idiot"."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
        id2label={0: "fine", 1: "insult", 2: "threat"},
        label2id={"fine": 0, "insult": 1, "threat": 2},
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    tokens = torch.tensor(
        [
            [2, 5, 6, 7, 8, 3],
            [2, 5, 6, 11, 9, 3],
            [2, 5, 6, 7, 9, 3],
            [2, 8, 10, 1, 1, 3],
            [2, 1, 1, 9, 10, 3],
        ]
    )
    for _ in range(60):
        optimiser.zero_grad()
        model(tokens, labels=torch.tensor([1, 0, 0, 1, 0])).loss.backward()
        optimiser.step()
    model.eval().save_pretrained(folder)


def image_model(folder: Path) -> None:
    """A ViT of one layer with random weights."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        image_size=32, patch_size=16,
        id2label={0: "calm", 1: "gore"}, label2id={"calm": 0, "gore": 1},
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
