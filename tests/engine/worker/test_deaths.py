"""Every way to die has its hint."""

from __future__ import annotations

import signal

import pytest

from workbench.engine.worker.deaths import HINTS, explain, no_answer


@pytest.mark.parametrize("name", sorted(HINTS))
def test_a_signal_has_its_hint(name: str) -> None:
    number = getattr(signal, name)
    error = explain(-number, []).error("so far")
    assert (error.signal, error.exitcode, error.partial) == (name, -number, "so far")
    assert HINTS[name] in str(error)


def test_the_assertion_is_quoted_without_folders() -> None:
    said = [
        "load: 1 of 2",
        "/build/src/ggml.c:1644: GGML_ASSERT(ctx->mem_buffer != NULL) failed",
        "Fatal Python error: Aborted",
        '  File "/x/context.py", line 116 in _try',
    ]
    assert explain(-6, said).hint.endswith("Its last words: ggml.c:1644: GGML_ASSERT(ctx->mem_buffer != NULL) failed")


@pytest.mark.parametrize("word", ["std::bad_alloc", "MemoryError", "ggml_aligned_malloc: insufficient memory"])
def test_memory_is_named_as_the_reason(word: str) -> None:
    assert "ran out of memory" in explain(-6, [word]).hint
    limited = explain(-6, [word], memory_limit_bytes=300 << 20).hint
    assert "its memory limit of 300 MiB" in limited
    assert "memory_limit_bytes" in limited


def test_exit_codes_are_told() -> None:
    assert "by itself" in explain(0, []).hint
    failed = explain(1, ["Traceback (most recent call last):", "ModuleNotFoundError: No module named 'llama_cpp'"])
    assert failed.hint.endswith("Its last words: ModuleNotFoundError: No module named 'llama_cpp'")
    assert explain(-99, []).signal == "signal 99"


def test_no_answer_has_neither_signal_nor_exit_code() -> None:
    error = no_answer("It gave no sign of life for 30 s.").error()
    assert (error.signal, error.exitcode) == (None, None)
    assert "(no answer)" in str(error)
