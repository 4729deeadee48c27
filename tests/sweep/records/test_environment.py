import json
import subprocess

import pytest

from workbench.errors import UnknownName
from workbench.hardware import EnergyMeter
from workbench.sweep.records import environment


@pytest.fixture
def no_llama(monkeypatch):
    monkeypatch.setattr(environment, "_ask_llama", lambda: {"system_info": "AVX2 = 1", "gpu_offload": False})


def test_it_is_json_and_has_what_a_reader_asks_for(no_llama):
    facts = environment.capture()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert {"host", "os", "python", "cpu", "ram_total_bytes", "gpus", "packages", "llama_cpp", "usable_cores"} <= set(
        facts
    )
    assert facts["packages"]["workbench"]
    assert len(facts["gpu_readings"]) == len(facts["gpus"])
    assert {"load_1min", "cpu_mhz", "cpu_temperature_c", "visible_gpus"} <= set(facts)
    assert facts["energy"] is None


def test_what_a_run_took_goes_along(no_llama):
    facts = environment.capture(energy=EnergyMeter())
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["energy"]["seconds"] > 0
    assert len(facts["energy"]["gpu_joules"]) == len(facts["gpus"])


def test_a_machine_without_thermometer_and_clock_has_gaps(no_llama, monkeypatch):
    monkeypatch.setattr(environment.hardware, "frequency_mhz", lambda: None)
    monkeypatch.setattr(environment.hardware, "cpu_temperature_c", lambda: None)
    facts = environment.capture()
    assert facts["cpu_mhz"] is facts["cpu_temperature_c"] is None


def test_the_build_is_kept(no_llama, tmp_path, monkeypatch):
    first = environment.llama_build(tmp_path)
    monkeypatch.setattr(environment, "_ask_llama", lambda: pytest.fail("asked again"))
    assert environment.llama_build(tmp_path) == first


def test_a_library_that_does_not_load_is_an_absent_fact(monkeypatch):
    monkeypatch.setattr(environment, "_BUILD_QUERY", "import os; os.abort()")
    assert environment.llama_build() is None
    monkeypatch.setattr(environment, "_BUILD_QUERY", "print('no json')")
    assert environment.llama_build() is None


def git(folder, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_the_commit_and_whether_it_is_what_ran(tmp_path):
    assert environment.git_state(tmp_path) is None
    git(tmp_path, "init")
    assert environment.git_state(tmp_path) is None
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "x")
    clean = environment.git_state(tmp_path)
    assert len(clean["commit"]) == 40
    assert not clean["dirty"]
    (tmp_path / "a").write_text("2")
    assert environment.git_state(tmp_path) == {**clean, "dirty": True}


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment.git_state(tmp_path) is None


def test_models_by_name(tmp_path):
    assert environment.model_facts([]) == {}
    with pytest.raises(UnknownName):
        environment.model_facts(["no-such-model"])
