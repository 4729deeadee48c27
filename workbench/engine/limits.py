"""What llama-bench would measure here, through the same library: the limit any engine is held against.

Definitions as in `tools/llama-bench/llama-bench.cpp`. ``pp``: a prompt of random tokens in batches of ``n_batch``.
``tg``: one token a decode from an empty context. No tokenising, no sampling, no text; a warm-up is not counted.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from workbench.engine.native import kept
from workbench.engine.native.context import Context
from workbench.engine.native.library import library
from workbench.engine.native.weights import Weights
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


class Meter:
    """A loaded model to measure more than once. Belongs to the thread that made it; a context manager.

    Args:
        model: what to load.
        settings: how.
        n_tokens: most tokens a measurement holds in the context.
        seed: of the random token ids.

    Raises:
        OutOfMemory, ModelLoadError: as for any engine.
    """

    def __init__(self, model: ModelFile, settings: EngineSettings, n_tokens: int, *, seed: int = 1) -> None:
        kept.release()
        self._weights = Weights(model, settings)
        self._context: Context | None = None
        try:
            self._context = Context(self._weights, settings, settings.n_ctx or max(n_tokens, 256))
        except BaseException:
            self._weights.free()
            raise
        draw = random.Random(seed)  # noqa: S311 - token ids for a benchmark
        self._tokens = [draw.randrange(self._weights.vocabulary.size) for _ in range(n_tokens)]

    @property
    def context(self) -> Context:
        """The context measured in."""
        assert self._context is not None  # noqa: S101 - only closing takes it away
        return self._context

    def prompt_tps(self, n_prompt: int) -> float:
        """``pp{n_prompt}`` after a warm-up, tokens per second."""
        return _prompt_tps(self.context, self._tokens[:n_prompt])

    def generation_tps(self, n_gen: int) -> float:
        """``tg{n_gen}`` after a warm-up, tokens per second."""
        return _generation_tps(self.context, self._tokens[:n_gen])

    def turn_tps(self, n_prompt: int, n_gen: int) -> tuple[float, float]:
        """One prompt and what follows it: ``pp{n_prompt}`` and ``tg{n_gen} @ d{n_prompt}`` as llama-bench names them.

        No warm-up: the first call is one.
        """
        tokens = self._tokens[: n_prompt + n_gen]
        started = time.perf_counter()
        _prefill(self.context, tokens[:n_prompt])
        between = time.perf_counter()
        _generate(self.context, tokens[n_prompt:], n_prompt)
        ended = time.perf_counter()
        return n_prompt / (between - started), n_gen / (ended - between)

    def close(self) -> None:
        """Free everything. Idempotent."""
        if self._context is not None:
            self._context.free()
            self._context = None
            self._weights.free()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def measure_limits(
    model: ModelFile, settings: EngineSettings | None = None, *, n_prompt: int = 0, n_gen: int = 128, seed: int = 1
) -> Limits:
    """Measure ``pp{n_prompt}`` and ``tg{n_gen}``, one run each. Blocks; use it while nothing else runs.

    Raises:
        DecodeError: llama.cpp failed.
    """
    with Meter(model, settings or EngineSettings(), max(n_prompt, n_gen), seed=seed) as meter:
        return Limits(
            pp_tps=meter.prompt_tps(n_prompt) if n_prompt else None,
            tg_tps=meter.generation_tps(n_gen) if n_gen else None,
            settings=meter.context.settings,
        )


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
    context.clear()
    _generate(context, tokens[:4], 0)
    context.clear()
    started = time.perf_counter()
    _generate(context, tokens, 0)
    return len(tokens) / (time.perf_counter() - started)


def _generate(context: Context, tokens: list[int], begin: int) -> None:
    for position, token in enumerate(tokens, begin):
        context.batch.clear()
        context.batch.add_token(token, position, 0)
        _decode(context)


def _decode(context: Context) -> None:
    code = context.decode()
    if code:
        raise DecodeError(code)
    library().llama_synchronize(context.raw)  # a GPU returns before it is done
