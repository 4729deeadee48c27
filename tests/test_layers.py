"""The floors of the house: imports point down only, and every room stands on a floor."""

import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import workbench

ROOT = Path(workbench.__path__[0]).parent
ANYWHERE = {"testing"}  # the tools of tests look into every room and none looks into them


def test_imports_point_down_only():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_every_room_stands_on_a_floor():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [floors] = [contract["layers"] for contract in contracts if contract.get("containers") == ["workbench"]]
    named = {name for floor in floors for name in re.findall(r"\w+", floor)}
    rooms = {module.name for module in pkgutil.iter_modules(workbench.__path__)}
    assert rooms - named == ANYWHERE


def test_no_room_needs_the_tools_of_tests():
    imports = re.compile(r"^\s*(from|import) workbench\.testing", re.MULTILINE)
    for file in Path(workbench.__path__[0]).rglob("*.py"):
        assert "testing" in file.parts or not imports.search(file.read_text()), file
