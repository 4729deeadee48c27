"""What a memory costs while it is used: adding, recalling, keeping many sessions apart.

Works on any :class:`workbench.interfaces.Memory`; makes its own conversations, the same for the same seed. What needs a
process of its own (a restart, a crash) is in :mod:`.memory_processes`, comparisons in :mod:`.memory_claims`.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil

from workbench.errors import InvalidSettings
from workbench.evaluation.workloads import prose
from workbench.interfaces import Memory, Message

GAP_S = 20.0
"""Seconds between two messages of a made-up conversation; every fiftieth begins a new sitting."""
_SITTING, _BREAK_S = 50, 86_400.0
_WATCH = 20  # steps between two counts of open handles, which take longer than a step


@dataclass(frozen=True, slots=True)
class Talk:
    """A made-up conversation: messages, and when each was said."""

    messages: list[Message]
    times: list[float]


def talk(count: int, *, seed: int | str = 0) -> Talk:
    """A conversation of two, no two messages alike: one to three sentences each, a break after every fifty."""
    draw, sentences = random.Random(f"talk {seed}"), prose(f"talk {seed}")  # noqa: S311 - text for a benchmark
    messages, times, now = [], [], 1.7e9
    for number in range(count):
        text = f"{''.join(itertools.islice(sentences, draw.randint(1, 3)))}Note {number}."
        messages.append(Message("assistant" if number % 2 else "user", text))
        times.append(now)
        now += GAP_S if (number + 1) % _SITTING else _BREAK_S
    return Talk(messages, times)


def questions(count: int, *, seed: int | str = 0) -> list[str]:
    """Queries about what such conversations are about, no two alike."""
    sentences = prose(f"questions {seed}")
    return [f"{next(sentences).rstrip(' .')}, in note {number}?" for number in range(count)]


def add_times(memory: Memory, said: Talk, *, session: str = "default", pause_s: float = 0.0) -> list[float]:
    """Milliseconds that each :meth:`Memory.add` took, one message at a time.

    Args:
        memory: what they are added to.
        said: the messages.
        session: to which session.
        pause_s: between two, as somebody who types leaves; 0: as fast as it goes, so that background work always runs
            beside.
    """
    taken = []
    for message, at in zip(said.messages, said.times, strict=True):
        started = time.perf_counter()
        memory.add(message, session=session, at=at)
        taken.append(1e3 * (time.perf_counter() - started))
        if pause_s:
            time.sleep(pause_s)
    return taken


def fill(memory: Memory, said: Talk, *, session: str = "default", batch: int = 1000) -> None:
    """Add a conversation in batches, and wait for what the memory makes of it."""
    for first in range(0, len(said.messages), batch):
        part = slice(first, first + batch)
        memory.add_many(said.messages[part], session=session, at=said.times[part])
    memory.flush()


def recall_times(
    memory: Memory, queries: Sequence[str], *, session: str = "default", k: int = 10
) -> dict[str, list[float]]:
    """Milliseconds that each recall took: of a query never asked before, and of the same query again.

    The second has its vector in the memory's cache, so it is a recall without the embedding.

    Args:
        memory: with the session in it, warm: the first recall of all is not representative.
        queries: no two alike.
        session: which session.
        k: messages recalled.

    Returns:
        ``new_ms`` and ``known_ms``, one each a query.
    """
    taken: dict[str, list[float]] = {"new_ms": [], "known_ms": []}
    for query in queries:
        for times in taken.values():
            started = time.perf_counter()
            memory.recall(query, session=session, k=k)
            times.append(1e3 * (time.perf_counter() - started))
    return taken


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p99 and the largest, by linear interpolation (numpy's default, Hyndman and Fan 1996, type 7).

    Raises:
        InvalidSettings: there are no values.
    """
    if not values:
        raise InvalidSettings("Percentiles of nothing: measure at least once.")
    p50, p99 = np.percentile(values, [50, 99])
    return {"p50": float(p50), "p99": float(p99), "max": float(max(values))}


def interleave(
    memory: Memory, *, sessions: int = 200, messages: int = 30, recalls: int = 5, k: int = 10, seed: int = 0
) -> dict[str, Any]:
    """Talk in many sessions at once, in random order, and look whether anything of one turns up in another.

    Every message bears the mark of its session, the texts are otherwise the same in all of them, and so are the
    queries: a memory that mixed anything up could not but show it.

    Args:
        memory: a new one.
        sessions: how many.
        messages: said in each.
        recalls: asked in each, at random moments and once all has been said.
        k: messages recalled.
        seed: of the order.

    Returns:
        ``isolated``: share of recalled messages that are of the session asked, ``recalled``: how many there were,
        ``complete``: share of sessions that count what was said in them, ``handles``: most file handles open above
        those at the beginning, those of processes the memory has started included.
    """
    draw, before = random.Random(f"interleave {seed}"), _handles()  # noqa: S311 - an order for a benchmark
    said, asked = talk(messages, seed=seed), questions(recalls, seed=seed)
    steps = [(name, turn) for name in range(sessions) for turn in range(messages + recalls)]
    draw.shuffle(steps)
    done: dict[int, list[int]] = {name: [] for name in range(sessions)}
    right = wrong = most = 0
    for number, (name, turn) in enumerate(steps):
        session = _session_name(name)
        if turn < messages:
            place = len(done[name])
            content = f"{said.messages[place].content} Mark {name}."
            memory.add(Message(said.messages[place].role, content), session=session, at=said.times[place])
            done[name].append(turn)
        else:
            good, bad = _look(memory, asked[turn - messages], name, k)
            right, wrong = right + good, wrong + bad
        if number % _WATCH == 0:
            most = max(most, _handles() - before)
    memory.flush()
    for name in range(sessions):
        good, bad = _look(memory, asked[0] if asked else "", name, k)
        right, wrong = right + good, wrong + bad
        if name % _WATCH == 0:
            most = max(most, _handles() - before)
    whole = sum(memory.count(_session_name(name)) == messages for name in range(sessions))
    return {
        "isolated": right / (right + wrong) if right + wrong else None,
        "recalled": right + wrong,
        "complete": whole / sessions,
        "handles": most,
    }


def _session_name(number: int) -> str:
    # names that differ in case, spelling and separators only: what a careless file name would throw together
    return ("chat {}", "CHAT {}", "chat/{}", "chät {}", "cha\u0308t {}")[number % 5].format(number // 5)


def _look(memory: Memory, query: str, number: int, k: int) -> tuple[int, int]:
    """How many recalled messages are of the session asked, and how many are not."""
    found = [one for one in memory.recall(query, session=_session_name(number), k=k) if one.index is not None]
    right = sum(one.message.content.endswith(f" Mark {number}.") for one in found)
    return right, len(found) - right


def _handles() -> int:
    """File handles of this process and of those it has started."""
    this = psutil.Process()
    return sum(_handles_of(process) for process in (this, *this.children(recursive=True)))


def _handles_of(process: psutil.Process) -> int:
    try:
        handles: int = process.num_fds() if psutil.POSIX else process.num_handles()
    except psutil.Error:  # it has ended meanwhile
        return 0
    return handles
