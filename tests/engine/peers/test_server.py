"""The llama-server peer, against a server that misbehaves to order and, where there is one, the real one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest

import workbench as wb
from workbench.engine.peers import LlamaServerEngine, find_program
from workbench.errors import (
    ContextOverflow,
    EngineError,
    InvalidSettings,
    ModelLoadError,
    StreamIncomplete,
    UsageError,
    WorkerDied,
)
from workbench.interfaces import Engine
from workbench.settings import EngineSettings
from workbench.testing.contracts import EngineContract

PRETEND = Path(__file__).with_name("pretend_server.py")
HALF_CLOSED, NO_LAST_EVENT, KILLED, HALF_EVENT, REFUSED, SLOW = 10, 11, 12, 13, 14, 15  # as in pretend_server.py
TEXT = "abcdefgh"


@pytest.fixture(autouse=True)
def _pretended(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.cls is None:  # the contract suite wants the real one
        program = tmp_path / "llama-server"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{PRETEND}" "$@"\n')
        program.chmod(0o755)
        monkeypatch.setenv("LLAMA_SERVER", str(program))


@pytest.fixture
def engine(tiny: Path, _pretended: None) -> Iterator[Engine]:
    with wb.load(tiny, engine="llama-server", n_ctx=64, n_threads=1) as engine:
        yield engine


def test_a_stream_and_a_whole_are_the_same(engine: Engine) -> None:
    stream = engine.stream([65, 66, 67], max_tokens=8, temperature=0)
    chunks = list(stream)
    whole = engine.complete([65, 66, 67], max_tokens=8, temperature=0)
    assert "".join(chunk.text for chunk in chunks) == stream.completion.text == whole.text == TEXT
    assert stream.completion.tokens == whole.tokens == tuple(map(ord, TEXT))
    assert stream.completion.finish_reason == whole.finish_reason == "length"
    assert stream.completion.timings.cached_tokens == 2
    assert len(stream.completion.timings.itl_ms) == 7
    assert whole.timings.itl_ms == ()
    assert whole.timings.decode_ms == 0.05
    assert engine.stats.requests == 2


@pytest.mark.parametrize("fault", [HALF_CLOSED, NO_LAST_EVENT, HALF_EVENT])
def test_row_20_a_stream_that_breaks_off_says_so_and_keeps_its_text(engine: Engine, fault: int) -> None:
    stream = engine.stream([fault, 65], max_tokens=8)
    with pytest.raises(StreamIncomplete, match="hung up before it was done") as caught:
        list(stream)
    assert caught.value.partial == (TEXT if fault == NO_LAST_EVENT else TEXT[:4])
    assert engine.complete([65], max_tokens=8).text == TEXT, "the engine goes on"


def test_a_server_that_dies_in_the_middle_is_named(engine: Engine) -> None:
    stream = engine.stream([KILLED, 65], max_tokens=8)
    with pytest.raises(WorkerDied) as caught:
        list(stream)
    assert (caught.value.partial, caught.value.signal) == (TEXT[:4], "SIGKILL")
    with pytest.raises(WorkerDied):
        engine.tokenize("a")


def test_what_the_server_refuses_is_an_error_with_its_words(engine: Engine) -> None:
    for call in (lambda: engine.complete([REFUSED], max_tokens=1), lambda: list(engine.stream([REFUSED]))):
        with pytest.raises(EngineError, match="not like this"):
            call()


def test_cancelling_hangs_up_at_once(engine: Engine) -> None:
    stream = engine.stream([SLOW], max_tokens=8)
    next(stream)
    stream.cancel()
    rest = list(stream)
    assert stream.completion.finish_reason == "cancelled"
    assert len(rest) < len(TEXT)
    assert engine.stats.requests == 1


def test_settings_reach_the_command_line(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_ARG_CTX_SIZE", "7")
    settings = EngineSettings(n_ctx=64, n_threads=1, n_seq_max=4, n_batch=32, type_k="q8_0", flash_attn=True)
    with LlamaServerEngine(tiny, settings) as engine:
        seen = engine._server.ask("/props")
        line = " ".join(seen["argv"])
        for part in ("-c 64", "-np 4", "-t 1", "-tb 1", "-b 32 -ub 32", "-ctk q8_0 -ctv f16", "-fa on", "--no-kv-unif"):
            assert part in line
        assert "LLAMA_ARG_CTX_SIZE" not in seen["environment"], "it would change a setting behind our back"
        assert engine.settings.kv_unified is False
        assert engine.settings.n_ctx == 4 * 64, "what the server reports of a slot, times the slots"


@pytest.mark.parametrize("change", [{"speculation": "lookup"}, {"disk_cache_bytes": 1}, {"idle_release_s": 0.5}])
def test_settings_it_cannot_honour_are_refused(tiny: Path, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettings, match=f"no {next(iter(change))}"):
        LlamaServerEngine(tiny, EngineSettings(**change))


def test_requests_it_cannot_honour_are_refused(engine: Engine) -> None:
    with pytest.raises(InvalidSettings, match="grammar"):
        engine.complete([65], grammar='root ::= "a"')
    with pytest.raises(ContextOverflow):
        engine.complete([65] * 64)
    with pytest.raises(UsageError, match="engine='tuned'"):
        engine.score("abc")


def test_no_llama_server_says_what_to_do(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_SERVER", "no-such-program")
    with pytest.raises(UsageError, match="put it on PATH, or set LLAMA_SERVER"):
        wb.load(tiny, engine="llama-server")


def test_a_server_that_cannot_start_is_quoted(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETEND", "--type-fails")
    with pytest.raises(ModelLoadError, match="no such model, I pretend"):
        LlamaServerEngine(tiny, EngineSettings(n_ctx=64))


def test_no_orphan_stays_when_the_owner_is_killed(tiny: Path) -> None:
    program = (
        "import sys, time, workbench as wb\n"
        "engine = wb.load(sys.argv[1], engine='llama-server', n_ctx=64, n_threads=1)\n"
        "print(engine.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", program, str(tiny)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    server = psutil.Process(int(owner.stdout.readline()))
    owner.kill()
    owner.wait()
    owner.stdout.close()
    _, alive = psutil.wait_procs([server], timeout=5)
    assert not alive


def test_close_leaves_no_process(tiny: Path) -> None:
    engine = LlamaServerEngine(tiny, EngineSettings(n_ctx=64, n_threads=1))
    stream = engine.stream([SLOW], max_tokens=8)
    first = next(stream).text
    engine.close()
    engine.close()
    with pytest.raises(StreamIncomplete, match="the engine was closed") as caught:
        list(stream)
    assert caught.value.partial.startswith(first)
    assert not psutil.pid_exists(engine.pid) or psutil.Process(engine.pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(find_program("llama-server") is None, reason="no llama-server on PATH; it is an optional peer")
class TestLlamaServer(EngineContract):
    """The real one keeps the contract, but for scores, and for single gaps where nobody watches a completion."""

    path: ClassVar[Path]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _model(cls, tiny: Path) -> None:
        cls.path = tiny

    def make(self) -> Engine:
        # two slots: a request that waits for another's slot could not be cancelled before that one ends
        return LlamaServerEngine(self.path, EngineSettings(n_ctx=1024, n_seq_max=2, kv_unified=True, n_threads=1))

    test_scores_are_log_probabilities_of_the_texts_tokens = None
    test_scores_follow_the_chain_rule = None
    test_a_token_without_anything_before_it_has_no_probability = None
    test_scores_do_not_depend_on_other_calls = None

    def test_timings_add_up(self, engine: Engine) -> None:
        stream = engine.stream(self.prompt, **self.greedy)
        list(stream)
        timings = stream.completion.timings
        assert len(timings.itl_ms) == timings.output_tokens - 1
        assert sum(timings.itl_ms) == pytest.approx(timings.decode_ms, abs=1e-3)
        assert timings.ttft_ms is not None
        assert timings.queue_ms <= timings.ttft_ms <= timings.total_ms


def test_a_deadline_for_the_start(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.engine.peers.process import ServerProcess

    started = time.monotonic()
    with pytest.raises(ModelLoadError, match=r"not ready after 0\.2 s"):
        ServerProcess(lambda port: [sys.executable, "-c", "import time; time.sleep(60)"], deadline_s=0.2)
    assert time.monotonic() - started < 10
    assert not [child for child in psutil.Process(os.getpid()).children() if "sleep(60)" in " ".join(child.cmdline())]
