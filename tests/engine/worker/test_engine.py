"""What is the process engine's own: what crosses the pipe, what does not block, what nonsense on the pipe does."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.engine import ProcessEngine
from workbench.engine.worker import protocol
from workbench.engine.worker.process import WorkerProcess
from workbench.engine.worker.remote_ticket import RemoteTicket
from workbench.engine.worker.supervisor import Supervisor
from workbench.errors import (
    ContextOverflow,
    EngineClosed,
    GpuUnavailable,
    InvalidSettings,
    ModelFileError,
    NoChatTemplate,
    OutOfMemory,
    QueueFull,
    WorkerDied,
)
from workbench.interfaces import Message
from workbench.settings import EngineSettings
from workbench.testing.tiny_gguf import make_tiny_gguf

GREEDY = {"temperature": 0.0, "ignore_eos": True, "logit_bias": {0: -1.0}}


def test_it_answers_as_the_engine_in_this_process(worker: ProcessEngine, tiny: Path) -> None:
    with wb.load(tiny, n_ctx=8192, n_threads=1) as here:
        for options in ({**GREEDY}, {"temperature": 1.0, "seed": 3, "cache_prompt": False}):
            one, two = (engine.complete("abc", max_tokens=50, **options) for engine in (here, worker))
            assert (one.text, one.tokens, one.finish_reason) == (two.text, two.tokens, two.finish_reason)
        assert here.settings == worker.settings
        assert worker.pid != os.getpid()


def test_a_running_request_blocks_nobody(worker: ProcessEngine) -> None:
    stream = worker.stream("abc", max_tokens=7000, **GREEDY)
    next(stream)
    started = time.perf_counter()
    assert worker.stats.state == "busy"
    assert worker.settings.n_ctx == 8192
    assert worker.count_tokens("hello")
    assert worker.detokenize(worker.tokenize("hello")) == "hello"
    assert time.perf_counter() - started < 2
    stream.cancel()
    list(stream)
    assert stream.completion.finish_reason == "cancelled"


def test_a_step_of_several_sequences_is_one_message(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[int] = []
    feel = WorkerProcess._feel

    def spy(self: WorkerProcess, message: protocol.Message) -> None:
        if "chunks" in message:
            pieces.append(len(message["chunks"]))
        feel(self, message)

    monkeypatch.setattr(WorkerProcess, "_feel", spy)
    with ProcessEngine(tiny, EngineSettings(n_ctx=4096, n_seq_max=8, n_threads=1)) as engine:
        engine.complete_many(["abc"] * 8, max_tokens=100, **GREEDY)
        steps = engine.stats.steps
    assert sum(pieces) >= 8 * 100
    assert len(pieces) < 1.5 * steps, "about one message a step, not one a token"


@pytest.mark.parametrize(
    ("prompt", "options"),
    [([10**6], {}), ([-1], {}), ("a" * 9000, {})],
)
def test_a_bad_request_is_refused_and_a_running_stream_goes_on(
    worker: ProcessEngine, prompt: Any, options: Any
) -> None:
    stream = worker.stream("abc", max_tokens=200, **GREEDY)
    next(stream)
    with pytest.raises((InvalidSettings, ContextOverflow)):
        worker.complete(prompt, max_tokens=2, **options)
    for _ in stream:
        pass
    assert len(stream.completion.tokens) == 200


def test_errors_of_loading_keep_their_data(tiny: Path) -> None:
    with pytest.raises(OutOfMemory) as caught:
        ProcessEngine(tiny, EngineSettings(n_ctx=10**9))
    assert caught.value.need_bytes > caught.value.have_bytes > 0


def test_warnings_of_the_child_are_issued_here(tmp_path: Path) -> None:
    bare = make_tiny_gguf(tmp_path / "bare.gguf", chat_template=None, name="bare")
    with pytest.warns(GpuUnavailable, match="runs on the CPU"):
        engine = ProcessEngine(bare, EngineSettings(n_gpu_layers=-1, n_threads=1))
    with engine:
        assert engine.settings.n_gpu_layers == 0
        with pytest.warns(NoChatTemplate, match="bare brings no chat template"):
            assert engine.complete([Message.user("hi")], max_tokens=1).tokens


@pytest.mark.parametrize("name", ["memory_limit_bytes", "hang_after_s", "load_deadline_s"])
@pytest.mark.parametrize("value", [0, -1, True, "much"])
def test_limits_out_of_range_are_refused(tiny: Path, name: str, value: Any) -> None:
    with pytest.raises(InvalidSettings, match=name):
        ProcessEngine(tiny, **{name: value})


def test_load_knows_isolation(tiny: Path) -> None:
    with wb.load(tiny, isolation="process", n_threads=1, memory_limit_bytes=1 << 30) as engine:
        assert isinstance(engine, ProcessEngine)
        assert engine.settings.n_threads == 1
    with pytest.raises(InvalidSettings, match="isolation must be"):
        wb.load(tiny, isolation="thread")
    with pytest.raises(InvalidSettings, match='is for engine="tuned"'):
        wb.load(tiny, isolation="process", engine="baseline")
    with pytest.raises(InvalidSettings, match="needs a process"):
        wb.load(tiny, memory_limit_bytes=1 << 30)


def test_a_load_that_takes_too_long_is_ended(tiny: Path) -> None:
    with pytest.raises(WorkerDied, match="was not loaded after") as caught:
        ProcessEngine(tiny, load_deadline_s=0.02)
    assert (caught.value.exitcode, caught.value.signal) == (None, None)


@pytest.mark.parametrize("line", [b"\xff\x00\n", b"[1]\n", b'{"op": "submit"}\n'])
def test_nonsense_from_the_parent_ends_the_child_with_words(worker: ProcessEngine, line: bytes) -> None:
    stream = worker.stream("abc", max_tokens=7000, **GREEDY)
    text = next(stream).text
    process = worker._supervisor._worker
    assert process is not None
    process._outbox.put(line)
    with pytest.raises(WorkerDied) as caught:
        list(stream)
    assert caught.value.exitcode == 3
    assert "not a message" in caught.value.hint
    assert caught.value.partial.startswith(text)


NONSENSE = [{"chunks": [[1]]}, {"beat": [1]}, {"settings": {"n_contex": 1}}]


@pytest.mark.parametrize("message", NONSENSE, ids=lambda message: next(iter(message)))
def test_nonsense_from_the_child_ends_it_with_words(
    worker: ProcessEngine, message: protocol.Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = worker.stream("abc", max_tokens=7000, **GREEDY)
    next(stream)
    read, nonsense = protocol.json.loads, [message]
    with monkeypatch.context() as patch:
        patch.setattr(protocol.json, "loads", lambda line: nonsense.pop() if nonsense else read(line))
        with pytest.raises(WorkerDied, match="no message"):
            list(stream)
    assert worker.complete("abc", max_tokens=1).tokens


@given(st.binary(min_size=1, max_size=40).filter(lambda data: data[:1] not in b" \t\r\n0123456789{"))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_from_the_child_is_told(data: bytes) -> None:
    said: list[Any] = []
    process = WorkerProcess.__new__(WorkerProcess)
    process._on_message = lambda _, message: said.append(message)
    process.kill = said.append  # type: ignore[method-assign]
    process._feel = lambda message: None  # type: ignore[method-assign]
    read, write = os.pipe()
    with os.fdopen(read, "rb") as inbox:
        with os.fdopen(write, "wb") as outbox:
            outbox.write(data + b"\n")
        process._listen(inbox)
    assert said


def _in_a_fork(engine: ProcessEngine, answers: Any) -> None:
    try:
        engine.complete("abc", max_tokens=1)
    except EngineClosed as error:
        answers.put(str(error))
    engine.close()


@pytest.mark.skipif(sys.platform != "linux", reason="fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # forking with threads is what this is about
def test_a_forked_child_is_told_and_leaves_the_worker_alone(worker: ProcessEngine) -> None:
    worker.complete("abc", max_tokens=1)
    pid, fork = worker.pid, multiprocessing.get_context("fork")
    answers = fork.Queue()
    child = fork.Process(target=_in_a_fork, args=(worker, answers))
    child.start()
    try:
        assert "forked" in answers.get(timeout=30)
        child.join(30)
        assert child.exitcode == 0
    finally:
        child.kill()
    assert worker.complete("abc", max_tokens=1).tokens
    assert worker.pid == pid


def test_the_thread_that_made_it_may_end(tiny: Path) -> None:
    made: list[ProcessEngine] = []
    maker = threading.Thread(target=lambda: made.append(ProcessEngine(tiny, EngineSettings(n_threads=1))))
    maker.start()
    maker.join()
    time.sleep(0.2)  # the kernel tells a child of the end of the thread that started it
    with made[0] as engine:
        assert engine.complete("abc", max_tokens=1).tokens
        assert engine.stats.respawns == 0


def test_prompts_that_come_together_share_their_trunk(tiny: Path) -> None:
    prompts = ["left " * 60 + tail for tail in ("a", "b")] + ["right " * 60 + tail for tail in ("a", "b")]
    mixed = [prompts[0], prompts[2], prompts[1], prompts[3]]
    with ProcessEngine(tiny, EngineSettings(n_ctx=2048, n_threads=1)) as engine:
        answers = engine.complete_many(mixed, max_tokens=2, **GREEDY)
        assert [answer.timings.prompt_tokens for answer in answers] == [engine.count_tokens(prompt) for prompt in mixed]
        assert sum(answer.timings.cached_tokens for answer in answers) > 500, "each second one had its beginning"
        assert engine.complete_many([]) == []


def test_too_many_at_once_are_refused_as_a_whole(tiny: Path) -> None:
    with ProcessEngine(tiny, EngineSettings(n_ctx=512, n_threads=1, queue_limit=2)) as engine:
        with pytest.raises(QueueFull):
            engine.complete_many(["abc"] * 10, max_tokens=2)
        assert engine.stats.requests == 0
        assert engine.complete("abc", max_tokens=1).tokens


def test_an_interrupt_while_it_loads_leaves_no_process(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int | None] = []

    def interrupted(self: Supervisor) -> None:
        self._ask(lambda number: {"op": "call", "id": number, "name": "detokenize", "arguments": {"tokens": []}})
        pids.append(self.pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(Supervisor, "start", interrupted)
    started = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        ProcessEngine(tiny)
    assert time.perf_counter() - started < 4
    assert pids[0]
    assert not psutil.pid_exists(pids[0])


def test_a_stream_that_cannot_be_continued_keeps_its_text(tiny: Path, tmp_path: Path) -> None:
    model = tmp_path / "gone.gguf"
    model.write_bytes(tiny.read_bytes())
    with ProcessEngine(model, EngineSettings(n_ctx=8192, n_threads=1), resume_streams=True) as engine:
        stream = engine.stream("abc", max_tokens=7000, **GREEDY)
        text = next(stream).text
        model.unlink()
        assert engine.pid
        os.kill(engine.pid, 9)
        with pytest.raises(WorkerDied, match="could not load the model") as caught:
            list(stream)
        assert caught.value.partial.startswith(text)
        with pytest.raises(ModelFileError):
            engine.complete("abc", max_tokens=1)


def test_a_refused_request_is_freed_without_a_garbage_collection(tiny):
    with ProcessEngine(tiny, EngineSettings(n_ctx=256, n_threads=1)) as engine:
        gc.collect()
        gc.disable()
        before = tickets()
        try:
            for _ in range(3):
                with contextlib.suppress(ContextOverflow):
                    engine.complete([5] * 300)
            assert tickets() <= before
        finally:
            gc.enable()


def tickets() -> set[int]:
    """Those that are alive, other tests' included."""
    return {
        id(kept) for kept in gc.get_objects() if type(kept) is RemoteTicket
    }  # isinstance asks lazy modules for their class
