"""The error tree: drawn as it is, carrying data, naming remedies."""

import inspect
import re
from pathlib import Path

import pytest

from workbench import errors
from workbench.errors import (
    CellFailed,
    ContextOverflow,
    DecodeError,
    EngineClosed,
    MissingExtra,
    ModelFileError,
    ModelHashMismatch,
    OutOfMemory,
    SpecError,
    StorageFull,
    StoreCorrupt,
    StoreInUse,
    StreamIncomplete,
    UnknownName,
    UsageError,
    WorkbenchError,
    WorkbenchWarning,
)

CLASSES = {
    name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and kind.__module__ == errors.__name__
}
TREE = {name: kind for name, kind in CLASSES.items() if issubclass(kind, WorkbenchError)}


def test_the_drawing_has_every_error_under_its_parent():
    drawn, parents = {}, ["WorkbenchError"]
    for line in errors.__doc__.splitlines():
        match = re.match(r"    ([│ ]*)[├└]── (\w+)", line)
        if match:
            depth = len(match[1]) // 4 + 1
            parents[depth:] = [match[2]]
            drawn[match[2]] = parents[depth - 1]
    assert drawn == {name: kind.__mro__[1].__name__ for name, kind in TREE.items() if name != "WorkbenchError"}


def test_warnings_are_named_in_the_docstring():
    for name, kind in CLASSES.items():
        if issubclass(kind, WorkbenchWarning):
            assert name in errors.__doc__


def test_every_error_is_documented():
    assert all(kind.__doc__ and kind.__doc__.endswith((".", ":", "\n    ")) for kind in CLASSES.values())


MADE = [
    (UnknownName("memory", "vektor", ["archive", "buffer"]), ["vektor", "archive, buffer"]),
    (
        SpecError("there is no such parameter", path=Path("a.yaml"), line=7, key="grid.n_bach"),
        ["a.yaml:7", "grid.n_bach"],
    ),
    (ModelFileError("m.gguf", "cut off"), ["m.gguf: cut off"]),
    (ModelHashMismatch("m.gguf", "a" * 64, "b" * 64), ["aaaaaaaa", "bbbbbbbb", "Install or download it again"]),
    (ContextOverflow(900, 512), ["900", "512", "raise n_ctx"]),
    (ContextOverflow(900, 512, "Say less."), ["900", "512", "Say less."]),
    (OutOfMemory("A context of 9 tokens", 3 * 2**30, 2**30, "Use fewer."), ["3.00 GiB", "1.00 GiB", "Use fewer."]),
    (DecodeError(1), ["1", "no free KV cells"]),
    (DecodeError(-7, "batch 3"), ["-7", "fatal", "batch 3"]),
    (EngineClosed(), ["closed", "workbench.load"]),
    (StreamIncomplete("abc", "the worker died."), ["3 characters", "the worker died."]),
    (StorageFull("x.json"), ["x.json", "intact", "free some space"]),
    (StoreInUse("folder", 42), ["folder", "42", "Close it there"]),
    (StoreInUse("folder", None), ["another process"]),
    (StoreCorrupt("x.json", "not JSON"), ["x.json", "not JSON"]),
    (MissingExtra("distributed", "dask"), ["pip install 'workbench[dask]'"]),
]


@pytest.mark.parametrize(("error", "words"), MADE, ids=lambda value: type(value).__name__)
def test_messages_have_the_data_and_the_remedy(error, words):
    assert isinstance(error, WorkbenchError)
    for word in words:
        assert word in str(error)


def test_errors_carry_their_data():
    assert ContextOverflow(900, 512).need_tokens == 900
    assert ContextOverflow(900, 512).have_tokens == 512
    assert StreamIncomplete("abc", "x").partial == "abc"
    assert StoreInUse("folder", 42).pid == 42
    assert DecodeError(2).code == 2
    assert CellFailed("reason", log="tail").log == "tail"
    assert ModelHashMismatch("m", "a", "b").expected == "a"
    assert SpecError("p", line=3).line == 3


def test_bad_input_is_a_value_error_too():
    assert issubclass(UsageError, ValueError)
    assert issubclass(MissingExtra, ImportError)


@pytest.mark.parametrize(
    ("asked", "guess"), [("bufer", "buffer"), ("Buffer", "buffer"), ("archiv", "archive"), ("zebra", None)]
)
def test_an_unknown_name_lists_the_known_and_the_nearest(asked, guess):
    error = UnknownName("memory", asked, ["hybrid", "buffer", "archive"], "See the list.")
    assert error.known == ("archive", "buffer", "hybrid")
    assert (error.kind, error.name) == ("memory", asked)
    assert ("Did you mean" in str(error)) == (guess is not None)
    if guess:
        assert f"Did you mean {guess!r}?" in str(error)
    assert str(error).endswith("Known: archive, buffer, hybrid. See the list.")


def test_no_known_names_are_said_to_be_none():
    assert "Known: none." in str(UnknownName("preset", "x", []))
