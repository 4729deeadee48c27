"""Out of memory while loading: step down to what fits, and say so.

What is asked for is tried first. When memory is short, the settings give way one after the other, what costs least
first: the micro-batch (reading speed only), layers on the GPU (speed), the context in halves down to 2,048 tokens
(room), and last the precision of the KV cache (quality). What is far beyond the machine, or a context beyond what the
model was trained for, is not met halfway: it is an error, found by arithmetic. Knows engines only as something to be
made.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

from workbench.errors import ModelLoadError, OutOfMemory, SettingAdjusted, UnknownName
from workbench.models import ModelFile
from workbench.settings import UNQUANTISED_KV_TYPES, EngineSettings

ON_OOM = ("step_down", "raise")

FAR_BEYOND = 32.0
"""Times the memory there is from which a request counts as a mistake rather than as optimism: five halvings."""

SMALLEST_CONTEXT = 2048

_SMALL_BATCH = 128
_SHARES = (0.75, 0.5, 0.25, 0.0)
_ALLOCATION = re.compile(r"(unable|failed) to allocate|out of memory|cannot allocate|alloc\w* failed", re.IGNORECASE)
_WATCHED = ("n_ctx", "n_batch", "n_ubatch", "n_gpu_layers", "type_k", "type_v", "flash_attn")

Made = TypeVar("Made")


def load_stepping_down(
    make: Callable[[ModelFile, EngineSettings], Made], file: ModelFile, settings: EngineSettings
) -> Made:
    """Make something of a model, with smaller settings if memory is short.

    Args:
        make: loads; raises OutOfMemory, or a ModelLoadError that quotes a failed allocation.
        file: the model.
        settings: as asked for.

    Raises:
        OutOfMemory: what was asked for is far beyond the machine, or the smallest step does not fit either.
        ModelLoadError: llama.cpp refused for another reason, or the smallest step does not fit either.

    Warns:
        SettingAdjusted: something gave way; names what was asked for, what is used, and why.
    """
    try:
        return make(file, settings)
    except (OutOfMemory, ModelLoadError) as error:
        if not is_short_of_memory(error) or is_far_beyond(error, file, settings):
            raise
        shortage: OutOfMemory | ModelLoadError = error
    for smaller in smaller_settings(file, settings):
        try:
            made = make(file, smaller)
        except (OutOfMemory, ModelLoadError) as error:
            if not is_short_of_memory(error):
                raise
            continue
        try:
            _say(settings, smaller, shortage)
        except SettingAdjusted:  # warnings are errors here: nobody will ever close it
            getattr(made, "close", lambda: None)()
            raise
        return made
    raise shortage


def is_short_of_memory(error: OutOfMemory | ModelLoadError) -> bool:
    """Whether less would have fitted."""
    return isinstance(error, OutOfMemory) or _ALLOCATION.search(str(error)) is not None


def is_far_beyond(error: OutOfMemory | ModelLoadError, file: ModelFile, settings: EngineSettings) -> bool:
    """Whether to refuse rather than to step down."""
    if settings.n_ctx is not None and settings.n_ctx > file.n_ctx_train:
        return True
    return isinstance(error, OutOfMemory) and error.need_bytes > FAR_BEYOND * error.have_bytes


def smaller_settings(file: ModelFile, settings: EngineSettings) -> Iterator[EngineSettings]:
    """Settings that take less and less, each with all that gave way before."""
    now = settings
    for step in (_smaller_batch, _fewer_gpu_layers, _shorter_context, _coarser_kv):
        for smaller in step(file, now):
            now = smaller
            yield now


def _smaller_batch(file: ModelFile, settings: EngineSettings) -> Iterator[EngineSettings]:
    del file
    size = max(_SMALL_BATCH, settings.n_seq_max)
    if (settings.n_ubatch or settings.n_batch) > size:
        yield settings.replace(n_ubatch=size)


def _fewer_gpu_layers(file: ModelFile, settings: EngineSettings) -> Iterator[EngineSettings]:
    if settings.n_gpu_layers == 0 or not _gpu():
        return
    everything = file.n_layer + 1
    asked = everything if settings.n_gpu_layers in (None, -1) else min(settings.n_gpu_layers or 0, everything)
    for share in _SHARES:
        yield settings.replace(n_gpu_layers=int(share * asked))


def _gpu() -> bool:
    from workbench.engine.native.library import gpu_offload

    return gpu_offload()


def _shorter_context(file: ModelFile, settings: EngineSettings) -> Iterator[EngineSettings]:
    del file
    if settings.n_ctx is None:  # it follows the need, and the need is not known yet
        return
    n_ctx, least = settings.n_ctx, max(SMALLEST_CONTEXT, settings.n_seq_max)
    while n_ctx > least:
        n_ctx = max(least, n_ctx // 2)
        yield settings.replace(n_ctx=n_ctx)


def _coarser_kv(file: ModelFile, settings: EngineSettings) -> Iterator[EngineSettings]:
    del file
    full = {settings.type_k, settings.type_v} <= set(UNQUANTISED_KV_TYPES)
    if full and settings.flash_attn is not False:  # switched off on purpose: a quantised V cache needs it
        yield settings.replace(type_k="q8_0", type_v="q8_0")


def _say(asked: EngineSettings, used: EngineSettings, shortage: Exception) -> None:
    changes = ", ".join(
        f"{name}={getattr(asked, name)} became {getattr(used, name)}"
        for name in _WATCHED
        if getattr(asked, name) != getattr(used, name)
    )
    quality = " A q8_0 cache costs quality; measure it with the KV guard." if used.type_k != asked.type_k else ""
    warnings.warn(
        f'Memory is short, so it was loaded with less: {changes}.{quality} {shortage} on_oom="raise" refuses instead.',
        SettingAdjusted,
        stacklevel=4,
    )


def load_as_asked(make: Callable[[ModelFile, EngineSettings], Made], file: ModelFile, settings: EngineSettings) -> Made:
    """The other way: as asked for, or not at all."""
    return make(file, settings)


def check_on_oom(name: str) -> str:
    """Refuse an unknown way of dealing with too little memory.

    Raises:
        UnknownName: lists the known ones.
    """
    if name not in ON_OOM:
        raise UnknownName("on_oom", name, ON_OOM)
    return name
