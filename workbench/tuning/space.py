"""What is tried: dimensions with named levels, each level a change of the default. The first level changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.models import ModelFile
from workbench.settings import EngineSettings
from workbench.tuning.candidate import Candidate

FILE = "file"
"""The dimension of quantisations; its levels' changes are the key of the same name."""

AS_IS = "as it is"
_UBATCHES = (64, 128, 256, 512, 1024, 2048)
_FLASH: dict[str, Any] = {"flash_attn": True}
_LAYER_SHARES = (0.0, 0.25, 0.5, 0.75)


@dataclass(frozen=True, slots=True)
class Dimension:
    """One thing that can be changed.

    Attributes:
        name: for people and for Optuna.
        levels: name → changes, the unchanged one first.
        numeric: whether its levels can change what the model says.
    """

    name: str
    levels: Mapping[str, Mapping[str, Any]]
    numeric: bool = False

    @property
    def default(self) -> str:
        """The level that changes nothing."""
        return next(iter(self.levels))


@dataclass(frozen=True, slots=True)
class Space:
    """All dimensions of one tune."""

    dimensions: tuple[Dimension, ...]

    def candidate(self, levels: Mapping[str, str]) -> Candidate:
        """The candidate with these levels; a dimension that is not named keeps its default.

        A micro-batch above the batch is cut to it rather than refused: the search draws both freely.
        """
        changes: dict[str, Any] = {}
        for one in self.dimensions:
            changes |= one.levels[levels.get(one.name, one.default)]
        quantisation = changes.pop(FILE, None)
        batch, ubatch = changes.get("n_batch", EngineSettings().n_batch), changes.get("n_ubatch")
        if ubatch is not None and ubatch > batch:
            changes["n_ubatch"] = batch
        return Candidate.of(quantisation, changes)

    def single_changes(self) -> list[tuple[Dimension, str, Candidate]]:
        """Every level that can change what the model says, alone: (dimension, level, candidate)."""
        return [
            (one, level, self.candidate({one.name: level}))
            for one in self.dimensions
            if one.numeric
            for level in one.levels
            if level != one.default
        ]

    def starts(self) -> list[dict[str, str]]:
        """Where the search begins: the default, and each other file under default settings."""
        files = next((one for one in self.dimensions if one.name == FILE), None)
        return [{}] + [{FILE: level} for level in (files.levels if files else ()) if files and level != files.default]

    def without(self, refused: set[tuple[str, str]]) -> Space:
        """Less some (dimension, level); what has one level left is no dimension any more."""
        kept = [
            Dimension(one.name, {k: v for k, v in one.levels.items() if (one.name, k) not in refused}, one.numeric)
            for one in self.dimensions
        ]
        return Space(tuple(one for one in kept if len(one.levels) > 1))

    def full(self, levels: Mapping[str, str]) -> dict[str, str]:
        """Levels of every dimension."""
        return {one.name: levels.get(one.name, one.default) for one in self.dimensions}


def build_space(
    file: ModelFile,
    quantisations: Sequence[str],
    *,
    prompt_tokens: int,
    usable_cores: int,
    default_threads: int,
    gpu: bool,
    speculation: bool = False,
) -> Space:
    """The dimensions that can matter for this model on this machine.

    Args:
        file: the untouched model.
        quantisations: to try besides its own.
        prompt_tokens: larger batches than the next power of two make no difference.
        usable_cores: hardware threads this process may use.
        default_threads: what the engine takes when nothing is said.
        gpu: whether layers can be put on one.
        speculation: try drafts from the text itself, too.
    """
    threads = {f"{n}": {"n_threads": n} for n in thread_counts(usable_cores) if n != default_threads}
    prompt_threads = {f"{n}": {"n_threads_batch": n} for n in thread_counts(usable_cores)}
    ubatches = {f"{n}": {"n_ubatch": n} for n in _UBATCHES if n < 2 * prompt_tokens and n != 512}
    batches = {f"{n}": {"n_batch": n} for n in (128, 256, 1024, 2048) if n < 2 * prompt_tokens}
    dimensions = [
        Dimension(FILE, {AS_IS: {}, **{q: {FILE: q} for q in quantisations if q != file.quantisation}}, numeric=True),
        Dimension("attention", _attention(gpu), numeric=True),
        Dimension("threads", {f"{default_threads} (default)": {}, **threads}),
        Dimension("prompt threads", {"as threads": {}, **prompt_threads}),
        Dimension("micro-batch", {"512 (default)": {}, **ubatches}),
        Dimension("batch", {"512 (default)": {}, **batches}),
        Dimension("weights", {"repacked": {}, "as stored": {"repack": False}}),
        Dimension("reading", {"mapped": {}, "read": {"use_mmap": False}}),
    ]
    if gpu:
        dimensions.append(Dimension("GPU layers", _layers(file.n_layer)))
    if speculation:
        dimensions.append(Dimension("speculation", {"off": {}, "lookup": {"speculation": "lookup"}}))
    return Space(tuple(one for one in dimensions if len(one.levels) > 1))


def thread_counts(usable: int) -> list[int]:
    """Numbers of threads worth trying: all of them up to eight cores, quarters beyond."""
    if usable <= 8:
        return list(range(1, usable + 1))
    return sorted({max(1, round(usable * share)) for share in (0.25, 0.5, 0.75, 1.0)})


def _attention(gpu: bool) -> dict[str, dict[str, Any]]:
    other = {"no flash": {"flash_attn": False}} if gpu else {}
    return {
        "default": {},
        **other,
        "flash": _FLASH,
        "q8_0 K": {"type_k": "q8_0"},
        "flash, q8_0 K and V": {**_FLASH, "type_k": "q8_0", "type_v": "q8_0"},
    }


def _layers(n_layer: int) -> dict[str, dict[str, Any]]:
    counts = sorted({round(share * (n_layer + 1)) for share in _LAYER_SHARES})
    return {"all (default)": {}, **{f"{n}": {"n_gpu_layers": n} for n in counts}}
