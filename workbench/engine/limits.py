"""What llama-bench would measure here, through the same library: the limit any engine is held against.

Definitions as in `tools/llama-bench/llama-bench.cpp`. ``pp``: a prompt of random tokens in batches of ``n_batch``.
``tg``: one token a decode from an empty context. No tokenising, no sampling, no text; a warm-up is not counted.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from workbench.engine.context import Context
from workbench.engine.library import library
from workbench.engine.weights import Weights
from workbench.errors import DecodeError
from workbench.models import ModelFile
from workbench.settings import EngineSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Speeds without an engine around them.

    Attributes:
        pp_tps: prompt tokens per second; ``None`` if none were asked for.
        tg_tps: generated tokens per second; ``None`` if none were asked for.
        settings: effective settings.
    """

    pp_tps: float | None
    tg_tps: float | None
    settings: EngineSettings


def measure_limits(
    model: ModelFile, settings: EngineSettings | None = None, *, n_prompt: int = 0, n_gen: int = 128, seed: int = 1
) -> Limits:
    """Measure ``pp{n_prompt}`` and ``tg{n_gen}``, one run each. Blocks; use it while nothing else runs.

    Raises:
        DecodeError: llama.cpp failed.
    """
    settings = settings or EngineSettings()
    weights = Weights(model, settings)
    context = Context(weights, settings, settings.n_ctx or max(n_prompt, n_gen, 256))
    draw = random.Random(seed)  # noqa: S311 - token ids for a benchmark
    tokens = [draw.randrange(weights.vocabulary.size) for _ in range(max(n_prompt, n_gen))]
    try:
        return Limits(
            pp_tps=_prompt_tps(context, tokens[:n_prompt]) if n_prompt else None,
            tg_tps=_generation_tps(context, tokens[:n_gen]) if n_gen else None,
            settings=context.settings,
        )
    finally:
        context.free()
        weights.free()


def _prompt_tps(context: Context, tokens: list[int]) -> float:
    _prefill(context, tokens[:32])
    started = time.perf_counter()
    _prefill(context, tokens)
    return len(tokens) / (time.perf_counter() - started)


def _prefill(context: Context, tokens: list[int]) -> None:
    context.clear()
    for begin in range(0, len(tokens), context.batch.capacity):
        piece = tokens[begin : begin + context.batch.capacity]
        context.batch.clear()
        context.batch.add_run(piece, begin, 0, logits="last")
        _decode(context)


def _generation_tps(context: Context, tokens: list[int]) -> float:
    _generate(context, tokens[:4])
    started = time.perf_counter()
    _generate(context, tokens)
    return len(tokens) / (time.perf_counter() - started)


def _generate(context: Context, tokens: list[int]) -> None:
    context.clear()
    for position, token in enumerate(tokens):
        context.batch.clear()
        context.batch.add_token(token, position, 0)
        _decode(context)


def _decode(context: Context) -> None:
    code = context.decode()
    if code:
        raise DecodeError(code)
    library().llama_synchronize(context.raw)  # a GPU returns before it is done
