"""What importing costs, told by what is imported: the clock of a shared machine tells nothing."""

import pkgutil
import subprocess
import sys

import pytest

import workbench

HEAVY = (
    "torch",
    "chromadb",
    "llama_cpp",
    "plotly",
    "papermill",
    "pandas",
    "scipy",
    "sentence_transformers",
    "jupyterlab",
)
HEAVIER_THAN_A_FACE = (*HEAVY, "numpy", "pydantic", "ipywidgets", "IPython", "psutil", "pynvml", "yaml", "gguf")
ROOMS = sorted(module.name for module in pkgutil.iter_modules(workbench.__path__))


def imported_by(statement):
    """Names of the top-level modules a fresh interpreter has after ``statement``; it must print nothing itself."""
    code = f"{statement}\nimport sys\nprint(' '.join(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    [line] = done.stdout.splitlines()
    return {name.split(".")[0] for name in line.split()}


def test_import_workbench_is_light():
    assert imported_by("import workbench").isdisjoint(HEAVIER_THAN_A_FACE)


def test_looking_around_imports_nothing_more():
    statement = "import workbench as wb\ndir(wb)\nwb.__version__\nwb.WorkbenchError\nwb.EngineSettings()"
    assert imported_by(statement).isdisjoint(HEAVIER_THAN_A_FACE)


def test_the_registries_load_no_component():
    statement = "import workbench as wb\nfor one in (wb.engines, wb.memories, wb.embedders, wb.executors): one.names()"
    assert imported_by(statement).isdisjoint(HEAVY)


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_loads_what_is_heavy_on_first_use(room):
    assert imported_by(f"import workbench.{room}").isdisjoint(HEAVY)


def test_contracts_alone_bring_the_test_libraries():
    light = imported_by("from workbench.testing import ScriptedEngine, make_tiny_gguf")
    assert light.isdisjoint({"pytest", "hypothesis"})
    assert {"pytest", "hypothesis"} <= imported_by("from workbench.testing import MemoryContract")


def test_a_scripted_engine_answers_without_llama_cpp():
    statement = "from workbench.testing import ScriptedEngine\nScriptedEngine('x').complete('y', preset='chat')"
    assert imported_by(statement).isdisjoint(HEAVY)
