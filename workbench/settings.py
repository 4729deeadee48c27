"""What can be set: the engine's settings, and where things lie on disk.

Settings are plain frozen data. ``None`` means "choose for me"; an engine reports the values it chose as its *effective*
settings, and those are what records keep.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import InvalidSettings, UnknownName
from workbench.showing import Shown, Table, View, fact

KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
"""KV cache types llama.cpp accepts (`common/arg.cpp`, ``--cache-type-k``)."""

UNQUANTISED_KV_TYPES = ("f32", "f16", "bf16")

SPLIT_MODES = ("none", "layer", "row")

SPECULATION = ("off", "lookup", "draft")

_SWITCHES = (
    "offload_kqv",
    "swa_full",
    "use_mmap",
    "use_mlock",
    "repack",
    "prefix_cache",
    "context_shift",
    "gpu_sampling",
)

MAX_SEQUENCES = 256
"""LLAMA_MAX_SEQ in llama.cpp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings(Shown):
    """Settings of a local engine. Checked when made; unknown names go through :meth:`from_mapping`.

    Attributes:
        n_ctx: context in tokens, all sequences together; ``None``: as the requests need, up to the trained context.
        n_batch: most tokens handed to one ``llama_decode``.
        n_ubatch: most tokens computed at once; ``None``: ``min(n_batch, 512)``.
        n_seq_max: sequences that run at the same time.
        n_threads: threads for one token a step; ``None``: physical cores.
        n_threads_batch: threads for prompts; ``None``: as ``n_threads``.
        n_gpu_layers: layers on the GPU; ``None``: all with a GPU build and a GPU, else 0; ``-1``: all.
        main_gpu: the GPU used when the model is not split.
        split_mode: how several GPUs share a model.
        tensor_split: share of each GPU; ``None``: by free memory.
        flash_attn: fused attention; ``None``: on with layers on a GPU that can, off on the CPU, where it is slower.
        type_k: type of the K cache.
        type_v: type of the V cache; quantised types need flash attention.
        offload_kqv: keep the KV cache on the GPU.
        kv_unified: one KV buffer for all sequences, so that prefixes are shared without a copy; ``False``: one each, so
            that no sequence's attention spans another's cells; ``None``: the faster one for ``n_seq_max``.
        swa_full: keep the whole cache of sliding-window layers, so that prefixes can be reused.
        use_mmap: map the weights instead of reading them.
        use_mlock: keep the weights from being swapped out.
        repack: let llama.cpp repack weights for this CPU at load (faster, costs a copy).
        prefix_cache: keep the last sequences' KV and reuse the longest common prefix.
        host_cache_bytes: host memory for sequences that had to leave the context; ``None``: an eighth of what is free
            when the engine is loaded; 0: off.
        disk_cache_bytes: room on disk for sequences that outlive the process; 0: off, which is the default because
            what is kept there is as readable as the prompts themselves.
        context_shift: when a sequence's room is full, forget the oldest tokens after ``n_keep`` instead of ending
            (StreamingLLM, arXiv 2309.17453).
        n_keep: first tokens that a context shift keeps (attention sinks).
        speculation: "off", "lookup" (drafts from the text itself) or "draft" (from ``draft_model``).
        draft_model: path or name of the small model that drafts.
        draft_max: most tokens drafted at once.
        queue_limit: requests that may wait; one more is refused with ``QueueFull``.
        idle_release_s: seconds without a request after which the context is given back, its sequences kept in host
            memory; ``None``: never.
        model_release_s: the same for the weights, which are loaded again with the next request.
        gpu_sampling: sample on the GPU where the samplers asked for can.
        rope_freq_base: RoPE base frequency; ``None``: the model's.
        rope_freq_scale: RoPE frequency scale; ``None``: the model's.
    """

    n_ctx: int | None = None
    n_batch: int = 512
    n_ubatch: int | None = None
    n_seq_max: int = 1
    n_threads: int | None = None
    n_threads_batch: int | None = None
    n_gpu_layers: int | None = None
    main_gpu: int = 0
    split_mode: str = "layer"
    tensor_split: tuple[float, ...] | None = None
    flash_attn: bool | None = None
    type_k: str = "f16"
    type_v: str = "f16"
    offload_kqv: bool = True
    kv_unified: bool | None = None
    swa_full: bool = True
    use_mmap: bool = True
    use_mlock: bool = False
    repack: bool = True
    prefix_cache: bool = True
    host_cache_bytes: int | None = None
    disk_cache_bytes: int = 0
    context_shift: bool = False
    n_keep: int = 4
    speculation: str = "off"
    draft_model: str | None = None
    draft_max: int = 8
    queue_limit: int = 1024
    idle_release_s: float | None = 300.0
    model_release_s: float | None = 1800.0
    gpu_sampling: bool = False
    rope_freq_base: float | None = None
    rope_freq_scale: float | None = None

    def __post_init__(self) -> None:
        for check, names in _RANGES:
            for name in names:
                check(name, getattr(self, name))
        _check_known("type_k", self.type_k, KV_TYPES)
        _check_known("type_v", self.type_v, KV_TYPES)
        _check_known("split_mode", self.split_mode, SPLIT_MODES)
        _check_known("speculation", self.speculation, SPECULATION)
        self._check_sizes()
        self._check_pairs()

    def _check_sizes(self) -> None:
        if self.n_seq_max > MAX_SEQUENCES:
            raise InvalidSettings(f"n_seq_max is {self.n_seq_max}; llama.cpp runs {MAX_SEQUENCES} at most.")
        if self.n_ubatch is not None and self.n_ubatch > self.n_batch:
            raise InvalidSettings(f"n_ubatch ({self.n_ubatch}) may not exceed n_batch ({self.n_batch}). Lower it.")
        if self.n_seq_max > self.n_batch:
            raise InvalidSettings(f"n_seq_max ({self.n_seq_max}) may not exceed n_batch ({self.n_batch}). Raise it.")
        if self.n_ctx is not None and self.n_seq_max > self.n_ctx:
            raise InvalidSettings(
                f"n_ctx ({self.n_ctx}) leaves no token for each of {self.n_seq_max} sequences. Raise it."
            )

    def _check_pairs(self) -> None:
        if self.flash_attn is False and self.type_v not in UNQUANTISED_KV_TYPES:
            raise InvalidSettings(
                f"type_v={self.type_v!r} needs flash attention. Set flash_attn=True, or type_v to one of "
                f"{', '.join(UNQUANTISED_KV_TYPES)}."
            )
        if (self.speculation == "draft") != (self.draft_model is not None):
            raise InvalidSettings('speculation="draft" and draft_model belong together. Give both, or neither.')
        if self.gpu_sampling and self.speculation != "off":
            raise InvalidSettings(
                "gpu_sampling draws one token a sequence and step, speculation several. Leave one of them off."
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> EngineSettings:
        """Settings from loose names, as they come from YAML or keyword arguments.

        Raises:
            UnknownName: a name that is no setting; lists the known ones.
            InvalidSettings: a value out of its range.
        """
        known = cls.names()
        for name in values:
            if name not in known:
                raise UnknownName("setting", name, known)
        plain: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        try:
            return cls(**plain)
        except TypeError as error:
            raise InvalidSettings(f"A setting has a value of the wrong type: {error}") from error

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of all settings, in order of declaration."""
        return tuple(field.name for field in dataclasses.fields(cls))

    def replace(self, **changes: Any) -> EngineSettings:
        """A copy with some settings changed, checked again."""
        return EngineSettings.from_mapping({**self.to_dict(), **changes})

    @property
    def unified(self) -> bool:
        """Whether all sequences share one KV buffer: ``kv_unified``, or what is faster where that is left open."""
        return self.n_seq_max == 1 if self.kv_unified is None else self.kv_unified

    def to_dict(self) -> dict[str, Any]:
        """As a plain dictionary."""
        return dataclasses.asdict(self)

    def _view(self) -> View:
        rows = []
        for field in dataclasses.fields(self):
            value, plain = getattr(self, field.name), field.default
            rows.append((field.name, fact(value, field.name), "" if value == plain else fact(plain, field.name)))
        return View(
            heading="EngineSettings",
            tables=[Table(columns=("setting", "value", "default, where it differs"), rows=rows)],
            notes=["— is left to the engine, or does not apply."],
        )


def _check_at_least(name: str, value: object, low: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidSettings(f"{name} must be a whole number, not {value!r}.")
    if value < low:
        raise InvalidSettings(f"{name} must be at least {low}, not {value}.")


def _check_choice(name: str, value: object) -> None:
    if value is not None:
        _check_switch(name, value)


def _check_seconds(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise InvalidSettings(f"{name} must be a number of seconds, or none at all; not {value!r}.")


def _check_switch(name: str, value: object) -> None:
    # "false" from a command line or YAML is a text, and every text counts as true
    if not isinstance(value, bool):
        raise InvalidSettings(f"{name} must be true or false, not {value!r}.")


def _check_known(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UnknownName(name, str(value), known)


_RANGES: tuple[tuple[Callable[[str, object], None], tuple[str, ...]], ...] = (
    (
        lambda name, value: _check_at_least(name, value, 1),
        ("n_ctx", "n_batch", "n_ubatch", "n_seq_max", "n_threads", "n_threads_batch", "draft_max"),
    ),
    (
        lambda name, value: _check_at_least(name, value, 0),
        ("main_gpu", "host_cache_bytes", "disk_cache_bytes", "n_keep", "queue_limit"),
    ),
    (lambda name, value: _check_at_least(name, value, -1), ("n_gpu_layers",)),
    (_check_switch, _SWITCHES),
    (_check_choice, ("flash_attn", "kv_unified")),
    (_check_seconds, ("idle_release_s", "model_release_s")),
)


def home() -> Path:
    """The folder for what workbench keeps: ``WORKBENCH_HOME``, or the platform's place for user data."""
    chosen = os.environ.get("WORKBENCH_HOME")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_data_path

    return user_data_path("workbench", appauthor=False)


def cache_dir() -> Path:
    """The folder for what can be made again; below ``WORKBENCH_HOME`` when that is set."""
    if os.environ.get("WORKBENCH_HOME"):
        return home() / "cache"
    from platformdirs import user_cache_path

    return user_cache_path("workbench", appauthor=False)


def model_dirs() -> tuple[Path, ...]:
    """Folders named in ``WORKBENCH_MODELS``, separated like ``PATH``."""
    listed = os.environ.get("WORKBENCH_MODELS", "")
    return tuple(Path(part).expanduser() for part in listed.split(os.pathsep) if part)


def data_dir() -> Path | None:
    """The folder of evaluation data sets, ``WORKBENCH_DATA``; ``None`` when unset."""
    chosen = os.environ.get("WORKBENCH_DATA")
    return Path(chosen).expanduser() if chosen else None
