"""FAULTS rows 1, 3, 4, 8, 9 and 20 with the engine in a process of its own: it dies, the kernel lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import workbench as wb
from workbench.engine.worker.engine import ProcessEngine
from workbench.errors import ModelFileError, ModelLoadError, OutOfMemory, StreamIncomplete, WorkerDied
from workbench.interfaces import Stream
from workbench.settings import EngineSettings

LONG = {"max_tokens": 7000, "temperature": 0.0, "ignore_eos": True, "logit_bias": {0: -1.0}}
SHORT = {"max_tokens": 5, "temperature": 0.0, "ignore_eos": True, "logit_bias": {0: -1.0}}
RESPAWN_S = 5.0 if "CI" not in os.environ else 15.0

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


@pytest.fixture(scope="module")
def worker(tiny: Path) -> Iterator[ProcessEngine]:
    """One engine, however often its process dies: that is what it is for."""
    settings = EngineSettings(n_ctx=16384, n_seq_max=2, n_threads=1)
    with ProcessEngine(tiny, settings, hang_after_s=2) as engine:
        yield engine


def gone(pid: int, within_s: float = 2.0) -> bool:
    """Whether a process ends in time, and is waited for (an orphan's init may leave it a zombie)."""
    give_up = time.monotonic() + within_s
    while time.monotonic() < give_up:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE and psutil.Process(pid).ppid() != os.getpid():
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def begun(engine: ProcessEngine, chunks: int = 5, **options: Any) -> tuple[Stream, str]:
    """A long stream of which some chunks have been read, and their text."""
    stream = engine.stream("abc", **{**LONG, **options})
    return stream, "".join(next(stream).text for _ in range(chunks))


def broken(stream: Stream, text: str) -> WorkerDied:
    """Read a stream until it breaks; everything handed out is in the error."""
    pieces = [text]
    with pytest.raises(WorkerDied) as caught:
        pieces.extend(chunk.text for chunk in stream)
    assert caught.value.partial == "".join(pieces)
    with pytest.raises(WorkerDied):
        _ = stream.completion
    return caught.value


def send(number: signal.Signals) -> Callable[[ProcessEngine], None]:
    def to(engine: ProcessEngine) -> None:
        assert engine.pid
        os.kill(engine.pid, number)

    return to


def leave(engine: ProcessEngine) -> None:
    """Make the process call ``_exit(0)``: it does at the end of its input."""
    process = engine._supervisor._worker
    assert process is not None
    process._outbox.put(None)


ENDS: dict[str, tuple[Callable[[ProcessEngine], None], str | None, int | None, str]] = {
    "kill": (send(signal.SIGKILL), "SIGKILL", -9, "out-of-memory killer"),
    "segv": (send(signal.SIGSEGV), "SIGSEGV", -11, "Segmentation fault"),
    "abort": (send(signal.SIGABRT), "SIGABRT", -6, "assertion"),
    "exit": (leave, None, 0, "by itself"),
    "hang": (send(signal.SIGSTOP), None, None, "no sign of life"),
}


@pytest.mark.parametrize("end", ENDS)
def test_row_9_a_death_in_mid_generation(worker: ProcessEngine, end: str) -> None:
    act, name, exitcode, hint = ENDS[end]
    expected = worker.complete("abc", max_tokens=200, **{k: v for k, v in LONG.items() if k != "max_tokens"}).text
    before, respawns = worker.pid, worker.stats.respawns
    assert before
    stream, text = begun(worker)
    act(worker)
    error = broken(stream, text)
    assert (error.signal, error.exitcode) == (name, exitcode)
    assert hint in error.hint
    assert error.partial[:200] == expected[: len(error.partial)], "what was said stays said"
    assert gone(before), "no zombie, no orphan"
    started = time.monotonic()
    assert worker.complete("abc", **SHORT).text == expected[:5], "the conversation goes on"
    assert time.monotonic() - started < RESPAWN_S
    assert worker.stats.respawns == respawns + 1
    assert worker.pid not in (None, before)


def test_row_9_counters_go_on_after_a_death(worker: ProcessEngine) -> None:
    worker.complete("abc", **SHORT)
    before = worker.stats
    send(signal.SIGKILL)(worker)
    worker.complete("abc", **SHORT)
    after = worker.stats
    assert after.requests == before.requests + 1
    assert after.output_tokens == before.output_tokens + 5


def test_row_9_what_had_not_begun_does_not_notice(worker: ProcessEngine) -> None:
    streams = [begun(worker) for _ in range(2)]
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(worker.complete("waiting", **SHORT)))
    waiting.start()
    while not len(worker._supervisor._tickets) == 3:  # noqa: SIM201 - it is on its way
        time.sleep(0.01)
    send(signal.SIGKILL)(worker)
    for stream, text in streams:
        assert broken(stream, text).signal == "SIGKILL"
    waiting.join(30)
    assert answers[0].text == worker.complete("waiting", **SHORT).text


def test_row_9_a_question_is_asked_again(worker: ProcessEngine) -> None:
    tokens = worker.tokenize("abc")
    send(signal.SIGSTOP)(worker)
    assert worker.tokenize("abc") == tokens


@pytest.mark.parametrize("stop", ["", "later"])
def test_row_9_a_stream_goes_on_in_a_new_process(tiny: Path, stop: str) -> None:
    settings = EngineSettings(n_ctx=8192, n_threads=1)
    options = {**LONG, "max_tokens": 1500}
    with ProcessEngine(tiny, settings, resume_streams=True) as engine:
        whole = engine.complete("abc", **options)
        if stop:
            stop = whole.text[1000:1004]
            options["stop"] = stop
            whole = engine.complete("abc", **options)
        stream, text = begun(engine, **options)
        send(signal.SIGKILL)(engine)
        text += "".join(chunk.text for chunk in stream)
        answer = stream.completion
        assert engine.stats.respawns == 1
    assert text == answer.text == whole.text
    assert answer.tokens[: len(whole.tokens)] == whole.tokens
    assert answer.finish_reason == whole.finish_reason
    assert answer.receipt is not None
    assert "died after" in answer.receipt.why
    assert "greedy" in answer.receipt.why
    assert len(answer.timings.itl_ms) == len(answer.tokens) - 1


@pytest.mark.parametrize("keep", [0, 3, 4, 24, "half", -1])
def test_row_1_a_cut_model_is_refused(tiny: Path, tmp_path: Path, keep: int | str) -> None:
    data = tiny.read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(data[: len(data) // 2 if keep == "half" else keep])
    with pytest.raises(ModelFileError) as caught:
        wb.load(cut, isolation="process")
    assert caught.value.path == cut


def with_count(data: bytes, key: bytes, value: int) -> bytes:
    """The file with another value of a 32-bit header field."""
    at = data.index(key) + len(key) + 4
    return data[:at] + value.to_bytes(4, "little") + data[at + 4 :]


def test_row_3_six_hundred_layers_are_refused(tiny: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "layers.gguf"
    hostile.write_bytes(with_count(tiny.read_bytes(), b"llama.block_count", 600))
    with pytest.raises((ModelFileError, OutOfMemory, WorkerDied)):
        wb.load(hostile, isolation="process")


def test_row_3_a_model_that_aborts_llama_cpp(tiny: Path, tmp_path: Path) -> None:
    """Two tokens spelt alike pass every check of the header, and llama.cpp asserts that there are none."""
    data, one = tiny.read_bytes(), (1).to_bytes(8, "little")
    at = data.index(one + b"A", data.index(b"tokenizer.ggml.tokens"))
    hostile = tmp_path / "twins.gguf"
    hostile.write_bytes(data[:at] + one + b"B" + data[at + 9 :])
    with pytest.raises(WorkerDied) as caught:
        wb.load(hostile, isolation="process")
    assert caught.value.signal == "SIGABRT"
    assert "GGML_ASSERT" in caught.value.hint
    with wb.load(tiny, isolation="process", n_threads=1, n_ctx=512) as engine:
        assert engine.complete("abc", **SHORT).tokens, "the next load works"


def test_row_4_a_model_cut_while_it_is_mapped(tiny: Path, tmp_path: Path) -> None:
    model = tmp_path / "mapped.gguf"
    model.write_bytes(tiny.read_bytes())
    with ProcessEngine(model, EngineSettings(n_ctx=8192, n_threads=1, repack=False)) as engine:
        stream, text = begun(engine)
        os.truncate(model, 8192)
        error = broken(stream, text)
        assert error.signal == "SIGBUS"
        assert "cut or replaced" in error.hint
        for _ in range(3):
            with pytest.raises((WorkerDied, ModelFileError)):
                engine.complete("abc", **SHORT)
        spawned = engine.stats.respawns
        with pytest.raises((WorkerDied, ModelFileError)):
            engine.complete("abc", **SHORT)
        assert engine.stats.respawns == spawned, "the same failure twice is not tried for ever"
        model.write_bytes(tiny.read_bytes())
        engine.restart()
        assert engine.complete("abc", **SHORT).tokens


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA")
def test_row_8_more_memory_than_allowed(tiny: Path) -> None:
    settings = EngineSettings(n_ctx=900_000, n_threads=1)
    with pytest.raises((WorkerDied, ModelLoadError)) as caught:  # noqa: SIM117 - where it happens is llama.cpp's choice
        with ProcessEngine(tiny, settings, memory_limit_bytes=400 << 20) as engine:
            engine.complete("abc", **SHORT)
    if isinstance(caught.value, WorkerDied):
        assert "memory limit of 400 MiB" in caught.value.hint


def test_row_8_memory_beyond_the_limit_is_seen_from_outside(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.engine.worker import process

    with ProcessEngine(tiny, EngineSettings(n_ctx=8192, n_threads=1), memory_limit_bytes=1 << 30) as engine:
        stream, text = begun(engine)
        pid = engine.pid
        assert pid
        monkeypatch.setattr(process, "private_bytes", lambda pid: 2 << 30)
        error = broken(stream, text)
        assert error.signal == "SIGKILL"
        assert "memory limit of 1,024 MiB" in error.hint
        assert gone(pid)


def test_row_8_no_memory_even_to_load(tiny: Path) -> None:
    with pytest.raises(WorkerDied, match="memory limit of 20 MiB"):
        ProcessEngine(tiny, EngineSettings(n_threads=1), memory_limit_bytes=20 << 20)


def test_row_20_close_breaks_streams_off_and_ends_the_process(tiny: Path) -> None:
    engine = ProcessEngine(tiny, EngineSettings(n_ctx=8192, n_threads=1))
    stream, text = begun(engine)
    pid = engine.pid
    assert pid
    engine.close()
    assert gone(pid)
    with pytest.raises(StreamIncomplete) as caught:
        list(stream)
    assert caught.value.partial.startswith(text)
    assert not isinstance(caught.value, WorkerDied)


PARENT = """
import sys, time
from workbench.engine.worker.engine import ProcessEngine
from workbench.settings import EngineSettings
engine = ProcessEngine(sys.argv[1], EngineSettings(n_ctx=16000, n_threads=1))
stream = engine.stream("abc", max_tokens=15000, temperature=0, logit_bias={0: -1.0})
next(stream)
print(engine.pid, "llama_cpp" in sys.modules, flush=True)
if sys.argv[2] == "wait":
    time.sleep(60)
"""


@pytest.mark.parametrize("end", ["killed", "leaves"])
def test_the_process_ends_with_its_parent(tiny: Path, end: str) -> None:
    command = [sys.executable, "-c", PARENT, str(tiny), "wait" if end == "killed" else ""]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        said, loaded = parent.stdout.readline().split()
        pid = int(said)
        assert loaded == "False", "llama.cpp is in the worker only"
        assert psutil.pid_exists(pid)
        if end == "killed":
            parent.kill()
        assert parent.wait(30) == (-9 if end == "killed" else 0)
        assert gone(pid)


def test_ctrl_c_in_a_terminal_leaves_the_process_alone(worker: ProcessEngine) -> None:
    worker.complete("abc", **SHORT)
    pid = worker.pid
    assert pid
    assert os.getpgid(pid) != os.getpgid(0), "it is in no process group that a terminal interrupts"
    os.kill(pid, signal.SIGINT)
    assert worker.complete("abc", **SHORT).tokens
    assert worker.pid == pid
