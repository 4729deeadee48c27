"""The two models of the package index: offline, out of the box, the same vectors on every backend."""

import subprocess
import sys

import numpy as np
import pytest

import workbench as wb
from workbench.embedding import all_minilm_l6_v2, paraphrase_minilm_l3_v2
from workbench.errors import InvalidSettings, MissingExtra
from workbench.testing import EmbedderContract

pytestmark = pytest.mark.model
TEXTS = [
    "The harbour lay quiet in the early morning, and gulls circled above the market.",
    "Where do the fishing boats rock?",
    "Interest rates rose by 2.5 % in March; the bank's chairman, A. Müller, was not surprised.",
    "El Niño's café — naïve résumé, Straße, ŁÓDŹ",
    "東京は日本の首都です。",
    "emoji 🌍🎉 and symbols ©™ ½ → ∑",
    "def f(x): return x**2  # code",
    "",
    "UPPER lower MiXeD",
    "a" * 90,
    "She said that " * 120,
]


class TestL6Onnx(EmbedderContract):
    def make(self):
        return all_minilm_l6_v2("onnx", n_threads=1)


class TestL6Gguf(EmbedderContract):
    def make(self):
        return all_minilm_l6_v2("gguf", n_threads=1)


class TestL6Torch(EmbedderContract):
    def make(self):
        return all_minilm_l6_v2("torch", n_threads=1)


class TestL3Onnx(EmbedderContract):
    def make(self):
        return paraphrase_minilm_l3_v2("onnx", n_threads=1)


class TestL3Gguf(EmbedderContract):
    def make(self):
        return paraphrase_minilm_l3_v2("gguf", n_threads=1, weight_type="f16")


class TestL3Torch(EmbedderContract):
    def make(self):
        return paraphrase_minilm_l3_v2("torch", n_threads=1)


@pytest.mark.parametrize("make", [all_minilm_l6_v2, paraphrase_minilm_l3_v2])
def test_every_backend_has_the_same_weights(make):
    vectors = {}
    for backend in ("onnx", "torch", "gguf"):
        embedder = make(backend, n_threads=1)
        vectors[backend] = embedder.embed(TEXTS)
        embedder.close()
    assert np.abs(vectors["onnx"] - vectors["torch"]).max() < 1e-4
    assert (vectors["gguf"] * vectors["torch"]).sum(axis=1).min() > 0.999


def test_half_the_weights_bytes_cost_next_to_nothing():
    whole, half = (all_minilm_l6_v2("gguf", weight_type=kind, n_threads=1) for kind in ("f32", "f16"))
    assert half.size_bytes < 0.52 * whole.size_bytes
    assert (whole.embed(TEXTS) * half.embed(TEXTS)).sum(axis=1).min() > 0.999
    whole.close()
    half.close()


OFFLINE = """
import socket, sys
def refuse(*_): raise SystemExit("the network was asked")
socket.socket.connect = socket.getaddrinfo = refuse
import workbench as wb
embedder = wb.embedders.create(sys.argv[1], n_threads=1)
embedder.embed(["a text"])
print(embedder.name, embedder.dimensions, "torch" in sys.modules)
"""


@pytest.mark.parametrize("name", ["all-minilm-l6-v2", "paraphrase-minilm-l3-v2"])
def test_they_work_offline_without_torch_and_without_a_word(name):
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, name], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{name} 384 False\n", "")


@pytest.mark.parametrize("make", [all_minilm_l6_v2, paraphrase_minilm_l3_v2])
@pytest.mark.parametrize("backend", ["torch", "gguf"])
def test_the_other_backends_work_offline_and_without_a_word(make, backend, monkeypatch, capfd):
    for name in ("socket.socket.connect", "socket.getaddrinfo"):
        monkeypatch.setattr(name, lambda *_: pytest.fail("the network was asked"))
    embedder = make(backend, n_threads=1)
    embedder.embed(["a text"])
    embedder.close()
    assert capfd.readouterr() == ("", "")


def test_they_are_registered():
    assert {"all-minilm-l6-v2", "paraphrase-minilm-l3-v2", "onnx", "gguf", "sentence-transformers"} <= set(
        wb.embedders.names()
    )


@pytest.mark.parametrize("make", [all_minilm_l6_v2, paraphrase_minilm_l3_v2])
def test_what_is_unknown_or_missing_is_refused(make, monkeypatch):
    with pytest.raises(InvalidSettings, match="'onnx', 'torch' or 'gguf'"):
        make("openvino")
    with pytest.raises(InvalidSettings, match="'f32' or 'f16'"):
        make("gguf", weight_type="q4_0")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'workbench\[models\]'"):
        make()
