"""A BERT encoder of random weights, small enough to be quick, with a vocabulary of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from workbench.embedding.conversion.to_folder import write_safetensors, write_settings
from workbench.embedding.conversion.weights import BertWeights, expected_names

WORDS = [
    *("the", "cat", "dog", "sat", "on", "mat", "rain", "fell", "all", "night", "and", "we", "walked", "home", "in"),
    *("it", ".", ",", "!", "東", "京", "a", "b", "c", "##s", "##ing", "##a", "##b"),
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
HIDDEN, INNER, HEADS, POSITIONS = 32, 64, 4, 48


def random_weights(n_layer: int = 2, seed: int = 0) -> BertWeights:
    rng = np.random.default_rng(seed)
    sizes = {
        "embeddings.word_embeddings": (len(SPECIAL) + len(WORDS), HIDDEN),
        "embeddings.position_embeddings": (POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings": (2, HIDDEN),
        "intermediate.dense": (INNER, HIDDEN),
        ".output.dense": (HIDDEN, INNER),
    }
    arrays = {}
    for name in expected_names(n_layer):
        stem, kind = name.rsplit(".", 1)
        shape = next((size for end, size in sizes.items() if stem.endswith(end)), (HIDDEN, HIDDEN))
        if stem.endswith("attention.output.dense"):
            shape = (HIDDEN, HIDDEN)
        if kind == "bias" or stem.endswith("LayerNorm"):
            shape = shape[:1]
        arrays[name] = rng.normal(1.0 if name.endswith("LayerNorm.weight") else 0.0, 0.3, shape).astype(np.float32)
    return BertWeights(arrays, HEADS, 1e-12)


def write_tokenizer(folder: Path) -> Path:
    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *WORDS])}
    added = [
        {"id": vocabulary[token], "content": token, "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for token in SPECIAL
    ]
    piece = {"Sequence": {"id": "A", "type_id": 0}}
    ends = [{"SpecialToken": {"id": token, "type_id": 0}} for token in ("[CLS]", "[SEP]")]
    tokenizer = {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 7, "strategy": "LongestFirst", "stride": 0},
        "padding": None,
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [ends[0], piece, ends[1]],
            "pair": [ends[0], piece, ends[1], {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {
                token: {"id": token, "ids": [vocabulary[token]], "tokens": [token]} for token in ("[CLS]", "[SEP]")
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    }
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(tokenizer))
    names = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]"}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "mask_token": "[MASK]", "model_max_length": POSITIONS, **names})
    )
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    return path


@pytest.fixture(scope="session")
def weights() -> BertWeights:
    return random_weights()


@pytest.fixture(scope="session")
def small_bert(weights: BertWeights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder; 32 tokens count."""
    tokenizer = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(tokenizer)
    folder = tmp_path_factory.mktemp("small-bert")
    write_settings(weights, folder, tokenizer=tokenizer, max_tokens=32)
    write_safetensors(weights, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="session")
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)
