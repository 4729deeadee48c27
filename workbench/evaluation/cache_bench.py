"""What response caches are worth: workloads in which questions come again, and what became of every one.

Knows engines and caches by their protocols. Workloads are made here, the same for the same seed.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.caching import CachedEngine, ExactCache
from workbench.errors import InvalidSettings, UnknownName
from workbench.evaluation.datasets.question_pairs import QuestionPair, own_question_pairs
from workbench.evaluation.workloads import FREE_PROMPTS, prose
from workbench.interfaces import Cache, Completion, Engine, Message

WORKLOADS = ("repeated", "paraphrased", "agents", "free chat")

_SYSTEM = "Answer in one short sentence."
_CHATS = len(FREE_PROMPTS)


@dataclass(frozen=True, slots=True)
class Asking:
    """One request of a workload.

    Attributes:
        messages: the conversation so far.
        meaning: requests with the same one may have the same answer.
    """

    messages: tuple[Message, ...]
    meaning: str


def cache_workload(name: str, *, count: int = 40, seed: int = 0) -> list[Asking]:
    """Requests to put to an engine one after another.

    Args:
        name: "repeated": few questions, each again and again; "paraphrased": pairs that ask for the same in other
            words, among pairs that only sound alike; "agents": several with a long prompt of their own and a few
            standing tasks; "free chat": a few conversations that take turns, each prompt the one before in its chat and
            what was said since; no question twice.
        count: requests.
        seed: of the draws.

    Raises:
        UnknownName: there is no such workload.
    """
    if name not in WORKLOADS:
        raise UnknownName("workload", name, WORKLOADS)
    draw = random.Random(f"{name} {seed}")  # noqa: S311 - a benchmark
    if name == "repeated":
        questions = [one for one, _, same in own_question_pairs() if same][: max(1, count // 20)]
        return _shuffled([_single(one) for _ in range(count // len(questions)) for one in questions], draw)
    if name == "paraphrased":
        return _paraphrased(own_question_pairs(), count, draw)
    return _agents(count, draw, seed) if name == "agents" else _chats(count, seed)


def run_cached(
    engine: Engine, caches: Sequence[Cache], asked: Sequence[Asking], *, max_tokens: int = 24
) -> dict[str, Any]:
    """Put a workload to an engine behind caches, one request after another.

    Args:
        engine: who answers what no cache knows; not closed.
        caches: none: the engine alone, the baseline.
        asked: the workload.
        max_tokens: of each answer.

    Returns:
        ``hit_rate``; ``hit_ms_p50`` and ``hit_ms_p99``: whole time of a hit; ``ttft_ms_p50`` of all; ``total_s``;
        ``output_tokens``: handed out, computed or not; ``false_hits``: hits whose question had another meaning than the
        one they were kept under; ``right_hit_rate``: (hits - false hits) / requests; ``right_share``:
        1 - false hits / requests, the requests that did not get another question's answer; ``prefix_share``: prompt
        tokens that needed no prefill, among those computed requests. ``None``: there was nothing to take it of.

    Raises:
        InvalidSettings: nothing is asked.
    """
    if not asked:
        raise InvalidSettings("There is nothing to ask: give requests, as cache_workload() makes them.")
    front = CachedEngine(engine, caches)
    hits_ms, ttft_ms, false_hits, output, cached, prompts = list[float](), list[float](), 0, 0, 0, 0
    meanings: dict[str, set[str]] = {}
    began = time.perf_counter()
    for one in asked:
        started = time.perf_counter()
        answer = front.complete(one.messages, max_tokens=max_tokens, temperature=0.0)
        took_ms = 1e3 * (time.perf_counter() - started)
        output += answer.timings.output_tokens
        ttft_ms.append(answer.timings.ttft_ms or took_ms)
        known = meanings.setdefault(answer.text, set())
        if _from_cache(answer):
            hits_ms.append(took_ms)
            false_hits += one.meaning not in known
        else:
            known.add(one.meaning)
            cached, prompts = cached + answer.timings.cached_tokens, prompts + answer.timings.prompt_tokens
    return {
        "hit_rate": len(hits_ms) / len(asked),
        "hit_ms_p50": statistics.median(hits_ms) if hits_ms else None,
        "hit_ms_p99": float(np.percentile(hits_ms, 99)) if hits_ms else None,
        "ttft_ms_p50": statistics.median(ttft_ms),
        "total_s": time.perf_counter() - began,
        "output_tokens": output,
        "false_hits": false_hits,
        "right_hit_rate": (len(hits_ms) - false_hits) / len(asked),
        "right_share": 1 - false_hits / len(asked),
        "prefix_share": cached / prompts if prompts else None,
    }


def repeated_prompts(
    engine: Engine, path: Path, *, prompts: int = 10, repeats: int = 20, max_tokens: int = 24, seed: int = 0
) -> dict[str, Any]:
    """Ask each of some prompts again and again, behind an exact cache that is opened anew in the middle.

    Args:
        engine: who answers the first time; not closed.
        path: of the cache's file.
        prompts: different ones.
        repeats: how often each is asked.
        max_tokens: of each answer.
        seed: of the order.

    Returns:
        ``hit_rate``; ``hit_ms_p50``, ``hit_ms_p99`` and ``miss_ms_p50``: from request to completion; ``identical``:
        share of the hits that are the computed answer to the token.

    Raises:
        InvalidSettings: nothing is asked twice.
    """
    if prompts < 1 or repeats < 2:
        raise InvalidSettings(f"Give at least 1 prompt and 2 repeats, not {prompts!r} and {repeats!r}.")
    draw = random.Random(f"repeated {seed}")  # noqa: S311 - a benchmark
    different = [_single(sentence).messages for sentence in _sentences(f"{seed} repeated", prompts)]
    order = [prompt for prompt in different for _ in range(repeats)]
    draw.shuffle(order)
    computed: dict[tuple[Message, ...], Completion] = {}
    hits_ms, misses_ms, identical = list[float](), list[float](), 0
    for half in (order[: len(order) // 2], order[len(order) // 2 :]):
        cache = ExactCache(path)
        front = CachedEngine(engine, [cache])
        front.complete("Warm up.", max_tokens=1, temperature=0.0)  # finds out which model it is, once
        for messages in half:
            started = time.perf_counter()
            answer = front.complete(messages, max_tokens=max_tokens, temperature=0.0)
            took_ms = 1e3 * (time.perf_counter() - started)
            if _from_cache(answer):
                hits_ms.append(took_ms)
                first = computed[messages]
                identical += (answer.text, answer.tokens) == (first.text, first.tokens)
            else:
                misses_ms.append(took_ms)
                computed[messages] = answer
        cache.close()
    return {
        "hit_rate": len(hits_ms) / len(order),
        "hit_ms_p50": float(np.percentile(hits_ms, 50)),
        "hit_ms_p99": float(np.percentile(hits_ms, 99)),
        "miss_ms_p50": float(np.percentile(misses_ms, 50)),
        "identical": identical / len(hits_ms),
    }


def _from_cache(answer: Completion) -> bool:
    return answer.receipt is not None and answer.receipt.tier.startswith("response-")


def _single(question: str, meaning: str | None = None) -> Asking:
    return Asking((Message.system(_SYSTEM), Message.user(question)), meaning or question)


def _shuffled(asked: list[Asking], draw: random.Random) -> list[Asking]:
    draw.shuffle(asked)
    return asked


def _paraphrased(pairs: Sequence[QuestionPair], count: int, draw: random.Random) -> list[Asking]:
    asked = []
    for one, other, same in draw.sample(pairs, len(pairs))[: max(1, count // 2)]:
        asked += [_single(one, one), _single(other, one if same else other)]
    return asked


def _agents(count: int, draw: random.Random, seed: int) -> list[Asking]:
    notes = [f"You are agent {agent}. {' '.join(_sentences(f'{seed} agent {agent}', 12))}" for agent in range(3)]
    tasks = ["Report your status.", "Which tool do you need next?", "Is there anything to hand over?"]
    tasks += _sentences(f"{seed} task", max(1, count // 2))
    return [
        Asking((Message.system(note), Message.user(task)), f"{note} {task}")
        for note, task in ((draw.choice(notes), draw.choice(tasks)) for _ in range(count))
    ]


def _chats(count: int, seed: int) -> list[Asking]:
    """Some conversations by turns; what the assistant has said in them is given, so that nothing depends on a model."""
    chats: list[list[Message]] = [[Message.system(_SYSTEM)] for _ in range(min(_CHATS, count))]
    sentences = iter(_sentences(f"{seed} chat", 2 * count))
    asked = []
    for number in range(count):
        chat = chats[number % len(chats)]
        opening = f"{FREE_PROMPTS[number]} … " if number < len(chats) else ""
        chat.append(Message.user(f"{opening}{next(sentences)}"))
        asked.append(Asking(tuple(chat), f"chat {number}"))
        chat.append(Message.assistant(next(sentences)))
    return asked


def _sentences(seed: str, count: int) -> list[str]:
    drawn = prose(seed)
    return [next(drawn).strip() for _ in range(count)]
