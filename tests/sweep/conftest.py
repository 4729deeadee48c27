import importlib
import itertools
import sys

import nbformat
import pytest

from workbench.interfaces import Record
from workbench.sweep.design.planning import plan
from workbench.sweep.findings.analysis import analyse
from workbench.sweep.records.table import Run
from workbench.sweep.results import Audit
from workbench.sweep.specification.source import parse
from workbench.sweep.specification.spec import SweepSpec

NOTEBOOK = (
    "a = 1\nb = True\nengine = 'tuned'\nmodel = None\nn_batch = 512",
    "import workbench\nworkbench.record(speed=float(a))",
)


@pytest.fixture
def notebook(tmp_path):
    """Write a notebook of code cells, the first one tagged `parameters`."""

    def write(*code, name="notebook.ipynb", tags=("parameters",)):
        cells = [nbformat.v4.new_code_cell(source) for source in code or NOTEBOOK]
        cells[0].metadata["tags"] = list(tags)
        path = tmp_path / name
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
        return path

    return write


@pytest.fixture
def specification(tmp_path, notebook):
    """Write a specification beside a notebook; returns its path. Text after the first line is as given."""

    def write(text, *code):
        if not (tmp_path / "notebook.ipynb").exists() or code:
            notebook(*code)
        path = tmp_path / "sweep.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def spec_of(notebook, tmp_path):
    """A specification from keyword arguments, checked for shape only."""
    notebook()

    def make(**changes):
        values = {
            "name": "trial",
            "notebook": str(tmp_path / "notebook.ipynb"),
            "results": str(tmp_path / "results"),
            "parameters": {"a": [1, 2]},
            "blocks": 10,
            "objectives": [{"metric": "speed", "direction": "maximize"}],
        }
        source = parse("name: trial")
        source.value.clear()
        source.value.update({**values, **changes})
        return SweepSpec.from_source(source)

    return make


@pytest.fixture
def simulated():
    """Analysis of a sweep whose runs are `measure(parameters, arm, block, order)` → metrics (None: the run failed)."""

    def run(spec, measure, *, info=None, host="bench", defaults=None):
        cells = plan(spec)
        runs, clock = [], itertools.count(1)
        for cell in cells:
            order = next(clock)
            metrics = measure(cell.configuration.parameters, cell.configuration.arm, cell.block, order)
            if metrics is not None:
                runs.append(
                    Run(
                        cell=cell,
                        order=order,
                        host=host,
                        started=1.7e9 + order,
                        elapsed_s=1.0,
                        record=Record(metrics=metrics, info=info or {}),
                        environment={"host": host},
                    )
                )
        failed = len(cells) - len(runs)
        audit = Audit(planned=len(cells), done=len(runs), failed=failed, missing=0)
        return analyse(spec, runs, audit, defaults=defaults)

    return run


@pytest.fixture
def jobs_module(tmp_path, monkeypatch):
    """Import a module made of the given source, so that another process can find its functions by name."""

    def make(source):
        name = f"jobs_{abs(hash(source))}"
        folder = tmp_path / "modules"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(str(folder))
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield make
    for name in [name for name in sys.modules if name.startswith("jobs_")]:
        del sys.modules[name]
