"""What is asked of a model and what comes back: plain frozen values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from workbench.errors import InvalidSettings, UnknownName
from workbench.interfaces.messages import Prompt, as_prompt
from workbench.interfaces.receipt import Receipt
from workbench.interfaces.schema import plain_schema
from workbench.settings import EngineSettings
from workbench.showing import Shown, View, facts

FloatArray = npt.NDArray[np.float32]
FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling(Shown):
    """How the next token is drawn. Names and defaults are llama.cpp's (`common/common.h`, ``common_params_sampling``).

    Attributes:
        temperature: 0 is greedy.
        top_k: keep the k likeliest tokens; 0: all.
        top_p: keep the likeliest tokens up to this probability mass (Holtzman 2020, arXiv 1904.09751).
        min_p: drop tokens below this share of the likeliest one's probability (arXiv 2407.01082).
        typical_p: locally typical sampling (arXiv 2202.00666); 1: off.
        top_n_sigma: keep logits within n standard deviations of the best (arXiv 2411.07641); -1: off.
        repeat_penalty: divides logits of recent tokens (CTRL, arXiv 1909.05858); 1: off.
        repeat_last_n: how many tokens count as recent; -1: the whole context.
        frequency_penalty: subtracted per occurrence.
        presence_penalty: subtracted once.
        dry_multiplier: DRY repetition penalty; 0: off.
        dry_base: its growth.
        dry_allowed_length: repeats up to this length cost nothing.
        xtc_probability: chance of excluding the top choices; 0: off.
        xtc_threshold: what counts as a top choice.
        logit_bias: token id → added to its logit.
        ignore_eos: go on past the end of generation.
        seed: for reproducible draws; ``None``: a new one each request.
    """

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    top_n_sigma: float = -1.0
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    ignore_eos: bool = False
    seed: int | None = None

    def __post_init__(self) -> None:
        _check_numbers(self)
        for name, low, high in (
            ("temperature", 0.0, 100.0),
            ("top_p", 0.0, 1.0),
            ("min_p", 0.0, 1.0),
            ("typical_p", 0.0, 1.0),
            ("xtc_probability", 0.0, 1.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise InvalidSettings(f"{name} must lie between {low:g} and {high:g}, not {value!r}.")
        if self.repeat_penalty <= 0:
            raise InvalidSettings(f"repeat_penalty must be above 0 (1 is off), not {self.repeat_penalty!r}.")
        if self.seed is not None and not 0 <= self.seed < 2**32 - 1:
            raise InvalidSettings(f"seed must lie between 0 and {2**32 - 2}, not {self.seed!r}.")

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.temperature == 0.0

    def replace(self, **changes: Any) -> Sampling:
        """A copy with some fields changed.

        Raises:
            UnknownName: a name that is no sampling parameter; lists the known ones.
        """
        for name in changes:
            if name not in self.__slots__:
                raise UnknownName("sampling parameter", name, self.__slots__)
        return dataclasses.replace(self, **changes)


_WHOLE = ("top_k", "repeat_last_n", "dry_allowed_length", "seed")


def _check_numbers(sampling: Sampling) -> None:
    """Refuse what is no number here, where it is asked for, rather than in the middle of a batch."""
    for name in sampling.__slots__:
        value = getattr(sampling, name)
        if name in ("logit_bias", "ignore_eos") or (name == "seed" and value is None):
            continue
        if name in _WHOLE:
            if isinstance(value, bool) or not isinstance(value, int):
                raise InvalidSettings(f"{name} must be a whole number, not {value!r}.")
        elif isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InvalidSettings(f"{name} must be a number, not {value!r}.")
    for token, bias in sampling.logit_bias.items():
        if not isinstance(token, int) or not isinstance(bias, int | float) or math.isnan(bias):
            raise InvalidSettings(f"logit_bias maps token ids to numbers, not {token!r} to {bias!r}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one completion is asked for.

    Attributes:
        prompt: raw text, messages or tokens.
        max_tokens: exact cap on generated tokens; ``None``: until the model ends or its room is full (an engine whose
            context is open leaves room for at least 1,024).
        sampling: how tokens are drawn.
        stop: strings that end the text; they are not part of it.
        priority: lower runs earlier among those waiting.
        cache_prompt: allow reuse of a kept prefix (off while measuring prefill).
        grammar: GBNF the output has to meet; root rule ``root``. No ``stop`` beside it.
        json_schema: JSON schema the output has to meet: a mapping, its JSON text, or a pydantic model class; kept as a
            dictionary of plain JSON values.
    """

    prompt: Prompt
    max_tokens: int | None = None
    sampling: Sampling = Sampling()
    stop: tuple[str, ...] = ()
    priority: int = 0
    cache_prompt: bool = True
    grammar: str | None = None
    json_schema: Any = None

    def __post_init__(self) -> None:
        whole = isinstance(self.max_tokens, int) and not isinstance(self.max_tokens, bool)
        if self.max_tokens is not None and not (whole and self.max_tokens >= 1):
            raise InvalidSettings(f"max_tokens must be a whole number of at least 1, or None; not {self.max_tokens!r}.")
        if isinstance(self.priority, bool) or not isinstance(self.priority, int):
            raise InvalidSettings(f"priority must be a whole number, not {self.priority!r}.")
        object.__setattr__(self, "prompt", as_prompt(self.prompt))
        object.__setattr__(self, "stop", _stops(self.stop))
        if not self.prompt:
            raise InvalidSettings("The prompt is empty. Give some text, a message or tokens.")
        if any(not stop for stop in self.stop):
            raise InvalidSettings("A stop string is empty: it would end every text at once. Leave it out.")
        self._check_constraint()

    def _check_constraint(self) -> None:
        if self.json_schema is not None:
            object.__setattr__(self, "json_schema", plain_schema(self.json_schema))
        elif self.grammar is None:
            return
        if self.json_schema is not None and self.grammar is not None:
            raise InvalidSettings("Both grammar and json_schema were given. Give one.")
        if self.grammar is not None and not isinstance(self.grammar, str):
            raise InvalidSettings(f"grammar must be GBNF text, not {self.grammar!r}.")
        if self.stop:
            raise InvalidSettings("A stop string would cut a constrained output short. Leave stop out.")

    @classmethod
    def of(cls, prompt_or_request: Any, /, *, presets: Mapping[str, Sampling] | None = None, **options: Any) -> Request:
        """A request from a prompt and loose options, as every method of an engine takes them.

        Args:
            prompt_or_request: text, messages (:class:`Message` or dictionaries), tokens, or a :class:`Request` whose
                fields then are the defaults.
            presets: name → sampling, for the option ``preset``.
            options: fields of :class:`Request`, fields of :class:`Sampling` (they change ``sampling``, the preset's or
                the request's) and ``preset``. ``stop`` may be one string.

        Raises:
            UnknownName: an option or a preset nobody knows; lists the known ones.
            InvalidSettings: a value of the wrong type or out of its range.
        """
        base = prompt_or_request if isinstance(prompt_or_request, Request) else None
        known = {*cls.__slots__, *Sampling.__slots__, "preset"} - {"prompt"}
        for name in options:
            if name not in known:
                raise UnknownName("option", name, known)
        fields = {name: value for name, value in options.items() if name in cls.__slots__}
        draws = {name: value for name, value in options.items() if name in Sampling.__slots__}
        if "stop" in fields:
            fields["stop"] = _stops(fields["stop"])
        try:
            start = _sampling(fields.pop("sampling", None), options.get("preset"), presets or {})
            fields["sampling"] = (start or (base.sampling if base else Sampling())).replace(**draws)
            if base is not None:
                return dataclasses.replace(base, **fields)
            return cls(prompt=as_prompt(prompt_or_request), **fields)
        except TypeError as error:
            raise InvalidSettings(f"An option has a value of the wrong type: {error}") from error


def _sampling(sampling: Any, preset: str | None, presets: Mapping[str, Sampling]) -> Sampling | None:
    """The sampling to start from, or ``None`` when neither option names one."""
    if sampling is not None and preset is not None:
        raise InvalidSettings(f"Both sampling and preset={preset!r} were given. Give one; single fields may be added.")
    if preset is not None:
        if preset not in presets:
            raise UnknownName("preset", str(preset), presets)
        return presets[preset]
    if sampling is None or isinstance(sampling, Sampling):
        return sampling
    if isinstance(sampling, Mapping):
        return Sampling().replace(**sampling)
    raise InvalidSettings(f"sampling must be a Sampling or a dictionary of its fields, not {sampling!r}.")


def _stops(stop: Any) -> tuple[str, ...]:
    """``stop`` as a tuple; a single string is one stop string, not its characters."""
    stops = (stop,) if isinstance(stop, str) else tuple(stop) if isinstance(stop, Iterable) else (stop,)
    if not all(isinstance(text, str) for text in stops):
        raise InvalidSettings(f"stop must be a string or several strings, not {stop!r}.")
    return stops


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a stream.

    Attributes:
        text: new text; empty while a character or a possible stop string is incomplete.
        tokens: ids of the tokens since the chunk before; empty where an engine cannot tell.
        at_ms: time since the request was made.
        finish_reason: set on the last chunk only.
    """

    text: str
    tokens: tuple[int, ...]
    at_ms: float
    finish_reason: FinishReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings(Shown):
    """Where the time of one request went. Formulas: docs/metrics.md.

    Attributes:
        queue_ms: request made → work on it begins; templating and tokenising the prompt included.
        prefill_ms: work begins → logits for the first new token.
        ttft_ms: request made → first non-empty chunk, queueing included; ``None``: there was none.
        decode_ms: first token → last token.
        total_ms: request made → end.
        prompt_tokens: tokens of the prompt.
        cached_tokens: those of them whose KV was reused.
        output_tokens: generated tokens, the end-of-generation token included.
        itl_ms: gaps between successive tokens, ``output_tokens - 1`` of them.
        started_s: when the request was made, on ``time.perf_counter`` of the asking process (on Linux one clock for all
            processes of a machine); ``None`` from an engine that does not tell.
    """

    queue_ms: float
    prefill_ms: float
    ttft_ms: float | None
    decode_ms: float
    total_ms: float
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    itl_ms: tuple[float, ...] = ()
    started_s: float | None = None

    @property
    def prefill_tps(self) -> float | None:
        """Prompt tokens computed (not reused) per second; ``None`` if none were."""
        computed = self.prompt_tokens - self.cached_tokens
        return 1e3 * computed / self.prefill_ms if computed > 0 and self.prefill_ms > 0 else None

    @property
    def decode_tps(self) -> float | None:
        """``(N - 1) / decode time`` for N generated tokens; ``None`` below two."""
        steps = self.output_tokens - 1
        return 1e3 * steps / self.decode_ms if steps > 0 and self.decode_ms > 0 else None

    @property
    def tpot_ms(self) -> float | None:
        """Time per output token, ``(E2E - TTFT) / (N - 1)``; ``None`` below two tokens."""
        steps = self.output_tokens - 1
        return (self.total_ms - self.ttft_ms) / steps if steps > 0 and self.ttft_ms is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion(Shown):
    """The answer to one request.

    Attributes:
        text: what was generated, without the stop string.
        tokens: generated token ids, the end-of-generation token included.
        finish_reason: "stop" (the model ended, or a stop string), "length" (cap or context full), "cancelled".
        timings: where the time went.
        model: name of the model.
        settings: effective settings it ran under.
        receipt: what was reused and guessed; ``None`` from an engine that cannot tell.
    """

    text: str
    tokens: tuple[int, ...]
    finish_reason: FinishReason
    timings: Timings
    model: str
    settings: EngineSettings
    receipt: Receipt | None = None

    def _view(self) -> View:
        spent = ("prompt_tokens", "cached_tokens", "output_tokens", "ttft_ms", "total_ms", "prefill_tps", "decode_tps")
        told = [facts(self, "model", "finish_reason"), facts(self.timings, *spent)]
        return View(heading="Completion", text=self.text, tables=told)


@dataclass(frozen=True, slots=True)
class Scores:
    """Log-probabilities of given tokens.

    Attributes:
        tokens: (n,) the scored tokens.
        logprobs: (n,) float32, natural logarithm of P(token | everything before it); NaN for a token with nothing
            before it.
    """

    tokens: tuple[int, ...]
    logprobs: FloatArray

    @property
    def perplexity(self) -> float:
        """``exp(-mean logprob)`` over the tokens that have a context."""
        return float(np.exp(-np.nanmean(self.logprobs)))


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStats(Shown):
    """What an engine holds and has done. An absent reading is ``None``.

    Attributes:
        state: "lazy" (no context yet), "idle", "busy" or "closed".
        n_ctx: tokens the present context holds.
        kv_used_tokens: of them in use.
        kv_bytes: size of the KV cache.
        weights_bytes: size of the weights.
        load_ms: time the model took to load; ``None``: unknown, or its weights were there already.
        context_ms: time the present context took to create.
        requests: finished requests, cancelled ones included.
        waiting: requests in the queue.
        prompt_tokens: prompt tokens so far.
        cached_tokens: those of them that were reused.
        output_tokens: generated tokens so far.
        steps: decodes so far.
        compute_ms: time in llama.cpp (decode and sampling) so far.
        host_ms: time of the steps outside llama.cpp so far: scheduling, text, delivery.
        shared_tokens: cached prompt tokens that came from another sequence of the context.
        restored_tokens: cached prompt tokens that came from host memory or disk.
        drafted_tokens: tokens that speculation guessed.
        accepted_tokens: guesses that were right.
        host_cache_bytes: sequences kept in host memory.
        disk_cache_bytes: sequences kept on disk; ``None``: that tier is off.
        grown: times the context was made larger.
        grow_ms: the longest pause that took.
        released: times the context was given back for want of work.
        respawns: times a worker process had to be started again.
    """

    state: Literal["lazy", "idle", "busy", "closed"]
    n_ctx: int | None
    kv_used_tokens: int | None
    kv_bytes: int | None
    weights_bytes: int | None
    load_ms: float | None
    context_ms: float | None
    requests: int
    waiting: int
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    steps: int = 0
    compute_ms: float = 0.0
    host_ms: float = 0.0
    shared_tokens: int = 0
    restored_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    host_cache_bytes: int = 0
    disk_cache_bytes: int | None = None
    grown: int = 0
    grow_ms: float = 0.0
    released: int = 0
    respawns: int = 0
