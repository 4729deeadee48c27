import subprocess
import sys

import pytest

import workbench.models

LIGHT = """
import sys
import workbench.models
heavy = {"numpy", "gguf", "llama_cpp", "pydantic", "psutil"} & set(sys.modules)
assert not heavy, heavy
from workbench.models import list_models, resolve
assert callable(resolve)
assert "llama_cpp" not in sys.modules
"""


def test_importing_the_room_loads_nothing_heavy():
    subprocess.run([sys.executable, "-c", LIGHT], check=True, timeout=60)


def test_every_exported_name_is_there():
    for name in workbench.models.__all__:
        assert getattr(workbench.models, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = workbench.models.nothing


def test_the_list_is_exported_at_the_top():
    assert workbench.list_models() == workbench.models.list_models()
