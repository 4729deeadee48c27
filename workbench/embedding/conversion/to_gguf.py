"""A BERT encoder as a GGUF file that llama.cpp runs with mean pooling.

Keys and tensor names: the ``gguf`` package's own tables. Tokens: llama.cpp's WordPiece vocabulary marks the beginning
of a word with U+2581 where BERT's marks a word's continuation with "##" (``llm_tokenizer_wpm_session`` in
`src/llama-vocab.cpp`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workbench.embedding.conversion.weights import BertWeights
from workbench.errors import ModelFileError

WeightType = Literal["f32", "f16"]
_NAMES = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_EMBEDDINGS = {"word_embeddings": "token_embd", "position_embeddings": "position_embd", "LayerNorm": "token_embd_norm"}


def write_gguf(
    weights: BertWeights, path: Path, *, name: str, tokenizer: Path, max_tokens: int, weight_type: WeightType = "f32"
) -> None:
    """Write the file.

    Args:
        weights: of the encoder.
        path: of the file.
        name: ``general.name``.
        tokenizer: ``tokenizer.json`` with a WordPiece vocabulary.
        max_tokens: that count; the rows of the position table beyond are left out.
        weight_type: of the matrices; vectors stay float32.

    Raises:
        ModelFileError: the tokenizer is none with a WordPiece vocabulary.
    """
    import gguf

    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32 if weight_type == "f32" else gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(max_tokens)
    writer.add_embedding_length(weights.hidden)
    writer.add_feed_forward_length(weights.intermediate)
    writer.add_block_count(weights.n_layer)
    writer.add_head_count(weights.n_head)
    writer.add_layer_norm_eps(weights.eps)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    _add_vocabulary(writer, _vocabulary(tokenizer))
    types = weights.arrays["embeddings.token_type_embeddings.weight"]
    writer.add_token_type_count(len(types))
    writer.add_tensor("token_types.weight", types)
    for tensor, values in _tensors(weights, max_tokens):
        halved = weight_type == "f16" and values.ndim == 2 and not tensor.startswith("position")
        writer.add_tensor(tensor, values.astype(np.float16) if halved else values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensors(weights: BertWeights, max_tokens: int) -> Iterator[tuple[str, Any]]:
    """GGUF name and values of every weight but the token types."""
    for name, values in weights.arrays.items():
        stem, kind = name.rsplit(".", 1)
        if stem.startswith("embeddings."):
            own = _EMBEDDINGS.get(stem.removeprefix("embeddings."))
            if own is not None:
                yield f"{own}.{kind}", values[:max_tokens] if own == "position_embd" else values
        else:
            layer, part = stem.removeprefix("encoder.layer.").split(".", 1)
            yield f"blk.{layer}.{_NAMES[part]}.{kind}", values


def _vocabulary(tokenizer: Path) -> dict[str, Any]:
    try:
        told = json.loads(tokenizer.read_text(encoding="utf-8"))
        model = dict(told["model"])
        special = {token["content"] for token in told.get("added_tokens", ()) if token["special"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(tokenizer, f"is no tokenizer ({error!r}). Install or download the model again.") from error
    if model.get("type", "WordPiece") != "WordPiece" or model.get("continuing_subword_prefix") != "##":
        raise ModelFileError(tokenizer, "its vocabulary is not BERT's WordPiece, the only one converted to GGUF.")
    return {"ids": model["vocab"], "special": special}


def _add_vocabulary(writer: Any, vocabulary: dict[str, Any]) -> None:
    import gguf

    ids: dict[str, int] = vocabulary["ids"]
    special: set[str] = vocabulary["special"]
    tokens = sorted(ids, key=ids.__getitem__)
    kinds = [gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token in tokens]
    writer.add_tokenizer_model("bert")
    writer.add_token_list([token if token in special else _phantom(token) for token in tokens])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(ids["[CLS]"])
    writer.add_unk_token_id(ids["[UNK]"])
    writer.add_sep_token_id(ids["[SEP]"])
    writer.add_pad_token_id(ids["[PAD]"])
    writer.add_mask_token_id(ids["[MASK]"])


def _phantom(token: str) -> str:
    return token.removeprefix("##") if token.startswith("##") else "\u2581" + token
