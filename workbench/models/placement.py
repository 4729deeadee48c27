"""Which layers of a model lie on which device, and how many bytes that is on each.

llama.cpp puts the last ``n_gpu_layers`` layers on the GPUs, the output layer counted as one more, and deals them out in
order by ``tensor_split`` (`llama_model_base::load_tensors`). KV lies with its layer. Token embeddings and output buffer
stay on the host. Each device that computes has a compute buffer; the whole graph's size stands in for it, which is what
a device that holds all layers has and more than one that holds some.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.models.footprint import MemoryEstimate, estimate
from workbench.models.gguf_file import ModelFile
from workbench.models.kv_memory import kv_cells, layer_kv_bytes
from workbench.models.weight_memory import layer_bytes, tied_output_bytes, weight_memory
from workbench.settings import EngineSettings

GPU_ALLOWANCE = 512 * 2**20
"""Kept free on each GPU for the driver's context and the kernels' own pools, which llama.cpp does not report.

An allowance, not a measurement: what the ledger learns on a machine is put on top of the estimate as a factor.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLoad:
    """What one device holds.

    Attributes:
        name: "host", or the GPU's.
        layers: how many, the output layer counted as one.
        weights_bytes: of them, and on the host of the token embedding.
        kv_bytes: KV cache of its layers.
        buffer_bytes: compute buffer, on the host with the output buffer; on a GPU with what the driver takes.
    """

    name: str
    layers: int
    weights_bytes: int
    kv_bytes: int
    buffer_bytes: int

    @property
    def total_bytes(self) -> int:
        """Everything together."""
        return self.weights_bytes + self.kv_bytes + self.buffer_bytes


class Costs:
    """Bytes of each layer of a model under given settings.

    Args:
        model: the model.
        settings: how it is run; ``n_gpu_layers`` does not matter.
        n_ctx: context in tokens.
        factor: by which everything is made larger, to be safe.
    """

    def __init__(self, model: ModelFile, settings: EngineSettings, n_ctx: int, factor: float = 1.0) -> None:
        self.model, self.settings, self.factor = model, settings, factor
        self.estimate: MemoryEstimate = estimate(model, settings, n_ctx)
        kv = layer_kv_bytes(model, settings, kv_cells(model, settings, n_ctx, settings.n_seq_max))
        self.kv = (*kv, 0)
        self.weights = layer_bytes(model)

    @property
    def n_units(self) -> int:
        """Layers, and the output layer."""
        return len(self.weights)

    def gpu_unit(self, number: int) -> int:
        """Bytes layer ``number`` takes on a GPU."""
        return self._safe(self.weights[number] + self.kv[number])

    @property
    def gpu_fixed(self) -> int:
        """Bytes a GPU takes whatever it holds."""
        return self._safe(self.estimate.compute_bytes) + GPU_ALLOWANCE

    def host(self, layers_on_gpu: int) -> DeviceLoad:
        """What is left for the host."""
        kept = range(self.n_units - layers_on_gpu)
        weights = self._host_weights(layers_on_gpu)
        return DeviceLoad(
            name="host",
            layers=len(kept),
            weights_bytes=self._safe(weights),
            kv_bytes=self._safe(sum(self.kv[number] for number in kept)),
            buffer_bytes=self._safe(self.estimate.output_bytes + self.estimate.compute_bytes),
        )

    def gpu(self, name: str, numbers: Sequence[int]) -> DeviceLoad:
        """What a GPU with these layers holds."""
        return DeviceLoad(
            name=name,
            layers=len(numbers),
            weights_bytes=self._safe(sum(self.weights[number] for number in numbers)),
            kv_bytes=self._safe(sum(self.kv[number] for number in numbers)),
            buffer_bytes=self.gpu_fixed,
        )

    def _host_weights(self, layers_on_gpu: int) -> int:
        if layers_on_gpu == 0:
            memory = weight_memory(self.model, use_mmap=self.settings.use_mmap, repack=self.settings.repack)
            return memory.resident_bytes
        everything = sum(tensor.n_bytes for tensor in self.model.tensors) + tied_output_bytes(self.model)
        return everything - sum(self.weights[self.n_units - layers_on_gpu :])

    def _safe(self, n_bytes: int) -> int:
        return int(self.factor * n_bytes)


def deal_out(costs: Costs, layers_on_gpu: int, free_bytes: Sequence[int]) -> tuple[int, ...] | None:
    """Layers for each GPU, in order, by free memory and in whole layers; ``None``: they do not fit."""
    numbers = range(costs.n_units - layers_on_gpu, costs.n_units)
    sizes = [costs.gpu_unit(number) for number in numbers]
    room = [max(0, free - costs.gpu_fixed) for free in free_bytes]
    filled = _fill(sizes, room)
    if filled is None:
        return None
    shared = _share(sizes, room)
    return shared if _fits(sizes, shared, room) else filled


def _fill(sizes: Sequence[int], room: Sequence[int]) -> tuple[int, ...] | None:
    """As many as go onto the first, then the next."""
    counts: list[int] = []
    at = 0
    for space in room:
        taken = 0
        while at < len(sizes) and taken + sizes[at] <= space:
            taken += sizes[at]
            at += 1
        counts.append(at - sum(counts))
    return tuple(counts) if at == len(sizes) else None


def _share(sizes: Sequence[int], room: Sequence[int]) -> tuple[int, ...]:
    """Cut where the bytes so far pass each one's share of the room."""
    total, space = sum(sizes), sum(room)
    so_far = list(itertools.accumulate(sizes))
    limits = [total * limit / space for limit in itertools.accumulate(room)] if space else [0.0] * len(room)
    ends = [sum(1 for n_bytes in so_far if n_bytes <= limit + 0.5) for limit in limits]
    ends[-1] = len(sizes)
    return tuple(end - begin for begin, end in itertools.pairwise([0, *ends]))


def _fits(sizes: Sequence[int], counts: Sequence[int], room: Sequence[int]) -> bool:
    at = 0
    for count, space in zip(counts, room, strict=True):
        if sum(sizes[at : at + count]) > space:
            return False
        at += count
    return True
