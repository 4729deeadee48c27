"""Converted files hold the same weights, are made once and whole, and refuse what they cannot hold."""

import json
import os
import shutil
import threading

import numpy as np
import pytest

from workbench.embedding.conversion import store
from workbench.embedding.conversion.onnx_file import array, message, read_model, tensor
from workbench.embedding.conversion.to_gguf import write_gguf
from workbench.embedding.conversion.to_onnx import onnx_bytes
from workbench.embedding.conversion.weights import expected_names, from_folder, from_onnx
from workbench.errors import InvalidSettings, ModelFileError, StorageFull
from workbench.models import read_model_file


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "cache" / "embedding"


def test_a_folder_gives_the_weights_back(weights, small_bert):
    read = from_folder(small_bert)
    assert (read.n_layer, read.hidden, read.intermediate, read.n_head, read.eps) == (2, 32, 64, 4, 1e-12)
    assert set(read.arrays) == set(expected_names(2))
    assert all((read.arrays[name] == values).all() for name, values in weights.arrays.items())


def test_an_onnx_graph_gives_the_weights_back(weights, tmp_path):
    """Matrices are found by the sums they go into, as torch's exporter leaves them without a name."""
    model = message("Model").FromString(onnx_bytes(weights))
    numbered = {t.name: f"onnx::MatMul_{place}" for place, t in enumerate(model.graph.initializer) if len(t.dims) == 2}
    numbered = {name: new for name, new in numbered.items() if name.startswith("encoder")}
    for one in model.graph.initializer:
        own = one.name
        one.name = numbered.get(own, f"model.0.{own}" if own.startswith(("encoder", "embeddings")) else own)
        if own == "positions":
            one.name = "model.0.embeddings.position_embeddings.weight"
    for node in model.graph.node:
        names = [numbered.get(name, name) for name in node.input]
        del node.input[:]
        known = {one.name for one in model.graph.initializer}
        node.input.extend(f"model.0.{name}" if f"model.0.{name}" in known else name for name in names)
    types = weights.arrays["embeddings.token_type_embeddings.weight"]
    model.graph.initializer.append(tensor("model.0.embeddings.token_type_embeddings.weight", types))
    path = tmp_path / "exported.onnx"
    path.write_bytes(model.SerializeToString())
    read = from_onnx(path, n_head=4)
    for name, values in weights.arrays.items():
        if name != "embeddings.position_embeddings.weight":  # the first token type is added to it
            assert (read.arrays[name] == values).all(), name
    assert read.eps == pytest.approx(1e-12)


@pytest.mark.parametrize("content", [b"", b"nonsense" * 50, b"\x08\x08"])
def test_what_is_no_onnx_file_is_named(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"m\.onnx: is not an ONNX model"):
        read_model(tmp_path / "m.onnx")
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_model(tmp_path / "none.onnx")


def test_an_onnx_file_of_another_model_is_refused(weights, tmp_path):
    fewer = {name: values for name, values in weights.arrays.items() if "layer.1.output.dense" not in name}
    model = message("Model").FromString(onnx_bytes(weights))
    kept = [one for one in model.graph.initializer if one.name in fewer]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match="is no BERT encoder"):
        from_onnx(tmp_path / "m.onnx", n_head=4)


@pytest.mark.parametrize("values", [np.arange(6, dtype=np.float32).reshape(2, 3), np.array([3, -1]), np.array(2.5)])
def test_tensors_go_through(values):
    back = array(message("Tensor").FromString(tensor("t", values).SerializeToString()))
    assert back.shape == values.shape
    assert (back == values).all()


def test_other_data_types_are_refused():
    with pytest.raises(ValueError, match="data type 10"):
        array(message("Tensor")(name="t", data_type=10))


def test_a_model_of_another_kind_is_refused(small_bert, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(small_bert, folder)
    config = json.loads((folder / "config.json").read_text())
    for change in ({"model_type": "mpnet"}, {"hidden_act": "relu"}, {"position_embedding_type": "relative_key"}):
        (folder / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(InvalidSettings, match="only BERT encoders"):
            from_folder(folder)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"\x10" + bytes(40))
    with pytest.raises(ModelFileError, match=r"model\.safetensors: cannot be read"):
        from_folder(folder)


def test_a_gguf_says_what_it_is(weights, small_bert, tmp_path):
    path = tmp_path / "small.gguf"
    write_gguf(weights, path, name="small", tokenizer=small_bert / "tokenizer.json", max_tokens=20, weight_type="f16")
    file = read_model_file(path)
    assert (file.name, file.architecture, file.n_ctx_train, file.n_layer, file.n_embd) == ("small", "bert", 20, 2, 32)
    assert (file.quantisation, file.tokenizer, file.n_vocab) == ("F16", "bert", weights.n_vocab)
    assert file.metadata["bert.attention.causal"] is False


def test_a_vocabulary_that_is_not_wordpiece_is_refused(weights, tmp_path):
    tokenizer = tmp_path / "tokenizer.json"
    for content, words in [("{", "is no tokenizer"), ('{"model": {"type": "BPE", "vocab": {}}}', "WordPiece")]:
        tokenizer.write_text(content)
        with pytest.raises(ModelFileError, match=words):
            write_gguf(weights, tmp_path / "x.gguf", name="x", tokenizer=tokenizer, max_tokens=20)


# -- the store --------------------------------------------------------------------------------------------------------


def test_a_conversion_is_made_once_and_anew_for_another_source(small_bert, cache, tmp_path):
    source, made = tmp_path / "source", []

    def make(target):
        made.append(target)
        (target / "file").write_text(source.read_text())

    source.write_text("one")
    first = store.converted("name", [source], make)
    assert store.converted("name", [source], make) == first
    assert len(made) == 1
    source.write_text("another")
    second = store.converted("name", [source], make)
    assert second != first
    assert (second / "file").read_text() == "another"
    assert sorted(os.listdir(cache)) == sorted([first.name, second.name]), "nothing temporary stays"


def test_a_failing_conversion_leaves_nothing(cache, tmp_path):
    (tmp_path / "source").write_text("one")

    def make(target):
        (target / "half").write_text("x")
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageFull):
        store.converted("name", [tmp_path / "source"], make)
    assert os.listdir(cache) == []


def test_who_converts_at_the_same_time_finds_one_result(cache, tmp_path):
    (tmp_path / "source").write_text("one")
    barrier, results = threading.Barrier(4), []

    def make(target):
        barrier.wait(20)  # all four are converting
        (target / "file").write_text("whole")

    threads = [
        threading.Thread(target=lambda: results.append(store.converted("name", [tmp_path / "source"], make)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == 4
    assert len(set(results)) == 1
    assert (results[0] / "file").read_text() == "whole"
    assert len(os.listdir(cache)) == 1
