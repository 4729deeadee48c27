import json
from pathlib import Path

import pytest

from workbench.errors import SweepError
from workbench.sweep.specification.notebooks import code_hash, load, parameter_defaults


def test_the_hash_follows_code_only(notebook):
    path = notebook("a = 1", "print(a)")
    before = code_hash(path)
    document = json.loads(path.read_text())
    document["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["1\n"]}]
    document["cells"].insert(0, {"cell_type": "markdown", "metadata": {}, "source": ["# prose"], "id": "m"})
    path.write_text(json.dumps(document))
    assert code_hash(path) == before
    assert code_hash(notebook("a = 1", "print(a + 1)")) != before


def test_defaults_are_read_as_values(notebook):
    path = notebook("a = 1\nb = 'x'  # what it is\nc = [1, 2]\nd = len('no literal')\ne: int = 4")
    assert parameter_defaults(path) == {"a": 1, "b": "x", "c": [1, 2], "d": ..., "e": 4}


def test_only_what_the_cell_assigns_to_is_a_parameter(notebook):
    code = "%matplotlib inline\nimport os\na = b = 2\nc = [\n    1,\n    2,\n]\nif a:\n    d = 1\n!ls\nprint(a == 3)\n"
    code += "e: int"
    assert parameter_defaults(notebook(code)) == {"a": 2, "b": 2, "c": [1, 2]}


def test_papermill_sees_the_same_parameters():
    """Of every notebook here: papermill's own reading, which takes a second to load, is what it will warn by."""
    import warnings

    from papermill import inspect_notebook

    paths = sorted(Path(__file__).parents[3].glob("notebooks/**/*.ipynb"))
    paths = [path for path in paths if ".ipynb_checkpoints" not in path.parts]
    assert len(paths) > 30
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in paths:
            assert set(parameter_defaults(path)) == set(inspect_notebook(load(path))), path


def test_a_parameters_cell_that_is_no_python_is_refused(notebook):
    with pytest.raises(SweepError, match="tagged 'parameters' is not Python"):
        parameter_defaults(notebook("a = = 1"))


def test_braces_in_a_path_are_a_path(notebook):
    assert parameter_defaults(notebook("a = 1", name="{a}.ipynb")) == {"a": 1}


@pytest.mark.parametrize("content", ["", "{}", '{"cells": [{"cell_type": "code"}]}', "[]"])
def test_what_is_no_notebook_is_refused(tmp_path, content):
    path = tmp_path / "x.ipynb"
    path.write_text(content)
    with pytest.raises(SweepError, match="cannot be read as a notebook"):
        code_hash(path)
