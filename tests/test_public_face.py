"""The public names: all there, all what they seem, nothing missing."""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest

import workbench

ROOMS = [module.name for module in pkgutil.iter_modules(workbench.__path__) if module.ispkg]


def type_checking_names(module):
    """Names a package imports for type checkers only."""
    tree = ast.parse(inspect.getsource(module))
    blocks = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name for node in imports for alias in node.names}


def test_every_exported_name_is_there():
    for name in workbench.__all__:
        assert getattr(workbench, name) is not None, name


def test_importing_a_room_hides_no_name():
    """A function must not share its name with a room: importing the room would put the module in its place."""
    for room in pkgutil.iter_modules(workbench.__path__):
        importlib.import_module(f"workbench.{room.name}")
    for name in workbench.__all__:
        assert not isinstance(getattr(workbench, name), ModuleType), name


def test_the_lists_agree():
    names = set(workbench.__all__) - {"__version__"}
    assert names == set(workbench._HOME) == type_checking_names(workbench)
    assert dir(workbench) == sorted(workbench.__all__)
    assert len(workbench.__all__) == len(set(workbench.__all__))


def test_every_registry_is_public():
    from workbench import registry

    kinds = {name for name, value in vars(registry).items() if isinstance(value, registry.Registry)}
    assert kinds <= set(workbench.__all__)


def test_an_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'workbench' has no attribute 'lode'"):
        _ = workbench.lode


def test_public_things_are_documented():
    for name in workbench.__all__:
        value = getattr(workbench, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), name


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_exports_what_it_says(room):
    module = importlib.import_module(f"workbench.{room}")
    for name in module.__all__:
        assert not isinstance(getattr(module, name), ModuleType), f"{name} is hidden by a module of that name"
    lazy = type_checking_names(module)
    assert lazy <= set(module.__all__), "what type checkers see is public"


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_says_what_it_is_for(room):
    text = importlib.import_module(f"workbench.{room}").__doc__
    assert text
    assert len(text.split()) > 10


def test_types_are_shipped():
    assert Path(workbench.__path__[0], "py.typed").is_file()
