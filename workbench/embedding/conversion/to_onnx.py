"""A BERT encoder as an ONNX graph, in the operations torch's exporter writes, so that ONNX Runtime fuses them alike.

Operations: https://onnx.ai/onnx/operators/, operator set 17. Inputs ``input_ids`` and ``attention_mask``, (texts,
tokens) int64; output ``last_hidden_state``, (texts, tokens, hidden) float32.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.embedding.conversion.onnx_file import FLOAT, INT64, message, node, tensor, value
from workbench.embedding.conversion.weights import BertWeights

_OPSET, _IR_VERSION = 17, 8
_FAR_BELOW = float(np.finfo(np.float32).min)  # what a score has that attention must not see


def onnx_bytes(weights: BertWeights) -> bytes:
    """The file."""
    built = _Graph(weights)
    graph = message("Graph")(
        name="bert",
        node=built.nodes,
        initializer=built.tensors,
        input=[value(name, INT64, ("texts", "tokens")) for name in ("input_ids", "attention_mask")],
        output=[value("last_hidden_state", FLOAT, ("texts", "tokens", weights.hidden))],
    )
    opset = message("Opset")(domain="", version=_OPSET)
    model = message("Model")(ir_version=_IR_VERSION, producer_name="workbench", graph=graph, opset_import=[opset])
    written: bytes = model.SerializeToString(deterministic=True)
    return written


class _Graph:
    """Nodes and tensors as they come about. Every method returns the name of what it computes."""

    def __init__(self, weights: BertWeights) -> None:
        self.weights = weights
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        states = self._embeddings()
        unseen = self._unseen()
        for layer in range(weights.n_layer):
            states = self._layer(f"encoder.layer.{layer}", states, unseen)
        self._add("Identity", [states], "last_hidden_state")

    def _embeddings(self) -> str:
        """Word, position and token type (always 0) → (texts, tokens, hidden)."""
        arrays = self.weights.arrays
        words = self._constant("embeddings.word_embeddings.weight", arrays["embeddings.word_embeddings.weight"])
        # the type of every token is 0, so its row can be added to every position beforehand
        table = arrays["embeddings.position_embeddings.weight"] + arrays["embeddings.token_type_embeddings.weight"][0]
        tokens = self._add("Shape", ["input_ids"], "tokens", start=1, end=2)
        zero = self._constant("zero", np.zeros(1, np.int64))
        rows = [self._constant("positions", table), zero, tokens, zero]
        positions = self._add("Slice", rows, "embeddings.positions")
        looked_up = self._add("Gather", [words, "input_ids"], "embeddings.words")
        return self._norm("embeddings.LayerNorm", self._add("Add", [looked_up, positions], "embeddings.sum"))

    def _unseen(self) -> str:
        """What to add to the scores: 0 for tokens, far below for padding; (texts, 1, 1, tokens)."""
        axes = self._constant("mask.axes", np.array([1, 2]))
        mask = self._add("Cast", [self._add("Unsqueeze", ["attention_mask", axes], "mask.4d")], "mask.float", to=FLOAT)
        inverse = self._add("Sub", [self._number("one", 1.0), mask], "mask.inverse")
        return self._add("Mul", [inverse, self._number("far_below", _FAR_BELOW)], "mask.unseen")

    def _layer(self, name: str, states: str, unseen: str) -> str:
        attended = self._attention(f"{name}.attention", states, unseen)
        summed = self._add("Add", [attended, states], f"{name}.attention.sum")
        middle = self._norm(f"{name}.attention.output.LayerNorm", summed)
        inner = self._gelu(f"{name}.gelu", self._linear(f"{name}.intermediate.dense", middle))
        out = self._linear(f"{name}.output.dense", inner)
        return self._norm(f"{name}.output.LayerNorm", self._add("Add", [out, middle], f"{name}.sum"))

    def _attention(self, name: str, states: str, unseen: str) -> str:
        query = self._heads(f"{name}.self.query", states, (0, 2, 1, 3))
        key = self._heads(f"{name}.self.key", states, (0, 2, 3, 1))  # transposed for the product
        values = self._heads(f"{name}.self.value", states, (0, 2, 1, 3))
        root = self._number("root", math.sqrt(self.weights.hidden // self.weights.n_head))
        scores = self._add("Div", [self._add("MatMul", [query, key], f"{name}.products"), root], f"{name}.scaled")
        masked = self._add("Add", [scores, unseen], f"{name}.masked")
        shares = self._add("Softmax", [masked], f"{name}.shares", axis=-1)
        mixed = self._add("MatMul", [shares, values], f"{name}.mixed")
        turned = self._add("Transpose", [mixed], f"{name}.turned", perm=(0, 2, 1, 3))
        shape = self._constant("shape.joined", np.array([0, 0, self.weights.hidden]))  # 0: as it is
        return self._linear(f"{name}.output.dense", self._add("Reshape", [turned, shape], f"{name}.joined"))

    def _heads(self, name: str, states: str, order: tuple[int, ...]) -> str:
        """(texts, heads, tokens, width of a head), or as ``order`` says."""
        n_head = self.weights.n_head
        shape = self._constant("shape.heads", np.array([0, 0, n_head, self.weights.hidden // n_head]))
        apart = self._add("Reshape", [self._linear(name, states), shape], f"{name}.apart")
        return self._add("Transpose", [apart], f"{name}.heads", perm=order)

    def _linear(self, name: str, states: str) -> str:
        matrix = self._constant(f"{name}.weight", self.weights.arrays[f"{name}.weight"].T)
        bias = self._constant(f"{name}.bias", self.weights.arrays[f"{name}.bias"])
        return self._add("Add", [bias, self._add("MatMul", [states, matrix], f"{name}.product")], f"{name}.out")

    def _norm(self, name: str, states: str) -> str:
        scale, shift = (
            self._constant(f"{name}.{kind}", self.weights.arrays[f"{name}.{kind}"]) for kind in ("weight", "bias")
        )
        return self._add(
            "LayerNormalization", [states, scale, shift], f"{name}.out", axis=-1, epsilon=float(self.weights.eps)
        )

    def _gelu(self, name: str, states: str) -> str:
        """X · Φ(x), with the error function (Hendrycks and Gimpel 2016, arXiv 1606.08415)."""
        divided = self._add("Div", [states, self._number("root_two", math.sqrt(2))], f"{name}.divided")
        raised = self._add("Add", [self._add("Erf", [divided], f"{name}.erf"), self._number("one", 1.0)], f"{name}.1")
        product = self._add("Mul", [states, raised], f"{name}.product")
        return self._add("Mul", [product, self._number("half", 0.5)], f"{name}.out")

    def _add(self, op_type: str, inputs: list[str], output: str, **attributes: float | tuple[int, ...]) -> str:
        self.nodes.append(node(op_type, inputs, output, **attributes))
        return output

    def _number(self, name: str, number: float) -> str:
        return self._constant(name, np.array(number, np.float32))

    def _constant(self, name: str, values: npt.NDArray[Any]) -> str:
        if all(present.name != name for present in self.tensors):
            self.tensors.append(tensor(name, values))
        return name
