"""llama-bench's report, from the real one where there is one, and from one that fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench.engine.peers import find_program, llama_bench
from workbench.errors import EngineError, UsageError
from workbench.settings import EngineSettings


def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    program = tmp_path / "llama-bench"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("LLAMA_BENCH", str(program))
    return program


def test_its_rows_become_speeds(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"n_prompt": 16, "n_gen": 0, "avg_ts": 310.5, "build_commit": "abc", "cpu_info": "a CPU", "gpu_info": ""},
        {"n_prompt": 0, "n_gen": 4, "avg_ts": 131.0},
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    pretend(tmp_path, monkeypatch, f'echo "$@" > "{tmp_path}/asked"; cat "{tmp_path}/rows.json"')
    settings = EngineSettings(n_threads=3, n_batch=128, type_k="q8_0", flash_attn=True)
    found = llama_bench(tiny, settings, n_prompt=16, n_gen=4)
    assert (found["pp_tps"], found["tg_tps"]) == (310.5, 131.0)
    assert (found["build"], found["cpu"], found["gpu"]) == ("abc", "a CPU", None)
    asked = (tmp_path / "asked").read_text()
    for part in (f"-m {tiny}", "-t 3", "-b 128 -ub 128", "-ctk q8_0", "-fa 1", "-p 16 -n 4", "-o json"):
        assert part in asked
    assert llama_bench(tiny, n_prompt=0, n_gen=4)["pp_tps"] is None, "what was not asked for is absent, not 0"


def test_a_failure_is_quoted(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, monkeypatch, "echo 'no such thing' >&2; exit 3")
    with pytest.raises(EngineError, match="ended with 3 and no result"):
        llama_bench(tiny)
    pretend(tmp_path, monkeypatch, "sleep 30")
    with pytest.raises(EngineError, match=r"more than 0\.2 s"):
        llama_bench(tiny, timeout_s=0.2)


def test_no_llama_bench_says_what_to_do(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_BENCH", "no-such-program")
    with pytest.raises(UsageError, match="put it on PATH, or set LLAMA_BENCH"):
        llama_bench(tiny)


@pytest.mark.skipif(find_program("llama-bench") is None, reason="no llama-bench on PATH; it is an optional peer")
def test_the_real_one(tiny: Path) -> None:
    found = llama_bench(tiny, EngineSettings(n_threads=1), n_prompt=16, n_gen=4, repetitions=1)
    assert found["pp_tps"] > 0
    assert found["tg_tps"] > 0
    assert len(found["rows"]) == 2
