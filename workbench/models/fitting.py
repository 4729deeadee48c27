"""Settings that fit a model onto a machine, each with its reason. Arithmetic on the header; nothing is loaded.

What gives way, in this order: the micro-batch, then (a context left open) the context down to 4,096 tokens, then layers
move from the GPUs to the host, and last the precision of the KV cache, because that one costs answer quality. Speeds
are not known here: `workbench tune` measures them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from workbench.errors import InvalidSettings, OutOfMemory, UnknownName
from workbench.models.gguf_file import ModelFile
from workbench.models.machine import Machine
from workbench.models.placement import Costs, DeviceLoad, deal_out
from workbench.settings import EngineSettings
from workbench.showing import Shown, Table, View, size

KvQuality = Literal["auto", "full", "reduced"]

OPEN_CONTEXT = 32_768
"""Most tokens reserved for when nobody said how many; a longer context is asked for with ``n_ctx``."""

SMALLEST_OPEN_CONTEXT = 4096

_LEAST_PER_SEQUENCE = 1024
_MICRO_BATCHES = (512, 256, 128, 64)
_GIB = 2**30
_TIERS = ((12, 512), (8, 256), (4, 128), (0, 64))
"""Memory of the smallest GPU in GiB from which a batch is used, where nothing can be measured."""

_BITS = (("Q8_0", 8.5), ("Q6_K", 6.6), ("Q5_K_M", 5.7), ("Q4_K_M", 4.9), ("Q3_K_M", 3.9), ("Q2_K", 3.0))
"""Bits a weight takes with llama.cpp's usual mixtures (`tools/quantize/README.md`), rounded up."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One setting that was chosen.

    Attributes:
        name: of the setting.
        value: as a person reads it.
        why: one sentence.
    """

    name: str
    value: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit(Shown):
    """Settings that fit, and why.

    Attributes:
        model: name of the model.
        machine: what it was fitted onto.
        settings: to hand to ``wb.load``.
        n_ctx: the context, all sequences together.
        loads: what each device holds, the host first.
        choices: the reasons.
        exact: the estimate is computed node by node, not approximated.
        factor: by which the estimate was made larger.
    """

    model: str
    machine: Machine
    settings: EngineSettings
    n_ctx: int
    loads: tuple[DeviceLoad, ...]
    choices: tuple[Choice, ...]
    exact: bool
    factor: float

    @property
    def why(self) -> list[str]:
        """The reasons, one sentence a choice."""
        return [choice.why for choice in self.choices]

    @property
    def total_bytes(self) -> int:
        """On all devices."""
        return sum(load.total_bytes for load in self.loads)

    def table(self) -> list[tuple[str, str, str]]:
        """(setting, value, reason), then (device, what it holds of what is free, of what that consists)."""
        free = [self.machine.host_free_bytes, *(gpu.usable_bytes for gpu in self.machine.gpus)]
        rows = [(choice.name, choice.value, choice.why) for choice in self.choices]
        for load, available in zip(self.loads, free, strict=True):
            parts = f"weights {_gib(load.weights_bytes)}, KV {_gib(load.kv_bytes)}, buffers {_gib(load.buffer_bytes)}"
            rows.append((load.name, f"{_gib(load.total_bytes)} of {_gib(available)} free", f"{parts}."))
        return rows

    def _view(self) -> View:
        return View(
            heading=f"{self.model}: {size(self.total_bytes)} in all",
            tables=[Table(columns=("what", "value", "why"), rows=self.table())],
            notes=[f"Load with: wb.load(…, **fit.settings.to_dict()). Estimates are times {self.factor:.2f}."],
        )


def fit(
    model: ModelFile,
    machine: Machine | None = None,
    *,
    n_seq_max: int = 1,
    n_ctx: int | None = None,
    kv_quality: KvQuality = "auto",
    factor: float | None = None,
) -> Fit:
    """Choose layers on the GPUs, context, batch, KV type, threads and the split over GPUs.

    Args:
        model: what is to be run.
        machine: ``None``: this one, as it is now.
        n_seq_max: sequences at the same time.
        n_ctx: context in tokens, all sequences together; ``None``: as much as fits, up to the trained context and
            :data:`OPEN_CONTEXT`.
        kv_quality: "full": f16 only; "auto": q8_0 where f16 cannot be; "reduced": q8_0.
        factor: the estimate is multiplied by it; ``None``: what the ledger of this machine says.

    Raises:
        OutOfMemory: nothing fits; names what would.
        InvalidSettings: ``n_ctx`` or ``n_seq_max`` out of range.
        UnknownName: an unknown ``kv_quality``.
    """
    if factor is None:
        from workbench.models.memory_ledger import margin

        factor = margin()
    return _Search(model, machine or Machine.here(), n_seq_max, n_ctx, kv_quality, factor).best()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Try:
    """A combination that fits."""

    settings: EngineSettings
    n_ctx: int
    counts: tuple[int, ...]
    costs: Costs

    @property
    def on_gpu(self) -> int:
        return sum(self.counts)


class _Search:
    """Goes through combinations from the best to the most frugal."""

    def __init__(
        self, model: ModelFile, machine: Machine, n_seq_max: int, n_ctx: int | None, kv_quality: str, factor: float
    ) -> None:
        if kv_quality not in ("auto", "full", "reduced"):
            raise UnknownName("KV quality", kv_quality, ("auto", "full", "reduced"))
        if n_ctx is not None and n_ctx < n_seq_max:
            raise InvalidSettings(f"n_ctx ({n_ctx}) leaves no token for each of {n_seq_max} sequences. Raise it.")
        self.model, self.machine, self.n_seq_max, self.asked, self.factor = model, machine, n_seq_max, n_ctx, factor
        self.types = {"auto": ("f16", "q8_0"), "full": ("f16",), "reduced": ("q8_0",)}[kv_quality]
        self.free = [gpu.usable_bytes for gpu in machine.gpus]

    def best(self) -> Fit:
        for kv_type in self.types:
            found = [tried for n_ctx in self._contexts() if (tried := self._roomiest(n_ctx, kv_type))]
            if found:
                # a smaller context is worth it only if it brings layers back onto the GPUs
                return self._describe(max(found, key=lambda tried: (tried.on_gpu, tried.n_ctx)))
        raise self._too_large()

    def _contexts(self) -> Iterator[int]:
        """What was asked for, or halves of the most that is reserved unasked."""
        if self.asked is not None:
            yield self.asked
            return
        least = min(self.model.n_ctx_train, max(SMALLEST_OPEN_CONTEXT, _LEAST_PER_SEQUENCE * self.n_seq_max))
        wanted = max(least, min(self.model.n_ctx_train, OPEN_CONTEXT))
        while wanted > least:
            yield wanted
            wanted //= 2
        yield least

    def _roomiest(self, n_ctx: int, kv_type: str) -> _Try | None:
        """With as many layers on the GPUs as can be, and among those the largest micro-batch."""
        found = [tried for size in self._micro_batches() if (tried := self._try(n_ctx, kv_type, size))]
        return max(found, key=lambda tried: (tried.on_gpu, tried.settings.n_ubatch or 0)) if found else None

    def _micro_batches(self) -> tuple[int, ...]:
        """Largest first; by tiers of memory where nobody knows what is free."""
        sizes = tuple(size for size in _MICRO_BATCHES if size >= self.n_seq_max) or (self.n_seq_max,)
        if not self._measured():
            smallest = min(gpu.total_bytes for gpu in self.machine.gpus)
            most = next(batch for gib, batch in _TIERS if smallest >= gib * _GIB)
            return tuple(size for size in sizes if size <= most) or sizes[-1:]
        return sizes

    def _measured(self) -> bool:
        return all(gpu.free_bytes is not None for gpu in self.machine.gpus)

    def _try(self, n_ctx: int, kv_type: str, n_ubatch: int) -> _Try | None:
        on_gpu = bool(self.machine.gpus)
        settings = EngineSettings(
            n_ctx=n_ctx,
            n_seq_max=self.n_seq_max,
            n_batch=max(512, n_ubatch) if n_ubatch >= 512 else n_ubatch,
            n_ubatch=n_ubatch,
            type_k=kv_type,
            type_v=kv_type,
            flash_attn=on_gpu or kv_type != "f16",
        )
        costs = Costs(self.model, settings, n_ctx, self.factor)
        counts = self._most_on_gpus(costs)
        if costs.host(sum(counts)).total_bytes > self.machine.host_free_bytes:
            return None
        return _Try(settings=settings, n_ctx=n_ctx, counts=counts, costs=costs)

    def _most_on_gpus(self, costs: Costs) -> tuple[int, ...]:
        for layers in range(costs.n_units, 0, -1) if self.free else ():
            alone = self._on_one(costs, layers)
            counts = alone or deal_out(costs, layers, self.free)
            if counts is not None:
                return counts
        return (0,) * len(self.free)

    def _on_one(self, costs: Costs, layers: int) -> tuple[int, ...] | None:
        """All of them on the GPU with most room: nothing has to travel between two."""
        roomiest = max(range(len(self.free)), key=lambda number: self.free[number])
        if deal_out(costs, layers, [self.free[roomiest]]) is None:
            return None
        return tuple(layers if number == roomiest else 0 for number in range(len(self.free)))

    def _describe(self, tried: _Try) -> Fit:
        chosen = _Explained(self.model, self.machine, self.asked, self.types, self._measured(), tried)
        costs = tried.costs
        loads = [costs.host(tried.on_gpu)]
        first = costs.n_units - tried.on_gpu
        for gpu, count in zip(self.machine.gpus, tried.counts, strict=True):
            loads.append(costs.gpu(gpu.name, range(first, first + count)) if count else _idle(gpu.name))
            first += count
        return Fit(
            model=self.model.name,
            machine=self.machine,
            settings=chosen.settings(),
            n_ctx=tried.n_ctx,
            loads=tuple(loads),
            choices=tuple(chosen.choices()),
            exact=costs.estimate.exact,
            factor=self.factor,
        )

    def _too_large(self) -> OutOfMemory:
        n_ctx = list(self._contexts())[-1]
        settings = EngineSettings(n_ctx=n_ctx, n_seq_max=self.n_seq_max, n_batch=max(64, self.n_seq_max))
        costs = Costs(self.model, settings, n_ctx, self.factor)
        need = costs.host(0).total_bytes
        have = self.machine.host_free_bytes + sum(max(0, free - costs.gpu_fixed) for free in self.free)
        left = have - int(self.factor * costs.estimate.context_bytes)
        return OutOfMemory(f"{self.model.name} with n_ctx={n_ctx:,}", need, have, _what_would_fit(self.model, left))


@dataclass(frozen=True, slots=True)
class _Explained:
    """A combination in words."""

    model: ModelFile
    machine: Machine
    asked: int | None
    types: tuple[str, ...]
    measured: bool
    tried: _Try

    def settings(self) -> EngineSettings:
        counts, used = self.tried.counts, [n for n, count in enumerate(self.tried.counts) if count]
        settings = dataclasses.replace(
            self.tried.settings, n_gpu_layers=self.tried.on_gpu, n_threads=self.machine.physical_cores
        )
        if len(used) == 1:
            return dataclasses.replace(settings, split_mode="none", main_gpu=used[0])
        return dataclasses.replace(settings, tensor_split=tuple(map(float, counts))) if used else settings

    def choices(self) -> Iterator[Choice]:
        yield self._layers()
        yield from self._split()
        yield self._context()
        yield self._batch()
        yield self._kv()
        yield Choice("n_threads", str(self.machine.physical_cores), "One thread for each physical core.")

    def _layers(self) -> Choice:
        units, on_gpu = self.tried.costs.n_units, self.tried.on_gpu
        value = f"{on_gpu} of {units}"
        if not self.machine.gpus:
            return Choice("n_gpu_layers", value, "There is no GPU: everything runs on the CPU.")
        if on_gpu == units:
            return Choice("n_gpu_layers", value, "All layers and the output layer fit onto the GPU memory there is.")
        if on_gpu == 0:
            return Choice("n_gpu_layers", value, "Not one layer fits onto a GPU beside its compute buffer.")
        return Choice("n_gpu_layers", value, f"One layer more would not fit; {units - on_gpu} run on the CPU.")

    def _split(self) -> Iterator[Choice]:
        used = [number for number, count in enumerate(self.tried.counts) if count]
        if len(self.machine.gpus) < 2 or not used:
            return
        if len(used) == 1:
            why = "One GPU holds it alone, so nothing has to travel between two."
            yield Choice("split_mode", f"none, GPU {used[0]}", why)
            return
        why = "No single GPU holds it: whole layers, shared by free memory."
        yield Choice("tensor_split", " : ".join(map(str, self.tried.counts)), why)

    def _context(self) -> Choice:
        n_ctx, trained = self.tried.n_ctx, self.model.n_ctx_train
        value = f"{n_ctx:,}"
        if self.asked is not None:
            beyond = f" It is beyond the trained {trained:,}: quality drops there." if n_ctx > trained else ""
            return Choice("n_ctx", value, f"As asked for.{beyond}")
        if n_ctx >= min(trained, OPEN_CONTEXT):
            bound = "the trained context" if n_ctx >= trained else "as much as is reserved unasked; n_ctx= takes more"
            return Choice("n_ctx", value, f"It is {bound}.")
        why = "Twice as much would not fit" if not self.tried.on_gpu else "Twice as much would push layers off the GPU"
        return Choice("n_ctx", value, f"{why} (trained: {trained:,}).")

    def _batch(self) -> Choice:
        size = self.tried.settings.n_ubatch or 0
        if not self.measured:
            return Choice("n_batch", str(size), "By the GPU's size, for what is free on it cannot be read.")
        if size >= _MICRO_BATCHES[0]:
            return Choice("n_batch", str(size), "The compute buffer fits; larger batches seldom read prompts faster.")
        return Choice("n_batch", str(size), "A larger compute buffer would take the room of layers or context.")

    def _kv(self) -> Choice:
        kind = self.tried.settings.type_k
        if kind == "f16":
            return Choice("type_k, type_v", kind, "Full precision fits.")
        why = "As asked for" if self.types == ("q8_0",) else "f16 does not fit"
        return Choice(
            "type_k, type_v", kind, f"{why}. This costs quality: let the KV guard measure it on your own texts."
        )


def _idle(name: str) -> DeviceLoad:
    return DeviceLoad(name=name, layers=0, weights_bytes=0, kv_bytes=0, buffer_bytes=0)


def _what_would_fit(model: ModelFile, left_bytes: int) -> str:
    """The quantisation of this model whose weights fit into ``left_bytes``, or the size of a model that does."""
    fitting = [name for name, bits in _BITS if bits * model.parameters / 8 <= left_bytes]
    if fitting:
        return f"A {fitting[0]} of this model would fit, as would any smaller one."
    billions = max(0, left_bytes) * 8 / _BITS[3][1] / 1e9
    if billions < 0.05:
        return "Not even a small model fits beside its buffers: free some memory."
    return f"No quantisation of it fits; a model of up to {billions:.1f} billion weights at Q4_K_M would."


def _gib(n_bytes: int) -> str:
    return f"{n_bytes / _GIB:.2f} GiB"
