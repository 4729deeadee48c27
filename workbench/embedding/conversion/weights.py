"""A BERT encoder's weights under Hugging Face's names, whichever file they come from.

Architecture: Devlin et al. 2019 (arXiv 1810.04805). Knows shapes and names; never what the weights are for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.embedding.conversion.onnx_file import array, read_model
from workbench.embedding.folder import read_folder
from workbench.errors import InvalidSettings, ModelFileError

Array = npt.NDArray[np.float32]
_LAYER = re.compile(r"encoder\.layer\.(\d+)\.")
_BEGINNINGS = ("embeddings.", "encoder.")


@dataclass(frozen=True, slots=True)
class BertWeights:
    """Weights and what their shapes do not say.

    Attributes:
        arrays: name ("encoder.layer.0.output.dense.weight") → values; matrices are (out, in), as torch keeps them.
        n_head: attention heads.
        eps: added to the variance in layer normalisation.
    """

    arrays: Mapping[str, Array]
    n_head: int
    eps: float

    @property
    def n_layer(self) -> int:
        """Transformer blocks."""
        return 1 + max(int(match[1]) for name in self.arrays if (match := _LAYER.match(name)))

    @property
    def hidden(self) -> int:
        """Width of a token's vector."""
        return int(self.arrays["embeddings.word_embeddings.weight"].shape[1])

    @property
    def intermediate(self) -> int:
        """Width between the two matrices of a feed-forward block."""
        return int(self.arrays["encoder.layer.0.intermediate.dense.weight"].shape[0])

    @property
    def n_vocab(self) -> int:
        """Tokens of the vocabulary."""
        return int(self.arrays["embeddings.word_embeddings.weight"].shape[0])

    @property
    def n_position(self) -> int:
        """Rows of the position table."""
        return int(self.arrays["embeddings.position_embeddings.weight"].shape[0])


def from_folder(folder: Path) -> BertWeights:
    """From ``config.json`` and ``model.safetensors``.

    Raises:
        ModelFileError: a file is missing or damaged.
        InvalidSettings: it is not a BERT encoder as it was published.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    config = read_folder(folder).config
    kind = (config.get("model_type"), config.get("hidden_act"), config.get("position_embedding_type", "absolute"))
    if kind != ("bert", "gelu", "absolute"):
        raise InvalidSettings(f"{folder} is {kind}; only BERT encoders with GELU and absolute positions are converted.")
    path = folder / "model.safetensors"
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelFileError(path, f"cannot be read ({error}). Install or download the model again.") from error
    named = {name.removeprefix("bert."): values for name, values in stored.items()}
    return _checked(path, named, int(config["num_attention_heads"]), float(config["layer_norm_eps"]))


def from_onnx(path: Path, *, n_head: int) -> BertWeights:
    """From the graph that torch's exporter writes.

    It keeps the names of biases but turns the matrices, (in, out), and numbers them. A matrix is found by what follows
    it: the sum with its bias.

    Args:
        path: the file.
        n_head: attention heads, which the graph only says implicitly.

    Raises:
        ModelFileError: the file is damaged, or holds something else than a BERT encoder.
    """
    graph = read_model(path).graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    arrays = {_own_name(name): array(tensor) for name, tensor in stored.items() if _own_name(name)}
    products = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul"}
    for node in graph.node:
        matrix = next((products[name] for name in node.input if name in products), None)
        bias = next((name for name in node.input if name.endswith(".bias")), None)
        if node.op_type == "Add" and matrix in stored and bias is not None:
            arrays[_own_name(bias).removesuffix("bias") + "weight"] = array(stored[matrix]).T
    return _checked(path, arrays, n_head, _eps(graph))


def _own_name(name: str) -> str:
    """Without the names of the modules around the encoder; "" for what is none of its weights."""
    found = min((name.find(beginning) for beginning in _BEGINNINGS if beginning in name), default=-1)
    return name[found:] if found >= 0 else ""


def _eps(graph: Any) -> float:
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "LayerNormalization" and attribute.name == "epsilon":
                return float(attribute.f)
    return 1e-5  # ONNX's own


def _checked(path: Path, arrays: Mapping[str, Any], n_head: int, eps: float) -> BertWeights:
    """Nothing missing, everything float32."""
    kept = {
        name: np.ascontiguousarray(values, np.float32)
        for name, values in arrays.items()
        if name.startswith(_BEGINNINGS) and not name.endswith("position_ids")
    }
    weights = BertWeights(kept, n_head, eps)
    layers = {int(match[1]) for name in kept if (match := _LAYER.match(name))}
    wanted = expected_names(max(layers, default=0) + 1)
    missing = sorted(set(wanted) - set(kept))
    if missing:
        raise ModelFileError(path, f"has no {missing[0]} ({len(missing)} weights are missing); it is no BERT encoder.")
    return weights


PARTS = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
)
"""Of a layer, each with a weight and a bias."""


def expected_names(n_layer: int) -> list[str]:
    """Names of all weights of an encoder."""
    embeddings = [f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")]
    parts = [f"encoder.layer.{layer}.{part}" for layer in range(n_layer) for part in PARTS]
    return [
        *embeddings,
        *(f"{part}.{kind}" for part in ("embeddings.LayerNorm", *parts) for kind in ("weight", "bias")),
    ]
