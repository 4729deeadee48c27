"""The plain ``llama_cpp.Llama`` behind the engine protocol: what every sweep is compared with.

It runs as its users run it: one request after the other, its own sampling, its own detokenising. Only the clock is
added, one reading a token. Prompts are tokenised as the tuned engine does it, so that both compute the same tokens.
"""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from workbench.engine.base import LocalEngine
from workbench.engine.budget import default_threads, memory_for
from workbench.engine.native import kept
from workbench.engine.native.library import GGML_TYPES, library
from workbench.engine.native.vocabulary import check_tokens
from workbench.engine.native.weights import effective_gpu_layers
from workbench.engine.scheduling.sequence import cancelled_unstarted
from workbench.engine.scheduling.ticket import Listener, Ticket
from workbench.errors import ContextOverflow, EngineClosed, InvalidSettings, ModelLoadError, StreamIncomplete
from workbench.interfaces import Completion, EngineStats, FinishReason, Request, Sampling, Scores
from workbench.models import ModelFile, check_fits, estimate, resolve
from workbench.settings import EngineSettings

DEFAULT_N_CTX = 2048
"""``Llama`` itself starts with 512, too little for a chat."""

_FIXED_IN_LLAMA: dict[str, tuple[Any, ...]] = {
    "kv_unified": (None, True),
    "repack": (True,),
    "split_mode": ("layer",),
    "swa_full": (True,),
    "host_cache_bytes": (None, 0),
    "disk_cache_bytes": (0,),
    "context_shift": (False,),
    "speculation": ("off",),
    "queue_limit": (EngineSettings().queue_limit,),
    "idle_release_s": (EngineSettings().idle_release_s, None),
    "model_release_s": (EngineSettings().model_release_s, None),
    "gpu_sampling": (False,),
}
"""Settings this engine does not hand to ``Llama``, and the only values that then are true of it or do not matter."""

_UNKNOWN_TO_LLAMA = {"top_n_sigma": -1.0, "dry_multiplier": 0.0, "xtc_probability": 0.0}
"""Samplers that ``Llama.create_completion`` does not offer, and the value that means "off"."""


class BaselineEngine(LocalEngine):
    """``llama_cpp.Llama``. Implements :class:`workbench.interfaces.Engine`.

    Args:
        model: a model, its name, or the path of a GGUF.
        settings: ``None``: ``Llama``'s defaults, but for the context and for the threads, which are the tuned engine's.
        chat_template: Jinja source to use instead of the model's own.

    Raises:
        OutOfMemory: an ``n_ctx`` this machine cannot hold.
        InvalidSettings: more than one sequence at a time, which ``Llama`` cannot do.
        ModelLoadError: llama.cpp refused.
    """

    def __init__(
        self,
        model: ModelFile | str | Path,
        settings: EngineSettings | None = None,
        *,
        chat_template: str | None = None,
    ) -> None:
        file = resolve(model)
        settings = settings or EngineSettings()
        if settings.n_seq_max > 1:
            raise InvalidSettings("llama_cpp.Llama runs one sequence at a time: use n_seq_max=1, or engine='tuned'.")
        for name, allowed in _FIXED_IN_LLAMA.items():
            if getattr(settings, name) not in allowed:
                raise InvalidSettings(f"The baseline has no {name}; leave it at {allowed[0]!r}, or use engine='tuned'.")
        self.name = file.name
        self._file = file
        self._guard = threading.Lock()
        self._closed = False
        self._tickets: weakref.WeakSet[Ticket] = weakref.WeakSet()
        started = time.perf_counter()
        self._llama = _open(file, settings, settings.n_ctx or min(file.n_ctx_train, DEFAULT_N_CTX))
        self._load_ms = 1e3 * (time.perf_counter() - started)
        self._settings = _effective(self._llama, settings)
        self._worker = _Worker()
        self._finalizer = weakref.finalize(self, _shut, self._worker, self._llama, self._tickets)
        self._counts = dict.fromkeys(("requests", "prompt_tokens", "cached_tokens", "output_tokens"), 0)
        bos, eos = self._special(self._llama.token_bos()), self._special(self._llama.token_eos())
        self._set_template(chat_template, file, bos, eos)

    @property
    def settings(self) -> EngineSettings:
        """Effective settings."""
        return self._settings

    @property
    def stats(self) -> EngineStats:
        """A snapshot."""
        unfinished = sum(not ticket.ended for ticket in list(self._tickets))
        state = "closed" if self._closed else "busy" if unfinished else "idle"
        return EngineStats(
            state=state,  # type: ignore[arg-type]
            n_ctx=self._settings.n_ctx,
            kv_used_tokens=None if self._closed else int(self._llama.n_tokens),
            kv_bytes=estimate(self._file, self._settings, self._settings.n_ctx or 0).kv_bytes,
            weights_bytes=self._file.weights_bytes,
            load_ms=self._load_ms,
            context_ms=None,
            waiting=max(0, unfinished - 1),
            **self._counts,
        )

    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        """Text → token ids."""
        with self._open():
            return list(self._llama.tokenize(text.encode("utf-8", "replace"), add_special, parse_special))

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Token ids → text; invalid bytes become U+FFFD."""
        with self._open():
            check_tokens(tokens, self._llama.n_vocab())
            return str(self._llama.detokenize(list(tokens), special=True).decode("utf-8", "replace"))

    def score(self, text: str | Sequence[int], *, context: str | Sequence[int] = "") -> Scores:
        """Log-probabilities, from a second ``Llama`` with ``logits_all=True``, which holds every logit at once."""
        before = self._ids(context, add_special=True)
        tokens = self._ids(text, add_special=False)
        self._check_length(len(before) + len(tokens))
        answer: queue.SimpleQueue[Scores | BaseException] = queue.SimpleQueue()

        def job() -> None:
            try:
                answer.put(_score(self._file, self._settings, before, tokens))
            except Exception as error:
                answer.put(error)

        with self._open():
            self._worker.submit(job)
        result = answer.get()
        if isinstance(result, BaseException):
            raise result
        return result

    def close(self) -> None:
        """Free everything; running streams break off. Idempotent."""
        with self._guard:
            self._closed = True
        self._finalizer()

    def _submit(self, request: Request, listener: Listener | None = None) -> Ticket:
        if request.grammar is not None or request.json_schema is not None:
            raise InvalidSettings(
                "The baseline does not constrain its output: llama_cpp.Llama ends the process where no token meets the "
                "grammar. Leave grammar and json_schema out, or use engine='tuned'."
            )
        made_at = time.perf_counter()
        prompt = self._prompt_tokens(request.prompt)
        self._check_length(len(prompt) + 1)
        ticket = Ticket(request, prompt, listener, made_at=made_at)
        with self._open():
            options = _options(request.sampling, self._llama)
            self._tickets.add(ticket)
            self._worker.submit(lambda: self._run(ticket, options, streaming=listener is not None))
        return ticket

    def _checked(self, tokens: list[int]) -> list[int]:
        with self._open():
            check_tokens(tokens, self._llama.n_vocab())
        return tokens

    def _run(self, ticket: Ticket, options: dict[str, Any], *, streaming: bool) -> None:
        if ticket.cancelled:
            ticket.end(self._cut_short(ticket) or cancelled_unstarted(ticket, self.name, self._settings))
            return
        try:
            completion = self._generate(ticket, options, streaming=streaming)
            cut_short = self._cut_short(ticket) if completion.finish_reason == "cancelled" else None
            ticket.end(cut_short or completion)
        except Exception as error:
            ticket.end(error)

    def _cut_short(self, ticket: Ticket) -> StreamIncomplete | None:
        """What a cancelled ticket ends with if it was the engine's closing that cancelled it."""
        return StreamIncomplete(ticket.text, "the engine was closed.") if self._closed else None

    def _generate(self, ticket: Ticket, options: dict[str, Any], *, streaming: bool) -> Completion:
        llama, request = self._llama, ticket.request
        if not (request.cache_prompt and self._settings.prefix_cache):
            llama.reset()
        held = llama.input_ids[: llama.n_tokens].tolist()
        cached = min(llama.longest_token_prefix(held, ticket.prompt), len(ticket.prompt) - 1)
        started = time.perf_counter()
        llama.watch(ticket)
        last_n = request.sampling.repeat_last_n
        llama.last_n_tokens_size = llama.n_ctx() if last_n < 0 else min(last_n, llama.n_ctx())
        answer = llama.create_completion(
            ticket.prompt,
            max_tokens=request.max_tokens,
            stop=list(request.stop),
            stream=streaming,
            stopping_criteria=lambda *_: ticket.cancelled,
            **options,
        )
        reason = _deliver(ticket, answer) if streaming else _keep(ticket, answer)
        timings = ticket.timings(started_at=started, cached=cached, times=llama.times)
        self._counts["requests"] += 1
        for name in ("prompt_tokens", "cached_tokens", "output_tokens"):
            self._counts[name] += getattr(timings, name)
        return Completion(
            text=ticket.text,
            tokens=tuple(llama.drawn),
            finish_reason="cancelled" if ticket.cancelled else reason,
            timings=timings,
            model=self.name,
            settings=self._settings,
        )

    def _check_length(self, tokens: int) -> None:
        if tokens > (self._settings.n_ctx or 0):
            raise ContextOverflow(tokens, self._settings.n_ctx or 0)

    def _special(self, token: int) -> str:
        return "" if token < 0 else str(self._llama.detokenize([token], special=True).decode("utf-8", "replace"))

    @contextmanager
    def _open(self) -> Iterator[None]:
        """Inside, the model is sure to be there."""
        with self._guard:
            if self._closed:
                raise EngineClosed
            yield


class _Worker:
    """A thread that runs jobs in order. A daemon: the interpreter's exit does not wait for a long answer."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="baseline", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)

    def stop(self) -> None:
        """Run what is queued, then end. May be called by the worker itself, when the last reference goes there."""
        self._jobs.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # it holds the engine, which may be the last reference


def _open(file: ModelFile, settings: EngineSettings, n_ctx: int, **more: Any) -> Any:
    """A ``Llama`` that also notes each token it draws, and when."""
    kept.release()
    check_fits(file, settings, n_ctx, available_bytes=memory_for(settings))
    library()  # redirects llama.cpp's log
    threads = settings.n_threads or default_threads()
    try:
        return _watched_llama()(
            model_path=str(file.path),
            n_ctx=n_ctx,
            n_batch=min(settings.n_batch, n_ctx),
            n_ubatch=min(settings.n_ubatch or 512, settings.n_batch, n_ctx),
            n_threads=threads,
            n_threads_batch=settings.n_threads_batch or threads,
            n_gpu_layers=effective_gpu_layers(settings.n_gpu_layers, file.n_layer),
            main_gpu=settings.main_gpu,
            tensor_split=list(settings.tensor_split) if settings.tensor_split else None,
            flash_attn=bool(settings.flash_attn) or settings.type_v not in ("f32", "f16", "bf16"),
            type_k=GGML_TYPES[settings.type_k],
            type_v=GGML_TYPES[settings.type_v],
            offload_kqv=settings.offload_kqv,
            use_mmap=settings.use_mmap,
            use_mlock=settings.use_mlock,
            rope_freq_base=settings.rope_freq_base or 0.0,
            rope_freq_scale=settings.rope_freq_scale or 0.0,
            verbose=False,
            **more,
        )
    except ValueError as error:
        raise ModelLoadError(f"{file.path}: llama_cpp.Llama could not load it: {error}") from error


def _watched_llama() -> type[Any]:
    from llama_cpp import Llama

    class WatchedLlama(Llama):  # type: ignore[misc]
        drawn: list[int]
        times: list[float]

        def watch(self, ticket: Ticket) -> None:
            self.drawn, self.times, self.ticket = [], [], ticket

        def sample(self, *args: Any, **options: Any) -> int:
            token = int(super().sample(*args, **options))
            self.drawn.append(token)
            self.times.append(time.perf_counter())
            return token

    return WatchedLlama


def _effective(llama: Any, settings: EngineSettings) -> EngineSettings:
    lib, context = library(), llama.ctx
    return settings.replace(
        n_ctx=int(lib.llama_n_ctx(context)),
        n_batch=int(lib.llama_n_batch(context)),
        n_ubatch=int(lib.llama_n_ubatch(context)),
        n_threads=int(lib.llama_n_threads(context)),
        n_threads_batch=int(lib.llama_n_threads_batch(context)),
        n_gpu_layers=int(llama.model_params.n_gpu_layers),
        flash_attn=llama.context_params.flash_attn_type != 0,
    )


def _options(s: Sampling, llama: Any) -> dict[str, Any]:
    """``create_completion``'s names for a :class:`Sampling`."""
    for name, off in _UNKNOWN_TO_LLAMA.items():
        if getattr(s, name) != off:
            raise InvalidSettings(f"llama_cpp.Llama has no {name}; leave it at {off:g}, or use engine='tuned'.")
    biases = dict(s.logit_bias)
    if s.ignore_eos:
        lib, vocab = library(), llama._model.vocab
        ends = (t for t in range(llama.n_vocab()) if lib.llama_vocab_is_eog(vocab, t))
        biases |= dict.fromkeys(ends, float("-inf"))
    return {
        "temperature": s.temperature,
        "top_k": s.top_k,
        "top_p": s.top_p,
        "min_p": s.min_p,
        "typical_p": s.typical_p,
        "repeat_penalty": s.repeat_penalty,
        "frequency_penalty": s.frequency_penalty,
        "presence_penalty": s.presence_penalty,
        "seed": s.seed,
        "logit_bias": biases or None,
    }


def _deliver(ticket: Ticket, chunks: Any) -> FinishReason:
    """Pass a stream on; returns why it ended."""
    reason: FinishReason = "length"
    for chunk in chunks:
        choice = chunk["choices"][0]
        ticket.emit(choice["text"], (), time.perf_counter())
        reason = choice["finish_reason"] or reason
    return reason


def _keep(ticket: Ticket, answer: Any) -> FinishReason:
    """Take a whole answer; returns why it ended. Its text is there all at once, so that is its first text."""
    choice = answer["choices"][0]
    ticket.emit(choice["text"], (), time.perf_counter())
    reason: FinishReason = choice["finish_reason"]
    return reason


def _score(file: ModelFile, settings: EngineSettings, before: list[int], tokens: list[int]) -> Scores:
    everything = before + tokens
    llama = _open(file, settings, len(everything) + 1, logits_all=True)
    try:
        llama.eval(everything)
        logits = llama.scores[: len(everything) - 1]
        rows = llama.logits_to_logprobs(logits)
        values = np.full(len(everything), np.nan, np.float32)
        values[1:] = rows[np.arange(len(everything) - 1), everything[1:]]
        return Scores(tuple(tokens), values[len(before) :])
    finally:
        llama.close()


def _shut(worker: _Worker, llama: Any, tickets: weakref.WeakSet[Ticket]) -> None:
    """Break off what runs, then free the model."""
    waiting = [ticket for ticket in list(tickets) if not ticket.ended]
    for ticket in waiting:
        ticket.cancel()
    worker.stop()
    for ticket in waiting:
        if not ticket.ended:
            ticket.end(StreamIncomplete(ticket.text, "the engine was closed."))
    llama.close()
