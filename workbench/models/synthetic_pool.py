"""Random quantisation blocks whose values have a given spread, as many as a model needs.

The simple types are quantised from Gaussian numbers. K-quants would take minutes to quantise in Python, so their blocks
are random bytes with the half-precision scales set: every bit pattern of the rest is a valid block (`ggml-common.h`),
and the scales are chosen so that the dequantised values have mean 0 and the spread asked for. Knows blocks, not models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType
from gguf.quants import dequantize, quantize

QUANTISATIONS: Mapping[str, int] = {
    "f32": LlamaFileType.ALL_F32,
    "f16": LlamaFileType.MOSTLY_F16,
    "bf16": LlamaFileType.MOSTLY_BF16,
    "q4_0": LlamaFileType.MOSTLY_Q4_0,
    "q4_1": LlamaFileType.MOSTLY_Q4_1,
    "q5_0": LlamaFileType.MOSTLY_Q5_0,
    "q5_1": LlamaFileType.MOSTLY_Q5_1,
    "q8_0": LlamaFileType.MOSTLY_Q8_0,
    "q2_k": LlamaFileType.MOSTLY_Q2_K_S,
    "q3_k": LlamaFileType.MOSTLY_Q3_K_S,
    "q4_k": LlamaFileType.MOSTLY_Q4_K_S,
    "q5_k": LlamaFileType.MOSTLY_Q5_K_S,
    "q6_k": LlamaFileType.MOSTLY_Q6_K,
    "iq4_nl": LlamaFileType.MOSTLY_IQ4_NL,
    "iq4_xs": LlamaFileType.MOSTLY_IQ4_XS,
}
"""Name → ``general.file_type``."""

_FALLBACK = {"q2_k": "q4_0", "q3_k": "q4_0", "q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0", "iq4_xs": "iq4_nl"}
"""What stands in where a row is no multiple of 256 (`tensor_type_fallback` in `llama-quant.cpp`)."""

_SCALES = {
    "Q2_K": (80, 82),
    "Q3_K": (108, None),
    "Q4_K": (0, 2),
    "Q5_K": (0, 2),
    "Q6_K": (208, None),
    "IQ4_NL": (0, None),
    "IQ4_XS": (0, None),
}
"""Offsets of ``d`` and ``dmin`` in a block (`ggml-common.h`)."""

_BLOCKS = 131_101
"""Blocks in a pool. A prime, so that rows cut one behind the other differ until the pool has gone round as often as it
has blocks, and more than any common vocabulary has tokens: no two tokens get the same row."""

_UNIT = 32
"""Elements drawn at once for types without blocks."""

_CALIBRATED = 2048


def stored_type(quantization: str, size: tuple[int, ...]) -> GGMLQuantizationType:
    """The type a tensor is stored in; ``size`` is (outputs, inputs), or (width,) for a norm, which is f32."""
    if len(size) == 1:
        return GGMLQuantizationType.F32
    kind = GGMLQuantizationType[quantization.upper()]
    if size[-1] % GGML_QUANT_SIZES[kind][0] == 0:
        return kind
    return GGMLQuantizationType[_FALLBACK[quantization].upper()]


@dataclass(frozen=True, slots=True)
class Pool:
    """A ring of blocks.

    Attributes:
        blocks: (n_blocks, block_bytes) uint8.
    """

    blocks: npt.NDArray[np.uint8]

    @classmethod
    def draw(cls, kind: GGMLQuantizationType, std: float, seed: int, *, most_elements: int) -> Pool:
        """Blocks whose values have mean 0 and standard deviation ``std``; the same arguments give the same blocks.

        Args:
            kind: the type.
            std: of the values, once dequantised.
            seed: of the random numbers.
            most_elements: of one tensor; more need not be drawn.
        """
        random = np.random.default_rng((seed, int(kind)))
        count = min(_BLOCKS, -(-most_elements // max(GGML_QUANT_SIZES[kind][0], _UNIT)))
        make = _random_bytes if kind.name in _SCALES else _quantised
        return cls(make(random, kind, std, count))

    def write(self, file: IO[bytes], start: int, n_bytes: int) -> int:
        """Write ``n_bytes`` (whole blocks) from block ``start`` on, round and round; returns where to go on."""
        count, size = (int(extent) for extent in self.blocks.shape)
        position, left = start % count, n_bytes // size
        while left:
            take = min(left, count - position)
            file.write(self.blocks[position : position + take].data)
            position, left = (position + take) % count, left - take
        return position


def _quantised(
    random: np.random.Generator, kind: GGMLQuantizationType, std: float, count: int
) -> npt.NDArray[np.uint8]:
    width = max(GGML_QUANT_SIZES[kind][0], _UNIT)
    values = random.standard_normal((count, width), dtype=np.float32) * np.float32(std)
    stored = values if kind is GGMLQuantizationType.F32 else quantize(values, kind)
    return np.ascontiguousarray(stored).view(np.uint8)


def _random_bytes(
    random: np.random.Generator, kind: GGMLQuantizationType, std: float, count: int
) -> npt.NDArray[np.uint8]:
    size = GGML_QUANT_SIZES[kind][1]
    blocks = np.frombuffer(random.bytes(count * size), np.uint8).reshape(count, size).copy()
    d, dmin = _calibrate(blocks[:_CALIBRATED].copy(), kind, std)
    _set_scales(blocks, kind, d, dmin)
    return blocks


def _calibrate(sample: npt.NDArray[np.uint8], kind: GGMLQuantizationType, std: float) -> tuple[float, float]:
    """``d`` and ``dmin`` for mean 0 and ``std``: a value is linear in both."""

    def values(d: float, dmin: float) -> Any:
        _set_scales(sample, kind, d, dmin)
        return dequantize(sample, kind)

    has_min = _SCALES[kind.name][1] is not None
    ratio = -float(values(1.0, 0.0).mean() / values(0.0, 1.0).mean()) if has_min else 0.0
    d = std / float(values(1.0, ratio).std())
    return d, ratio * d


def _set_scales(blocks: npt.NDArray[np.uint8], kind: GGMLQuantizationType, d: float, dmin: float) -> None:
    for offset, value in zip(_SCALES[kind.name], (d, dmin), strict=True):
        if offset is not None:
            blocks[:, offset : offset + 2] = np.frombuffer(np.float16(value).tobytes(), np.uint8)
