"""Checks of the installation, against installations to order."""

import subprocess
from types import SimpleNamespace

import pytest

from workbench.checkup import installation


def test_a_cpu_build_beside_a_gpu_is_told_how_to_be_rebuilt(a_gpu, build, path):
    build(gpu_offload=False)
    path("nvcc")
    check = installation.llama_cpp()
    assert check.status == "warning"
    assert 'CMAKE_ARGS="-DGGML_CUDA=on" pip install --force-reinstall' in check.remedy
    assert "--no-binary llama-cpp-python" in check.remedy


def test_without_nvcc_the_toolkit_comes_first(a_gpu, build, path):
    build(gpu_offload=False)
    assert installation.llama_cpp().remedy.startswith("Install the CUDA toolkit")


def test_a_gpu_build_is_well(a_gpu, build, monkeypatch):
    build(gpu_offload=True)
    monkeypatch.setattr(installation, "cpu_features", frozenset)
    check = installation.llama_cpp()
    assert check.status == "ok"
    assert "GPU offload" in check.detail


def test_instructions_the_build_leaves_unused_are_named(no_gpu, build, monkeypatch):
    build(flags="CPU : AVX = 1 | AVX2 = 1 | AVX512 = 0 | ")
    monkeypatch.setattr(installation, "cpu_features", lambda: frozenset({"avx", "avx2", "avx512f"}))
    check = installation.llama_cpp()
    assert check.status == "warning"
    assert "AVX512, which this build does not use" in check.detail
    assert "AVX512" not in check.detail.split("This CPU also has")[0]


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (SimpleNamespace(returncode=-4, stdout="", stderr=""), "SIGILL: it was built for another CPU"),
        (SimpleNamespace(returncode=-6, stdout="", stderr=""), "SIGABRT"),
        (SimpleNamespace(returncode=1, stdout="", stderr="Trace\nOSError: libcudart.so.13\n"), "libcudart.so.13"),
        (SimpleNamespace(returncode=1, stdout="", stderr=""), "cannot be loaded"),
        (subprocess.TimeoutExpired("python", 1), "took longer"),
    ],
)
def test_a_build_that_does_not_load_is_a_problem(monkeypatch, outcome, words):
    def run(*args, **kwargs):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(installation.subprocess, "run", run)
    check = installation.llama_cpp()
    assert check.status == "problem"
    assert words in check.detail
    assert "pip install" in check.remedy


def test_the_real_build_answers():
    answer, trouble = installation.probe_llama()
    assert trouble == ""
    assert answer["gpu_offload"] in (True, False)
    assert "CPU" in answer["flags"]


def test_compilers_are_found_with_their_versions(no_gpu, path):
    path("cc", "cc (Debian 12.2.0-14) 12.2.0")
    path("cmake", "cmake version 3.25.1")
    path("nvcc", "Cuda compilation tools, release 13.0, V13.0.48")
    check = installation.compilers()
    assert check.status == "ok"
    assert check.detail == "cc 12.2.0, cmake 3.25.1, nvcc 13.0"


def test_a_tool_that_does_not_say_its_version_is_there_all_the_same(no_gpu, path):
    path("cc", "no number")
    path("cmake", "", status=3)
    assert installation.compilers().detail.startswith("cc unknown, cmake unknown")


@pytest.mark.parametrize("present", [(), ("cc",), ("cmake",)])
def test_missing_compilers_are_told_how_to_be_installed(no_gpu, path, present):
    for name in present:
        path(name)
    check = installation.compilers()
    assert check.status == "warning"
    assert "apt-get install build-essential cmake" in check.remedy


def test_a_gpu_without_nvcc_needs_the_toolkit(a_gpu, path):
    path("cc")
    path("cmake")
    assert "CUDA toolkit" in installation.compilers().remedy


@pytest.fixture
def packages(monkeypatch):
    """packages(requirements, installed, pins)."""

    def have(requirements, installed, pins=None):
        monkeypatch.setattr(installation, "requires", lambda _: requirements)
        monkeypatch.setattr(installation, "_version", installed.get)
        monkeypatch.setattr(installation, "tested_pins", lambda: pins or {})
        return installation.packages()

    return have


def test_packages_as_required(packages):
    check = packages(["numpy>=2", "extra-thing>=1; extra == 'dev'"], {"numpy": "2.4.6"}, {"numpy": "2.4.6"})
    assert check.status == "ok"
    assert "numpy 2.4.6" in check.detail


@pytest.mark.parametrize("installed", [{}, {"numpy": "1.26.0"}])
def test_a_package_missing_or_too_old_is_a_problem_with_a_command(packages, installed):
    check = packages(["numpy>=2"], installed)
    assert check.status == "problem"
    assert check.remedy == "pip install 'numpy>=2'"


def test_another_version_than_the_tested_is_a_warning(packages):
    check = packages(["PyYAML>=6"], {"PyYAML": "6.1"}, {"pyyaml": "6.0"})
    assert check.status == "warning"
    assert "PyYAML 6.1 (tested: 6.0)" in check.detail


def test_the_projects_own_pins_are_read():
    pins = installation.tested_pins()
    assert pins["torch"] == "2.13.0"
    assert installation.canonicalize_name("llama_cpp_python") in pins


def test_no_kernel_is_a_problem(monkeypatch):
    import jupyter_client.kernelspec

    monkeypatch.setattr(jupyter_client.kernelspec.KernelSpecManager, "find_kernel_specs", lambda self: {})
    check = installation.jupyter()
    assert check.status == "problem"
    assert "ipykernel install" in check.remedy


def test_jupyter_missing_is_a_problem(monkeypatch):
    monkeypatch.setattr(installation, "_version", lambda name: None)
    assert installation.jupyter().status == "problem"


def test_peers_are_optional(path):
    assert installation.peers().status == "ok"
    assert "optional" in installation.peers().detail
    path("llama-server")
    assert "llama-server (" in installation.peers().detail
