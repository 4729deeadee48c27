"""What is measured of an engine: one function a measure, numbers out.

Every function takes an engine that is ready and a few sizes; greedy decoding, so that engines write the same. The first
request of a process pays for things no later one pays for (page faults, threads, a context), so one is thrown away
first. Times are the engine's :class:`workbench.interfaces.Timings` and the wall clock around the calls.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from workbench.errors import EngineError
from workbench.evaluation import workloads
from workbench.interfaces import Completion, Engine

Result = dict[str, Any]
_GREEDY: Mapping[str, Any] = {"temperature": 0.0, "ignore_eos": True}
_RELEASE_DEADLINE_S = 60.0


def warm_up(engine: Engine) -> None:
    """The request that is thrown away."""
    engine.complete(engine.tokenize("Warm up, please."), max_tokens=4, cache_prompt=False, **_GREEDY)


def read_stream(engine: Engine, prompt: list[int], **options: Any) -> Completion:
    """A completion read chunk by chunk, as a chat does."""
    stream = engine.stream(prompt, **_GREEDY, **options)
    for _ in stream:
        pass
    return stream.completion


def agents(
    engine: Engine, *, n_agents: int = 4, turns: int = 5, system_tokens: int = 480, output_tokens: int = 16
) -> Result:
    """Agents with system prompts of their own take turns; each turn goes on from all before it of that agent.

    Returns:
        ``total_s`` of all turns; ``ttft_p50_ms``, ``ttft_ms`` of each; ``cached_tokens`` and ``prompt_tokens`` in all;
        ``texts``, what was answered.
    """
    histories = [workloads.agent_system(engine.tokenize, agent, system_tokens) for agent in range(n_agents)]
    tasks = [
        [workloads.agent_task(engine.tokenize, agent, number) for number in range(turns)] for agent in range(n_agents)
    ]
    warm_up(engine)
    answers, started = [], time.perf_counter()
    for number in range(turns):
        for agent, history in enumerate(histories):
            history += tasks[agent][number]
            answers.append(read_stream(engine, list(history), max_tokens=output_tokens))
            history += answers[-1].tokens
    total_s = time.perf_counter() - started
    ttft = [_ttft(answer) for answer in answers]
    return {"total_s": total_s, "ttft_p50_ms": statistics.median(ttft), "ttft_ms": ttft, **_summed(answers)}


def throughput(engine: Engine, *, requests: int = 16, prompt_tokens: int = 48, output_tokens: int = 64) -> Result:
    """Distinct requests handed over together; as many run at once as the engine has sequences.

    Returns:
        ``total_s``; ``output_tps``: tokens of all answers per second of it.
    """
    prompts = workloads.distinct_prompts(engine.tokenize, requests, prompt_tokens)
    warm_up(engine)
    started = time.perf_counter()
    answers = engine.complete_many(prompts, max_tokens=output_tokens, **_GREEDY)
    total_s = time.perf_counter() - started
    written = sum(answer.timings.output_tokens for answer in answers)
    return {"total_s": total_s, "output_tps": written / total_s, **_summed(answers)}


def stream(engine: Engine, *, prompt_tokens: int = 32, output_tokens: int = 1500) -> Result:
    """One long answer.

    Returns:
        ``output_tps``: tokens per second from request to end; ``decode_tps``; ``ttft_ms``.
    """
    prompt = workloads.text_tokens(engine.tokenize, prompt_tokens, seed="stream")
    warm_up(engine)
    timings = read_stream(engine, prompt, max_tokens=output_tokens, cache_prompt=False).timings
    return {
        "output_tps": 1e3 * timings.output_tokens / timings.total_ms,
        "decode_tps": timings.decode_tps,
        "ttft_ms": timings.ttft_ms,
        "output_tokens": timings.output_tokens,
    }


def prefill(engine: Engine, *, prompt_tokens: int = 512, output_tokens: int = 64) -> Result:
    """A prompt nobody has seen and a short answer.

    Returns:
        ``prefill_tps`` and ``decode_tps`` as the engine's timings have them.
    """
    prompt = workloads.text_tokens(engine.tokenize, prompt_tokens, seed="prefill")
    warm_up(engine)
    timings = read_stream(engine, prompt, max_tokens=output_tokens, cache_prompt=False).timings
    return {"prefill_tps": timings.prefill_tps, "decode_tps": timings.decode_tps, "ttft_ms": timings.ttft_ms}


def idle_return(engine: Engine, *, history_tokens: int = 2000, output_tokens: int = 16, returns: int = 3) -> Result:
    """A conversation that goes on after the engine has given its context back, against one that begins.

    The engine needs ``idle_release_s``. A prompt of the same length that nobody has seen is computed right after, with
    the context there.

    Returns:
        ``return_ttft_ms`` and ``fresh_ttft_ms``, medians over ``returns``; ``restored_tokens``: of the last return.
    """
    history = workloads.text_tokens(engine.tokenize, history_tokens, seed="history")
    warm_up(engine)
    history += read_stream(engine, list(history), max_tokens=output_tokens).tokens
    back, fresh, restored = [], [], 0
    for number in range(returns):
        _await_release(engine)
        history += workloads.agent_task(engine.tokenize, 0, number)
        answer = read_stream(engine, list(history), max_tokens=output_tokens)
        back.append(_ttft(answer))
        restored = answer.timings.cached_tokens
        other = workloads.text_tokens(engine.tokenize, len(history), seed=f"fresh {number}")
        history += answer.tokens
        fresh.append(_ttft(read_stream(engine, other, max_tokens=2, cache_prompt=False)))
    return {
        "return_ttft_ms": statistics.median(back),
        "fresh_ttft_ms": statistics.median(fresh),
        "restored_tokens": restored,
        "released": engine.stats.released,
    }


def growing_chat(engine: Engine, *, ends: tuple[int, ...] = (2048, 4096), output_tokens: int = 64) -> Result:
    """A chat whose answers cross the given lengths in their middle.

    Returns:
        ``texts`` of the answers; ``gap_ms``: longest gap between two tokens of a crossing answer less its median gap;
        ``grow_ms``, ``grown`` and ``n_ctx`` as the engine reports them at the end.
    """
    history = workloads.text_tokens(engine.tokenize, ends[0] // 2, seed="growth")
    warm_up(engine)
    answers, gaps = [], []
    for number, end in enumerate(ends):
        missing = end - output_tokens // 2 - len(history)
        history += workloads.text_tokens(engine.tokenize, missing, seed=f"growth {number}")
        answers.append(read_stream(engine, list(history), max_tokens=output_tokens))
        history += answers[-1].tokens
        itl = answers[-1].timings.itl_ms
        gaps.append(max(itl) - statistics.median(itl))
    stats = engine.stats
    return {
        "gap_ms": max(gaps),
        "grow_ms": stats.grow_ms,
        "grown": stats.grown,
        "n_ctx": stats.n_ctx,
        **_summed(answers),
    }


def lookup_pair(plain: Engine, guessing: Engine, prompts: list[tuple[str, int]]) -> Result:
    """The same prompts with and without speculation, in turn, the order alternating.

    Args:
        plain: without speculation.
        guessing: with it.
        prompts: text and the number of tokens to write.

    Returns:
        ``plain_tps`` and ``guessing_tps``: tokens after the first of each answer per second of decoding, over all
        prompts; ``identical``: share of equal answers; ``acceptance``: share of right guesses (``None``: no guess).
    """
    for engine in (plain, guessing):
        warm_up(engine)
    seen: dict[str, list[Completion]] = {"plain": [], "guessing": []}
    for number, (text, output_tokens) in enumerate(prompts):
        pair = [("plain", plain), ("guessing", guessing)]
        for name, engine in pair if number % 2 else reversed(pair):
            prompt = engine.tokenize(text, add_special=True)
            seen[name].append(read_stream(engine, prompt, max_tokens=output_tokens, cache_prompt=False))
    same = [one.tokens == other.tokens for one, other in zip(seen["plain"], seen["guessing"], strict=True)]
    stats = guessing.stats
    return {
        "plain_tps": _decode_tps(seen["plain"]),
        "guessing_tps": _decode_tps(seen["guessing"]),
        "identical": sum(same) / len(same),
        "acceptance": stats.accepted_tokens / stats.drafted_tokens if stats.drafted_tokens else None,
        "receipts": [answer.receipt.speculation for answer in seen["guessing"] if answer.receipt],
    }


def host_overhead(engine: Engine, *, sequences: int = 16, prompt_tokens: int = 16, output_tokens: int = 256) -> Result:
    """Time a step takes outside llama.cpp while many sequences run.

    Returns:
        ``host_us`` a step; ``compute_us`` a step inside llama.cpp; ``steps``.
    """
    prompts = workloads.distinct_prompts(engine.tokenize, sequences, prompt_tokens)
    warm_up(engine)
    engine.complete_many(prompts, max_tokens=8, cache_prompt=False, **_GREEDY)
    before = engine.stats
    engine.complete_many(prompts, max_tokens=output_tokens, cache_prompt=False, **_GREEDY)
    after = engine.stats
    steps = after.steps - before.steps
    return {
        "host_us": 1e3 * (after.host_ms - before.host_ms) / steps,
        "compute_us": 1e3 * (after.compute_ms - before.compute_ms) / steps,
        "steps": steps,
    }


MEASURES: Mapping[str, Callable[..., Result]] = {
    "agents": agents,
    "throughput": throughput,
    "stream": stream,
    "prefill": prefill,
    "idle_return": idle_return,
    "growing_chat": growing_chat,
    "host_overhead": host_overhead,
}
"""Measures of a single engine by name, for a process of their own (:mod:`workbench.evaluation.contest`)."""


def _ttft(answer: Completion) -> float:
    """Time to the first text, or to the end of an answer that had none."""
    return answer.timings.total_ms if answer.timings.ttft_ms is None else answer.timings.ttft_ms


def _decode_tps(answers: list[Completion]) -> float | None:
    steps = sum(answer.timings.output_tokens - 1 for answer in answers)
    decode_ms = sum(answer.timings.decode_ms for answer in answers)
    return 1e3 * steps / decode_ms if decode_ms > 0 else None


def _summed(answers: list[Completion]) -> Result:
    return {
        "prompt_tokens": sum(answer.timings.prompt_tokens for answer in answers),
        "cached_tokens": sum(answer.timings.cached_tokens for answer in answers),
        "output_tokens": sum(answer.timings.output_tokens for answer in answers),
        "texts": [answer.text for answer in answers],
    }


def _await_release(engine: Engine) -> None:
    """Return when the context has been given back once more."""
    before, give_up = engine.stats.released, time.monotonic() + _RELEASE_DEADLINE_S
    while engine.stats.released == before:
        if time.monotonic() > give_up:
            raise EngineError(f"The engine kept its context for {_RELEASE_DEADLINE_S:g} s. Set idle_release_s.")
        time.sleep(0.02)
