"""A BERT encoder as a sentence-transformers folder: what torch loads.

The layout: https://sbert.net/docs/sentence_transformer/usage/custom_models.html.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from workbench.embedding.conversion.weights import BertWeights

_MODULES = "sentence_transformers.models"  # kept by the library as a name for its modules, wherever they moved
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def write_settings(weights: BertWeights, folder: Path, *, tokenizer: Path, max_tokens: int) -> None:
    """Everything but the weights: ``config.json``, the modules (encoder, mean, unit length) and the tokenizer.

    Args:
        weights: whose shapes go into the files.
        folder: to write to; it exists.
        tokenizer: the folder of the tokenizer's files.
        max_tokens: that count.
    """
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": weights.hidden,
        "intermediate_size": weights.intermediate,
        "layer_norm_eps": weights.eps,
        "max_position_embeddings": weights.n_position,
        "num_attention_heads": weights.n_head,
        "num_hidden_layers": weights.n_layer,
        "type_vocab_size": len(weights.arrays["embeddings.token_type_embeddings.weight"]),
        "vocab_size": weights.n_vocab,
    }
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    described = [
        {"idx": place, "name": str(place), "path": path, "type": f"{_MODULES}.{kind}"}
        for place, (path, kind) in enumerate(modules)
    ]
    pooling = {"word_embedding_dimension": weights.hidden, "pooling_mode_mean_tokens": True}
    _write(folder / "config.json", config)
    _write(folder / "modules.json", described)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": max_tokens, "do_lower_case": False})
    _write(folder / "1_Pooling" / "config.json", {**pooling, "pooling_mode_cls_token": False})
    for name in _TOKENIZER_FILES:
        if (tokenizer / name).is_file():
            shutil.copyfile(tokenizer / name, folder / name)


def write_safetensors(weights: BertWeights, path: Path) -> None:
    """The weights as ``transformers.BertModel`` reads them; its pooler, which no embedding uses, is left out."""
    from safetensors.numpy import save_file

    save_file(dict(weights.arrays), path, metadata={"format": "pt"})


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
