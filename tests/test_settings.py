"""Settings: checked when made, unknown names refused, places on disk."""

import dataclasses
import json
from pathlib import Path

import pytest

from workbench.errors import InvalidSettings, UnknownName
from workbench.settings import KV_TYPES, EngineSettings, cache_dir, data_dir, home, model_dirs

WHOLE_NUMBERS = ("n_ctx", "n_batch", "n_ubatch", "n_seq_max", "n_threads", "n_threads_batch")


def test_the_defaults_are_valid_and_go_through_json():
    settings = EngineSettings()
    assert EngineSettings.from_mapping(json.loads(json.dumps(settings.to_dict()))) == settings


def test_every_setting_is_documented_and_named():
    names = [field.name for field in dataclasses.fields(EngineSettings)]
    assert EngineSettings.names() == tuple(names)
    for name in names:
        assert f"        {name}: " in EngineSettings.__doc__


@pytest.mark.parametrize("name", WHOLE_NUMBERS)
@pytest.mark.parametrize("value", [0, -1, 1.5, "512", True])
def test_counts_are_whole_numbers_of_at_least_one(name, value):
    with pytest.raises(InvalidSettings, match=name):
        EngineSettings(**{name: value})


@pytest.mark.parametrize("name", ["type_k", "type_v"])
def test_unknown_kv_types_list_the_known(name):
    with pytest.raises(UnknownName, match="q8_0") as caught:
        EngineSettings(**{name: "q8"})
    assert set(caught.value.known) == set(KV_TYPES)


def test_an_unknown_split_mode_lists_the_known():
    with pytest.raises(UnknownName, match="layer, none, row"):
        EngineSettings(split_mode="rows")


@pytest.mark.parametrize("name", ["flash_attn", "use_mmap", "kv_unified", "prefix_cache", "repack"])
@pytest.mark.parametrize("value", ["false", 0, 1])
def test_a_switch_is_true_or_false_and_no_text(name, value):
    with pytest.raises(InvalidSettings, match=f"{name} must be true or false"):
        EngineSettings(**{name: value})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"n_gpu_layers": "all"}, "n_gpu_layers"),
        ({"n_gpu_layers": -2}, "at least -1"),
        ({"main_gpu": -1}, "main_gpu"),
        ({"n_seq_max": 257, "n_batch": 512}, "256 at most"),
        ({"n_batch": 64, "n_ubatch": 128}, "n_ubatch"),
        ({"n_batch": 2, "n_seq_max": 4}, "n_batch"),
        ({"type_v": "q8_0", "flash_attn": False}, "flash_attn=True"),
    ],
)
def test_settings_that_exclude_each_other_name_the_way_out(values, words):
    with pytest.raises(InvalidSettings, match=words):
        EngineSettings(**values)


def test_a_quantised_v_cache_may_leave_flash_attention_open():
    assert EngineSettings(type_v="q8_0").flash_attn is None
    assert EngineSettings(type_v="q8_0", flash_attn=True).type_v == "q8_0"


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(UnknownName, match=r"Unknown setting 'n_bach'. Did you mean 'n_batch'\?"):
        EngineSettings.from_mapping({"n_bach": 512})


def test_lists_from_yaml_become_tuples():
    assert EngineSettings.from_mapping({"tensor_split": [0.5, 0.5]}).tensor_split == (0.5, 0.5)


def test_replace_checks_again():
    settings = EngineSettings(n_batch=256)
    assert settings.replace(n_ctx=1024) == EngineSettings(n_batch=256, n_ctx=1024)
    with pytest.raises(InvalidSettings):
        settings.replace(n_ubatch=512)
    with pytest.raises(UnknownName):
        settings.replace(n_contex=1)


def test_settings_are_values():
    assert {EngineSettings(), EngineSettings()} == {EngineSettings()}
    with pytest.raises(dataclasses.FrozenInstanceError):
        EngineSettings().n_ctx = 1


def test_one_variable_moves_everything(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    assert home() == tmp_path
    assert cache_dir() == tmp_path / "cache"


def test_without_it_the_platform_decides(monkeypatch):
    monkeypatch.delenv("WORKBENCH_HOME", raising=False)
    assert home().name == cache_dir().name == "workbench"
    assert home() != cache_dir()


def test_a_tilde_is_the_users_home(monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", "~/bench")
    monkeypatch.setenv("WORKBENCH_MODELS", "~/a:/b::")
    assert home() == Path.home() / "bench"
    assert model_dirs() == (Path.home() / "a", Path("/b"))


def test_unset_folders_are_none(monkeypatch):
    for name in ("WORKBENCH_MODELS", "WORKBENCH_DATA"):
        monkeypatch.delenv(name, raising=False)
    assert model_dirs() == ()
    assert data_dir() is None


def test_the_data_folder_can_be_named(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    assert data_dir() == tmp_path
