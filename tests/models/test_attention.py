import pytest

from workbench.models.attention import LayerKV, layer_kv


def sliding(metadata, architecture, n_layer):
    layers = layer_kv({f"{architecture}.attention.sliding_window": 512, **metadata}, architecture, (1,) * n_layer, 8, 8)
    return [layer.sliding for layer in layers]


def test_a_plain_model_keeps_everything_everywhere():
    assert layer_kv({}, "llama", (3, 3), 64, 32) == (LayerKV(192, 96, False),) * 2


@pytest.mark.parametrize(
    ("architecture", "whole"),
    [("gemma3", [5, 11, 17]), ("gemma2", [1, 3, 5, 7, 9, 11, 13, 15, 17]), ("smallthinker", [0, 4, 8, 12, 16])],
)
def test_known_patterns(architecture, whole):
    assert [layer for layer, slides in enumerate(sliding({}, architecture, 18)) if not slides] == whole


def test_the_file_may_state_its_pattern():
    by_layer = {"gemma3.attention.sliding_window_pattern": (True, False, True)}
    assert sliding(by_layer, "gemma3", 3) == [True, False, True]
    assert sliding({"gemma3.attention.sliding_window_pattern": 2}, "gemma3", 4) == [True, False, True, False]
    assert sliding({"anything.attention.sliding_window_pattern": (0, 1)}, "anything", 2) == [False, True]


def test_an_unknown_architecture_is_taken_to_keep_every_layer_whole():
    assert sliding({}, "anything", 3) == [False] * 3


def test_no_window_no_sliding():
    assert not any(
        layer.sliding for layer in layer_kv({"gemma3.attention.sliding_window": 0}, "gemma3", (1,) * 9, 8, 8)
    )


def test_sliding_layers_may_have_narrower_heads():
    metadata = {"m.attention.sliding_window": 9, "m.attention.sliding_window_pattern": (1, 0)}
    metadata |= {"m.attention.key_length_swa": 4, "m.attention.value_length_swa": 2}
    assert layer_kv(metadata, "m", (2, 2), 8, 8) == (LayerKV(8, 4, True), LayerKV(16, 16, False))


def test_layers_that_reuse_the_kv_of_others_keep_none():
    assert sum(layer.k_width > 0 for layer in layer_kv({}, "gemma3n", (1,) * 30, 8, 8)) == 20
    assert sum(layer.k_width > 0 for layer in layer_kv({"g.attention.shared_kv_layers": 4}, "g", (1,) * 9, 8, 8)) == 5


def test_hybrids_attend_in_every_nth_layer():
    keeps = [layer.k_width > 0 for layer in layer_kv({}, "qwen3next", (1,) * 8, 8, 8)]
    assert keeps == [False, False, False, True] * 2
    assert all(
        layer.k_width for layer in layer_kv({"qwen3next.full_attention_interval": 1}, "qwen3next", (1,) * 3, 8, 8)
    )
    assert [layer.k_width for layer in layer_kv({}, "jamba", (0, 4, 0), 8, 8)] == [0, 32, 0]


def test_latent_attention_keeps_no_v():
    assert layer_kv({"deepseek2.attention.key_length_mla": 192}, "deepseek2", (1,), 576, 512) == (
        LayerKV(576, 0, False),
    )
