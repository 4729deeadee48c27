"""The KV guard: which quantised KV caches this model bears on given text, and the smallest that may be recommended.

Knows divergences and bytes, not speed: a smaller cache can be slower or faster (``workbench.engine.limits``). All is
measured against the cache it would replace, f16/f16 under the same settings. A quantised V cache needs flash attention,
which rounds differently all by itself; so where the settings run without it, flash attention alone is measured as well,
and each cache that needs it also against f16/f16 *with* flash attention. The noise floor is measured with f32/f32, a
finer cache: the kernels of quantised weights round activations, so any change, for the better too, flips near-ties.
Runs in the caller's thread.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from workbench.engine.native import kept
from workbench.engine.native.context import Context
from workbench.engine.native.weights import Weights
from workbench.engine.quality.divergence import (
    WINDOW,
    Divergence,
    agreements,
    plan_windows,
    text_tokens,
    window_settings,
)
from workbench.engine.quality.kv_report import FLOOR, KvGuard, KvOption, Rule, Verdict
from workbench.engine.quality.windows import Window
from workbench.errors import ModelLoadError, OutOfMemory, SettingAdjusted, UsageError
from workbench.models import ModelFile, check_fits, estimate, resolve, verify
from workbench.settings import UNQUANTISED_KV_TYPES, EngineSettings

DEFAULT_TYPES = ("q8_0", "q8_0/f16", "q8_0/q5_1", "q8_0/q4_0", "q5_1", "q4_0")
"""K is quantised no harder than V in any of them: keys bear it less well (KIVI, arXiv 2402.02750)."""

LIMIT_TOKENS = 4096

_FULL, _FINER = "f16", "f32"


def guard_kv(
    model: ModelFile | str | Path,
    text: str | Sequence[int],
    *,
    types: Sequence[str] | None = None,
    min_same_top: float = 0.99,
    settings: EngineSettings | None = None,
    window: int = WINDOW,
    limit_tokens: int | None = LIMIT_TOKENS,
    second_half: bool = True,
    certain: bool = True,
) -> KvGuard:
    """Measure KV cache types on a text and recommend the smallest that keeps the model's choices.

    A cache passes when its same-top rate against f16/f16 under the same settings is at least ``min_same_top``: by the
    lower end of the 95 % Wilson interval, so that a rate met by luck on few tokens does not pass, or by the rate itself
    with ``certain=False``. What its need of flash attention changes counts against it, because its user gets both. The
    recommendation is the smallest cache that passes, f16/f16 if none does, and never one that was refused.

    Args:
        model: a model, its name, or the path of a GGUF.
        text: text like that it will be used on, or tokens of it.
        types: caches to try: "q8_0" for K and V, "q8_0/f16" for K and V apart; ``None``: six from q8_0 to q4_0.
        min_same_top: least rate of tokens where both have the same most probable one, above 0 and at most 1.
        settings: what else it runs with; ``None``: all chosen by the engine. Its ``type_k`` and ``type_v`` are ignored.
        window: tokens computed together: how far the caches are read back at most.
        limit_tokens: only the first so many tokens of the text; ``None``: all.
        second_half: score only the second half of each window, where the cache has something in it.
        certain: ask for the lower end of the interval, not for the rate itself.

    Raises:
        UsageError: an unknown type (UnknownName), a limit that is no rate, or a text without a token to score.
        UnknownName, ModelFileError: there is no such model, or its file is not whole.
        OutOfMemory: not even two contexts of a window fit.
        ModelLoadError, DecodeError: llama.cpp refused the model or failed.
    """
    if not 0 < min_same_top <= 1:
        raise UsageError(f"min_same_top is a rate above 0 and at most 1, not {min_same_top}.")
    rule = Rule(min_same_top, certain)
    wanted = [kv_types(one) for one in (DEFAULT_TYPES if types is None else types)]
    file = resolve(model)
    base = (settings or EngineSettings()).replace(type_k=_FULL, type_v=_FULL)
    kept.release()
    check_fits(file, window_settings(base), window)
    verify(file)
    weights = Weights(file, base)
    try:
        tokens = text_tokens(weights.vocabulary, text, limit_tokens)
        plan = plan_windows(len(tokens), window, second_half)
        bench = _Bench(weights, base, tokens, plan, window)
        options = bench.measure(wanted, rule)
    finally:
        weights.free()
    scored = sum(one.end - one.first for one in plan)
    return KvGuard(model=file.name, tokens=scored, window=window, options=tuple(options), rule=rule, base=base)


def kv_types(text: str) -> tuple[str, str]:
    """("q8_0", "f16") of "q8_0/f16"; one name stands for both.

    Raises:
        UnknownName: no type of a KV cache; lists those there are.
    """
    type_k, _, type_v = text.strip().partition("/")
    checked = EngineSettings.from_mapping({"type_k": type_k, "type_v": type_v or type_k})
    return checked.type_k, checked.type_v


def impossible(file: ModelFile, type_k: str, type_v: str) -> str | None:
    """Why a model cannot have such a cache, by arithmetic: llama.cpp aborts the process over some of these."""
    for name, type_name, dims in (
        ("K", type_k, {layer.k_width // n for layer, n in zip(file.layers, file.n_head_kv, strict=True) if n}),
        ("V", type_v, {layer.v_width // n for layer, n in zip(file.layers, file.n_head_kv, strict=True) if n}),
    ):
        block = int(GGML_QUANT_SIZES[GGMLQuantizationType[type_name.upper()]][0])
        odd = sorted(dim for dim in dims if dim % block)
        if odd:
            return f"{name} heads of {odd[0]} elements do not divide into {type_name}'s blocks of {block}"
    return None


@dataclass(frozen=True, slots=True)
class _Trial:
    """A cache and its context, or why it has none."""

    type_k: str
    type_v: str
    context: Context | None = None
    reason: str = ""


class _Bench:
    """A model's weights and a text: measures caches on them."""

    def __init__(
        self, weights: Weights, base: EngineSettings, tokens: Sequence[int], plan: Sequence[Window], window: int
    ) -> None:
        self._weights, self._base, self._window = weights, base, window
        self._tokens, self._plan = tokens, plan
        self._full_bytes = self._bytes_per_token(base)

    def measure(self, wanted: Sequence[tuple[str, str]], rule: Rule) -> list[KvOption]:
        """The reference, the noise floor, flash attention alone where that is a change, then what was asked for."""
        asked = [pair for pair in dict.fromkeys(wanted) if pair not in ((_FULL, _FULL), (_FINER, _FINER))]
        with ExitStack() as stack:
            reference = self._context(stack, self._base)
            flashed = None if reference.settings.flash_attn else self._trial(stack, _FULL, _FULL, flash_attn=True)
            against = [reference, *([flashed.context] if flashed and flashed.context else [])]
            floor = self._trial(stack, _FINER, _FINER, flash_attn=self._base.flash_attn)
            options, trials = [self._reference(reference)], [floor, *([flashed] if flashed else [])]
            while trials or asked:
                with ExitStack() as group:
                    trials += self._open_some(group, asked)
                    options += self._walk(against, trials, rule)
                    trials = []
        return options

    def _open_some(self, group: ExitStack, asked: list[tuple[str, str]]) -> list[_Trial]:
        """As many caches as memory has room for, taken off the list: they share one walk of the references.

        Raises:
            OutOfMemory: there is no room for a single one.
        """
        trials: list[_Trial] = []
        while asked:
            type_k, type_v = asked[0]
            flash = self._base.flash_attn if type_v in UNQUANTISED_KV_TYPES else True
            try:
                trials.append(self._trial(group, type_k, type_v, flash_attn=flash))
            except OutOfMemory:
                if not any(trial.context for trial in trials):
                    raise
                break
            del asked[0]
        return trials

    def _trial(self, stack: ExitStack, type_k: str, type_v: str, *, flash_attn: bool | None) -> _Trial:
        reason = impossible(self._weights.file, type_k, type_v)
        if reason:
            return _Trial(type_k, type_v, reason=reason)
        try:
            settings = self._base.replace(flash_attn=flash_attn, type_k=type_k, type_v=type_v)
            context = self._context(stack, settings)
        except ModelLoadError as error:
            return _Trial(type_k, type_v, reason=str(error))
        if flash_attn and not context.settings.flash_attn:
            return _Trial(type_k, type_v, reason="this model cannot run with flash attention")
        return _Trial(type_k, type_v, context)

    def _context(self, stack: ExitStack, settings: EngineSettings) -> Context:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SettingAdjusted)  # the effective settings are looked at and reported
            context = Context(self._weights, window_settings(settings), self._window)
        stack.callback(context.free)
        return context

    def _walk(self, against: Sequence[Context], trials: Sequence[_Trial], rule: Rule) -> list[KvOption]:
        """One walk over the text for all trials: each against the reference and, by flash attention, against its own.

        Args:
            against: the reference, and f16/f16 with flash attention if that is another.
            trials: those that cannot run are only reported.
            rule: judges them.
        """
        running = [trial.context for trial in trials if trial.context]
        contexts = list(dict.fromkeys([*against, *running]))  # flash attention alone is a trial and a reference
        pairs = [(of, contexts.index(one)) for one in running for of in (0, _own(against, one))]
        found = self._divergences(contexts, pairs)
        options = []
        for trial in trials:
            if trial.context is None:
                options.append(self._option(trial, None, None, ("not possible", trial.reason)))
                continue
            at = contexts.index(trial.context)
            total, own = found[0, at], found[_own(against, trial.context), at]
            judged = FLOOR if trial.type_k == trial.type_v == _FINER else rule.judge(total, own)
            options.append(self._option(trial, total, own, judged))
        return options

    def _divergences(
        self, contexts: Sequence[Context], pairs: Sequence[tuple[int, int]]
    ) -> dict[tuple[int, int], Divergence]:
        unique = list(dict.fromkeys(pairs))
        if not unique:
            return {}
        found = agreements(contexts, unique, self._tokens, self._plan, self._weights.vocabulary)
        settings = [context.settings for context in contexts]
        return {
            (a, b): Divergence.of(one, self._window, settings[a], settings[b])
            for one, (a, b) in zip(found, unique, strict=True)
        }

    def _reference(self, context: Context) -> KvOption:
        trial = _Trial(_FULL, _FULL, context)
        return self._option(trial, None, None, ("reference", "what the others would replace"))

    def _option(
        self, trial: _Trial, total: Divergence | None, own: Divergence | None, judged: tuple[Verdict, str]
    ) -> KvOption:
        size = self._bytes_per_token(self._base.replace(flash_attn=None, type_k=trial.type_k, type_v=trial.type_v))
        return KvOption(
            type_k=trial.type_k,
            type_v=trial.type_v,
            flash_attn=trial.context.settings.flash_attn if trial.context else None,
            bytes_per_token=size,
            saved=1 - size / self._full_bytes,
            divergence=total,
            own=own,
            verdict=judged[0],
            reason=judged[1],
        )

    def _bytes_per_token(self, settings: EngineSettings) -> float:
        """Of all layers, at the longest context these settings allow: sliding layers may keep less than the whole."""
        file = self._weights.file
        estimated = estimate(file, settings.replace(n_seq_max=1), settings.n_ctx or file.n_ctx_train)
        return estimated.kv_bytes / estimated.n_ctx


def _own(against: Sequence[Context], context: Context) -> int:
    """Which of the references has the same flash attention; the first one where it is itself the other."""
    flash = context.settings.flash_attn
    return next((i for i, c in enumerate(against) if c is not context and c.settings.flash_attn == flash), 0)
