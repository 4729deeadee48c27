"""What a sweep needs to know of a notebook before it runs: its code's hash, its parameters and their defaults."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.errors import SweepError

_PARAMETERS = "parameters"
_MAGIC = re.compile(r"^([ \t]*)[%!].*$", re.MULTILINE)
"""Lines for IPython alone (``%matplotlib inline``), which Python cannot read."""


def code_hash(path: Path) -> str:
    """SHA-256 of a notebook's code cells: prose and outputs may change, what runs may not.

    Raises:
        SweepError: the file is not a notebook.
    """
    sources = [source for source, _ in _code(path)]
    return hashlib.sha256(json.dumps(sources, ensure_ascii=False).encode()).hexdigest()


def parameter_defaults(path: Path) -> dict[str, Any]:
    """Parameters of a notebook and their defaults; ``...`` for a default that is no literal.

    They are the names that its first cell tagged ``parameters`` assigns to: papermill puts the given values into a cell
    after that one, and itself only warns of a parameter the notebook does not have. Papermill is not asked, because it
    takes a second to load, more than planning ten thousand cells.

    Raises:
        SweepError: the file is not a notebook, or has no cell tagged ``parameters`` that can be read.
    """
    source = next((source for source, tags in _code(path) if _PARAMETERS in tags), None)
    if source is None:
        raise SweepError(f"{path} has no cell tagged 'parameters'. Tag the one that sets the defaults.")
    try:
        tree = ast.parse(_MAGIC.sub(r"\1pass", source))
    except (SyntaxError, ValueError) as error:
        raise SweepError(f"{path}: its cell tagged 'parameters' is not Python: {error}") from error
    return {name: _literal(value) for statement in tree.body for name, value in _assigned(statement)}


def load(path: Path) -> Any:
    """A notebook as papermill wants it. Always handed over loaded: braces in a path would be placeholders to it."""
    from papermill.iorw import load_notebook_node

    node = load_notebook_node(str(path))
    # papermill looks the language up here; a notebook written by a script may have none
    node.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    return node


def _code(path: Path) -> list[tuple[str, list[str]]]:
    """Source and tags of each code cell."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [
            ("".join(cell["source"]), list(cell.get("metadata", {}).get("tags", [])))
            for cell in cells
            if cell["cell_type"] == "code"
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SweepError(f"{path} cannot be read as a notebook: {error}") from error


def _assigned(statement: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    match statement:
        case ast.Assign(targets=targets, value=value):
            yield from ((target.id, value) for target in targets if isinstance(target, ast.Name))
        case ast.AnnAssign(target=ast.Name(name), value=ast.expr() as value):
            yield name, value


def _literal(value: ast.expr) -> Any:
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError):
        return ...
