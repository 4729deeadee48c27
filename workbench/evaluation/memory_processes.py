"""A memory that is started anew, and one that is killed: each in a process of its own.

What a process has loaded makes the next start quicker than any real one, and what it holds survives nothing; so a
restart is measured in a fresh process, and a crash is ``kill -9`` of one (SIGKILL runs no handler and flushes no
buffer: POSIX.1-2017, signal concepts).
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from workbench.errors import StorageError
from workbench.evaluation.counting import CountingEmbedder
from workbench.evaluation.memory_bench import fill, talk
from workbench.interfaces import Memory, Message

_SESSION = "default"
_HELPERS_S = 10.0
"""How long a process that the killed one had started may take to notice."""


def open_memory(strategy: str, folder: Path | str | None, options: Mapping[str, Any]) -> Memory:
    """A registered memory on a folder."""
    from workbench.registry import memories

    return memories.create(strategy, folder=folder, **options)


def fill_folder(strategy: str, folder: Path | str, count: int, *, asked: str, **options: Any) -> None:
    """Leave a memory of ``count`` messages in a folder, one query asked, closed."""
    memory = open_memory(strategy, folder, options)
    try:
        fill(memory, talk(count))
        memory.recall(asked)
    finally:
        memory.close()


def restart(
    strategy: str, folder: Path | str, *, query: str, embedder: str | None, timeout_s: float = 600.0, **options: Any
) -> dict[str, Any]:
    """Open the memory in a fresh process, recall once, and count what was embedded for it.

    Args:
        strategy: a registered memory.
        folder: where it lies.
        query: what is asked.
        embedder: a registered name, given to the memory; ``None``: it takes none.
        timeout_s: after which the process is killed.
        options: further options of the memory.

    Returns:
        ``first_recall_s``: from making the memory to the first answer, everything loaded on the way included, the
        start of Python and ``import workbench`` not; ``open_s``: of it, making the memory; ``embedded``: passages
        embedded again; ``queries``: queries embedded; ``found``: messages recalled; ``count``: messages there.

    Raises:
        StorageError: the process failed; has the last line of its error.
    """
    job = {"strategy": strategy, "folder": str(folder), "query": query, "embedder": embedder, "options": options}
    return _child("restart", job, timeout_s)


def start_ms(folder: Path | str, *, eager: bool, messages: int = 10, timeout_s: float = 120.0, **options: Any) -> float:
    """Milliseconds from making an archive memory to the first recall of a short session, in a fresh process.

    Args:
        folder: a new one.
        eager: open Chroma when the memory is made, as a memory without a lazy start does.
        messages: said before the recall; fewer than the short-term buffer holds.
        timeout_s: after which the process is killed.
        options: of the memory.
    """
    job = {"folder": str(folder), "eager": eager, "messages": messages, "options": options}
    return float(_child("start", job, timeout_s)["start_ms"])


def kill_while_archiving(
    strategy: str, folder: Path | str, *, after_s: float, messages: int = 100_000, batch: int = 1, **options: Any
) -> dict[str, Any]:
    """Let a process add messages without end, kill it with SIGKILL, and look what is there.

    Args:
        strategy: a registered memory.
        folder: a new one.
        after_s: seconds from its first acknowledgement to its death.
        messages: at most.
        batch: messages added by one call.
        options: of the memory; they should make it archive often.

    Returns:
        ``acknowledged``: messages whose index the process had reported; ``missing``: of those, how many are not at
        their index afterwards; ``doubled``: messages that are there more than once, by the log or by a recall of
        everything; ``unfound``: acknowledged ones that a recall of everything does not bring; ``died``: whether the
        process was still at work when it was killed; ``orphans``: processes it had started that live on.
    """
    job = {"strategy": strategy, "folder": str(folder), "messages": messages, "batch": batch, "options": options}
    killed = _kill(job, after_s)
    memory = open_memory(strategy, folder, options)
    try:
        memory.flush()
        return {**killed, **_verified(memory, killed["acknowledged"])}
    finally:
        memory.close()


def kill_moments(count: int, *, seed: int = 0, longest_s: float = 1.0) -> list[float]:
    """Random moments of a crash, in seconds after the first acknowledgement."""
    draw = random.Random(f"kill {seed}")  # noqa: S311 - moments for a benchmark
    return [draw.uniform(0.0, longest_s) for _ in range(count)]


def text_of(number: int) -> str:
    """The message that a process that is going to be killed adds as number ``number``: no two alike."""
    return f"This is message number {number}: the keeper counted {number * 7919 % 10007} ledgers."


def _verified(memory: Memory, acknowledged: int) -> dict[str, int]:
    count = memory.count(_SESSION)
    found = [one for one in memory.recall("ledgers", session=_SESSION, k=max(count, 1)) if one.index is not None]
    places = {one.index: one.message.content for one in found}
    texts = [one.message.content for one in found]
    events = getattr(memory, "events", None)
    logged = [event.data["content"] for event in events(_SESSION) if event.kind == "message"] if events else texts
    wanted = [text_of(number) for number in range(acknowledged)]
    return {
        "missing": sum(logged[number : number + 1] != [text] for number, text in enumerate(wanted)),
        "doubled": len(logged) - len(set(logged)) + len(texts) - len(set(texts)),
        "unfound": sum(places.get(number) != text for number, text in enumerate(wanted)),
    }


def _kill(job: Mapping[str, Any], after_s: float) -> dict[str, Any]:
    """Messages acknowledged when it was killed, whether it was alive then, and how many of its own it left behind."""
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as errors:
        told.write(json.dumps({"task": "add", **job}).encode())
        told.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-m", "workbench.evaluation.memory_processes"],
            stdin=told,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        seen = _Acknowledged(process)
        while not seen.first.wait(0.1):
            if process.poll() is not None:
                errors.seek(0)
                raise StorageError(f"The process to be killed failed before it began: {_said(errors.read())}")
        time.sleep(after_s)
        died = process.poll() is None
        helpers = psutil.Process(process.pid).children(recursive=True) if died else []
        process.kill()  # SIGKILL
        process.wait()
        left = psutil.wait_procs(helpers, timeout=_HELPERS_S)[1]
        return {"acknowledged": seen.last(), "died": died, "orphans": sum(map(_lives, left))}


def _lives(process: psutil.Process) -> bool:
    """Whether it still runs: one that has ended stays in the table until whoever adopted it asks how."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


class _Acknowledged:
    """Reads what a process acknowledges, a number a line, while it runs.

    Attributes:
        first: set once there was one.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process, self._seen = process, 0
        self.first = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="acknowledged", daemon=True)
        self._thread.start()

    def last(self) -> int:
        """The last number, once the process is over."""
        self._thread.join()
        return self._seen

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            if line.endswith(b"\n"):  # half a line is no acknowledgement
                self._seen = int(line)
                self.first.set()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _child(task: str, job: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "workbench.evaluation.memory_processes"],
            input=json.dumps({"task": task, **job}).encode(),
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StorageError(f"{task} of {dict(job)} took more than {timeout_s:g} s.") from error
    if done.returncode:
        raise StorageError(f"{task} of {dict(job)} failed with {done.returncode}: {_said(done.stderr)}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _said(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


# -- in the other process ---------------------------------------------------------------------------------------------


def _restart(job: Mapping[str, Any]) -> dict[str, Any]:
    from workbench.registry import embedders

    started = time.perf_counter()
    counting = None if job["embedder"] is None else CountingEmbedder(embedders.create(job["embedder"]))
    given = {} if counting is None else {"embedder": counting}
    memory = open_memory(job["strategy"], job["folder"], {**job["options"], **given})
    opened = time.perf_counter()
    found = memory.recall(job["query"])
    answered = time.perf_counter()
    count = memory.count()
    memory.close()
    return {
        "first_recall_s": answered - started,
        "open_s": opened - started,
        "embedded": 0 if counting is None else counting.passages,
        "queries": 0 if counting is None else counting.queries,
        "found": len(found),
        "count": count,
    }


def _start(job: Mapping[str, Any]) -> dict[str, Any]:
    said = talk(job["messages"])
    started = time.perf_counter()
    memory = open_memory("archive", job["folder"], job["options"])
    if job["eager"]:
        _open_chroma(Path(job["folder"]) / "eager")
    memory.add_many(said.messages, at=said.times)
    memory.recall(said.messages[0].content)
    taken = 1e3 * (time.perf_counter() - started)
    memory.close()
    return {"start_ms": taken}


def _open_chroma(folder: Path) -> None:
    import numpy as np

    from workbench.memory.chroma import ChromaStore

    store = ChromaStore(folder, sessions=lambda: ["eager"])
    store.write("eager", "any", 0, np.ones((1, 8), np.float32))
    atexit.register(store.close)


def _add(job: Mapping[str, Any]) -> None:
    """Add and acknowledge until killed."""
    memory = open_memory(job["strategy"], job["folder"], job["options"])
    for first in range(0, job["messages"], job["batch"]):
        part = [Message.user(text_of(first + number)) for number in range(job["batch"])]
        stop = memory.add_many(part, session=_SESSION).stop
        os.write(1, b"%d\n" % stop)  # past all buffers: what is read here was acknowledged
    time.sleep(60.0)


def _main() -> None:
    job = json.load(sys.stdin)
    if job["task"] == "add":
        _add(job)
    else:
        print(json.dumps(_TASKS[job["task"]](job)))  # noqa: T201 - the answer to the parent


_TASKS = {"restart": _restart, "start": _start}

if __name__ == "__main__":
    _main()
