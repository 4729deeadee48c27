import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.testing.tiny_gguf import make_tiny_gguf

FOREIGN_VARIABLES = (
    "WORKBENCH_MODELS",
    "OLLAMA_MODELS",
    "LLAMA_CACHE",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "XDG_CACHE_HOME",
)


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder; nothing of this machine's models is seen."""
    for variable in FOREIGN_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    home = tmp_path / "user"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("WORKBENCH_HOME", str(home / "workbench"))
    return home


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole, sane model file; not to be changed."""
    return make_tiny_gguf(tmp_path_factory.mktemp("tiny") / "tiny.gguf", n_embd=32, n_ff=32, n_head=2, n_head_kv=1)


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Write bytes to a file and return its path."""

    def write(data: bytes, name: str = "model.gguf") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return write


@pytest.fixture
def with_u32(tiny: Path) -> Callable[[str, int], bytes]:
    """The tiny model's bytes with one unsigned 32-bit value changed."""

    def patch(key: str, value: int) -> bytes:
        data = bytearray(tiny.read_bytes())
        at = data.index(struct.pack("<Q", len(key)) + key.encode()) + 8 + len(key)
        assert data[at : at + 4] == struct.pack("<I", 4), "not an unsigned 32-bit value"
        data[at + 4 : at + 8] = struct.pack("<I", value)
        return bytes(data)

    return patch
