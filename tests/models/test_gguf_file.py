import dataclasses
import struct

import gguf
import numpy as np
import pytest

from workbench.errors import ModelFileError
from workbench.models import TensorInfo
from workbench.models.catalogue import bundled
from workbench.models.gguf_file import read_model_file, split_number
from workbench.testing.tiny_gguf import CHATML, make_tiny_gguf


def test_what_a_header_says(tmp_path):
    path = make_tiny_gguf(
        tmp_path / "m.gguf", n_layer=3, n_embd=128, n_head=4, n_head_kv=2, n_ctx_train=999, name="Ann", dtype="q8_0"
    )
    model = read_model_file(path)
    assert (model.path, model.name, model.architecture, model.quantisation) == (path, "Ann", "llama", "Q8_0")
    assert (model.n_layer, model.n_embd, model.n_vocab, model.n_ctx_train) == (3, 128, 261, 999)
    assert (model.n_head, model.n_head_kv) == ((4, 4, 4), (2, 2, 2))
    assert (model.head_dim_k, model.head_dim_v, model.sliding_window) == (32, 32, None)
    assert (model.chat_template, model.tokenizer, model.bos_id, model.eos_id) == (CHATML, "gpt2", 0, 1)
    assert model.size_bytes == path.stat().st_size
    assert model.weights_bytes == sum(tensor.n_bytes for tensor in model.tensors) < model.size_bytes
    assert model.parameters == 261 * 128 + 128 + 3 * (2 * 128 + 2 * 128 * 128 + 2 * 64 * 128 + 3 * 128 * 128)
    assert TensorInfo("output_norm.weight", (128,), "F32", model.tensors[1].offset, 512) in model.tensors
    assert model.metadata["general.name"] == "Ann"
    assert "tokenizer.ggml.tokens" not in model.metadata, "arrays are left out"


def test_is_a_frozen_value(tiny):
    model = read_model_file(tiny)
    assert model == read_model_file(tiny)
    assert hash(model) == hash(read_model_file(tiny))
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.name = "other"
    assert "im_start" not in repr(model), "chat templates are long"


@pytest.mark.model
@pytest.mark.skipif(not bundled("smollm2-135m").installed, reason="SmolLM2 is not installed")
def test_smollm2():
    model = read_model_file(bundled("smollm2-135m").locate())
    assert (model.architecture, model.quantisation, model.n_layer, model.n_embd) == ("llama", "Q4_1", 30, 576)
    assert (model.n_vocab, model.n_ctx_train, model.parameters) == (49_152, 8192, 134_515_008)
    assert (model.n_head[0], model.n_head_kv[0], model.head_dim_k) == (9, 3, 64)
    assert (model.bos_id, model.eos_id) == (1, 2)
    assert "<|im_start|>" in model.chat_template


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("llama.block_count", 600, "outside 1 to 512"),
        ("llama.block_count", 5, "says 5 blocks, the tensors are those of blocks 0 to 1"),
        ("llama.block_count", 1, "says 1 blocks"),
        ("llama.block_count", 0, "outside 1"),
        ("llama.embedding_length", 4096, "token embedding"),
        ("llama.embedding_length", 2**31, "outside 1"),
        ("llama.context_length", 0, "outside 1"),
        ("llama.context_length", 2**32 - 1, "outside 1"),
        ("llama.attention.head_count", 2**31, "cannot be"),
        ("llama.attention.head_count_kv", 2**31, "cannot be"),
    ],
)
def test_values_that_cannot_be(put, with_u32, key, value, said):
    with pytest.raises(ModelFileError, match=said):
        read_model_file(put(with_u32(key, value)))


@pytest.mark.parametrize("key", ["general.architecture", "llama.block_count", "llama.context_length"])
def test_keys_that_must_be_there(tiny, put, key):
    broken = tiny.read_bytes().replace(key.encode(), b"x" * len(key))
    with pytest.raises(ModelFileError, match="missing"):
        read_model_file(put(broken))


def test_a_value_of_another_type(tiny, put):
    key = b"llama.context_length"
    data = bytearray(tiny.read_bytes())
    at = data.index(key) + len(key)
    data[at : at + 4] = struct.pack("<I", gguf.GGUFValueType.FLOAT32)
    with pytest.raises(ModelFileError, match="not a whole number"):
        read_model_file(put(bytes(data)))


def test_what_is_no_language_model(tmp_path):
    for architecture, kind, said in (
        ("clip", None, "projector"),
        ("llama", "adapter", "LoRA"),
        ("llama", None, "no w"),
    ):
        path = tmp_path / f"{architecture}-{kind}.gguf"
        writer = gguf.GGUFWriter(path, architecture)
        if kind:
            writer.add_type(kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        with pytest.raises(ModelFileError, match=said):
            read_model_file(path)


def test_quantisation_falls_back_to_what_most_bytes_are(tmp_path, put):
    path = make_tiny_gguf(tmp_path / "m.gguf", dtype="q4_0")
    data = path.read_bytes().replace(b"general.file_type", b"general.file_typo")
    assert read_model_file(put(data, "without.gguf")).quantisation == "Q4_0"


def split(folder, count=3):
    """A model whose tensors lie in several files, as llama.cpp's gguf-split writes them."""
    for number in range(count):
        writer = gguf.GGUFWriter(folder / f"big-{number + 1:05d}-of-{count:05d}.gguf", "llama")
        if number == 0:
            writer.add_block_count(count - 1)
            writer.add_embedding_length(32)
            writer.add_context_length(64)
            writer.add_head_count(2)
            writer.add_vocab_size(10)
            writer.add_tensor("token_embd.weight", np.zeros((10, 32), np.float32))
        else:
            writer.add_tensor(f"blk.{number - 1}.attn_q.weight", np.zeros((32, 32), np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return sorted(folder.glob("big-*.gguf"))


def test_split_models_are_summed_from_any_part(tmp_path):
    parts = split(tmp_path)
    model = read_model_file(parts[0])
    assert model.parts == tuple(parts)
    assert model.path == parts[0]
    assert model.parameters == 320 + 2 * 1024
    assert model.size_bytes == sum(part.stat().st_size for part in parts)
    assert read_model_file(parts[2]) == model


def test_a_missing_part_is_named(tmp_path):
    parts = split(tmp_path)
    parts[1].unlink()
    with pytest.raises(ModelFileError, match=r"big-00002-of-00003\.gguf is missing"):
        read_model_file(parts[0])


def test_parts_that_do_not_belong_together(tmp_path):
    parts = split(tmp_path)
    parts[2].write_bytes(parts[1].read_bytes())
    with pytest.raises(ModelFileError, match="do not belong together"):
        read_model_file(parts[0])


def test_part_numbers(tmp_path):
    assert split_number(tmp_path / "big-00002-of-00003.gguf") == 2
    assert split_number(tmp_path / "big.gguf") is None
    with pytest.raises(ModelFileError, match="part 4 of 3"):
        read_model_file(tmp_path / "big-00004-of-00003.gguf")
