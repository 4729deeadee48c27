"""llama-bench, run as it is: the limit that llama.cpp's own benchmark reports for a model and its settings."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from workbench.engine.peers import program
from workbench.errors import EngineError
from workbench.models import ModelFile, resolve
from workbench.settings import EngineSettings


def llama_bench(
    model: ModelFile | str | Path,
    settings: EngineSettings | None = None,
    *,
    n_prompt: int = 512,
    n_gen: int = 128,
    repetitions: int = 3,
    timeout_s: float = 600.0,
) -> dict[str, Any]:
    """Run llama-bench and read what it found. Blocks; use it while nothing else runs.

    Args:
        model: a model, its name, or the path of a GGUF.
        settings: threads, batches, KV types, flash attention and GPU layers are handed on.
        n_prompt: tokens of the prompt test; 0 leaves it out.
        n_gen: tokens of the generation test; 0 leaves it out.
        repetitions: of each test; the mean is reported.
        timeout_s: after which it is killed.

    Returns:
        ``pp_tps`` and ``tg_tps`` (mean tokens per second; ``None`` if not asked for), ``build`` (its commit), ``cpu``,
        ``gpu`` and ``rows``, everything it reported.

    Raises:
        UsageError: there is no llama-bench on PATH or in ``LLAMA_BENCH``.
        EngineError: it failed or took too long; quotes what it said.
    """
    path = program.program_path("llama-bench")
    file = resolve(model)
    chosen = program.effective(file, settings or EngineSettings())
    command = [
        str(path),
        *program.shared_options(file, chosen),
        *("-fa", "1" if chosen.flash_attn else "0", "-nkvo", "0" if chosen.offload_kqv else "1"),
        *("-p", str(n_prompt), "-n", str(n_gen), "-r", str(repetitions), "-o", "json"),
    ]
    rows = _run(command, timeout_s)
    first = rows[0] if rows else {}
    return {
        "pp_tps": _speed(rows, n_prompt=n_prompt, n_gen=0) if n_prompt else None,
        "tg_tps": _speed(rows, n_prompt=0, n_gen=n_gen) if n_gen else None,
        "build": first.get("build_commit"),
        "cpu": first.get("cpu_info"),
        "gpu": first.get("gpu_info") or None,
        "rows": rows,
    }


def _run(command: list[str], timeout_s: float) -> list[dict[str, Any]]:
    try:
        run = subprocess.run(  # noqa: S603 - the program the user put on PATH
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
            env=program.clean_environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"llama-bench took more than {timeout_s:g} s. Use a smaller test or raise timeout_s."
        ) from error
    try:
        rows = json.loads(run.stdout)
    except ValueError as error:
        said = " / ".join((run.stderr or run.stdout).strip().splitlines()[-3:])
        raise EngineError(f"llama-bench ended with {run.returncode} and no result. It said: {said}") from error
    return [dict(row) for row in rows]


def _speed(rows: list[dict[str, Any]], *, n_prompt: int, n_gen: int) -> float | None:
    """Mean tokens per second of one test."""
    found = [row["avg_ts"] for row in rows if (row["n_prompt"], row["n_gen"]) == (n_prompt, n_gen)]
    return float(found[0]) if found else None
