"""What a sentence-transformers folder says is read as the library reads it."""

import json

import pytest

from workbench.embedding.folder import read_folder
from workbench.errors import ModelFileError


def write(folder, name, value):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def test_an_empty_folder_says_nothing(tmp_path):
    stated = read_folder(tmp_path)
    assert (stated.dimensions, stated.max_tokens, stated.pooling, stated.extras) == (None, None, None, ())
    assert stated.prefix("query") == ""


def test_the_small_model_says_everything(small_bert):
    stated = read_folder(small_bert)
    assert (stated.dimensions, stated.max_tokens, stated.pooling, stated.extras) == (32, 32, "mean", ())


def test_a_projection_at_the_end_decides_about_the_length(tmp_path):
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense")]
    write(
        tmp_path, "modules.json", [{"path": path, "type": f"sentence_transformers.models.{t}"} for path, t in modules]
    )
    write(tmp_path, "1_Pooling/config.json", {"word_embedding_dimension": 768, "pooling_mode_cls_token": True})
    write(tmp_path, "2_Dense/config.json", {"in_features": 768, "out_features": 128})
    stated = read_folder(tmp_path)
    assert (stated.dimensions, stated.pooling, stated.extras) == (128, "cls", ("Dense",))


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "mean+cls"),
        ({"pooling_mode_max_tokens": True}, "max_tokens"),
        ({"pooling_mode": "mean"}, "mean"),
    ],
)
def test_pooling(tmp_path, config, pooling):
    write(tmp_path, "modules.json", [{"path": "p", "type": "x.Pooling"}])
    write(tmp_path, "p/config.json", config)
    assert read_folder(tmp_path).pooling == pooling


def test_the_shortest_limit_counts_and_no_limit_is_none(tmp_path):
    write(tmp_path, "tokenizer_config.json", {"model_max_length": 10**30})
    assert read_folder(tmp_path).max_tokens is None
    write(tmp_path, "config.json", {"max_position_embeddings": 512, "hidden_size": 64})
    write(tmp_path, "sentence_bert_config.json", {"max_seq_length": 200})
    stated = read_folder(tmp_path)
    assert (stated.max_tokens, stated.dimensions) == (200, 64)


def test_prompts(tmp_path):
    write(tmp_path, "config_sentence_transformers.json", {"prompts": {"query": "q: ", "document": "d: "}})
    stated = read_folder(tmp_path)
    assert (stated.prefix("query"), stated.prefix("passage", "document"), stated.prefix("title")) == ("q: ", "d: ", "")


def test_a_change_of_any_file_that_counts_changes_the_digest(tmp_path):
    write(tmp_path, "config.json", {})
    (tmp_path / "model.safetensors").write_bytes(b"1")
    (tmp_path / "README.md").write_text("one")
    first = read_folder(tmp_path).digest()
    (tmp_path / "README.md").write_text("another")
    assert read_folder(tmp_path).digest() == first
    (tmp_path / "model.safetensors").write_bytes(b"22")
    assert read_folder(tmp_path).digest() != first


def test_a_damaged_file_and_a_missing_folder_are_named(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelFileError, match=r"config\.json.*cannot be read"):
        read_folder(tmp_path)
    with pytest.raises(ModelFileError, match="is not a folder"):
        read_folder(tmp_path / "none")
