"""What a sweep needs to know of a notebook before it runs: its code's hash, its parameters and their defaults."""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path
from typing import Any

from workbench.errors import SweepError


def code_hash(path: Path) -> str:
    """SHA-256 of a notebook's code cells: prose and outputs may change, what runs may not.

    Raises:
        SweepError: the file is not a notebook.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SweepError(f"{path} cannot be read as a notebook: {error}") from error
    return hashlib.sha256(json.dumps(sources, ensure_ascii=False).encode()).hexdigest()


def parameter_defaults(path: Path) -> dict[str, Any]:
    """Parameters of a notebook and their defaults; ``...`` for a default that is no literal.

    Papermill itself only warns of a parameter the notebook does not have, so this is asked first.

    Raises:
        SweepError: the file is not a notebook, or has no cell tagged ``parameters``.
    """
    code_hash(path)  # says what is wrong with a file that is no notebook; papermill would not
    from papermill import inspect_notebook
    from papermill.utils import any_tagged_cell

    node = load(path)
    if not any_tagged_cell(node, "parameters"):
        raise SweepError(f"{path} has no cell tagged 'parameters'. Tag the one that sets the defaults.")
    return {name: _literal(found["default"]) for name, found in inspect_notebook(node).items()}


def load(path: Path) -> Any:
    """A notebook as papermill wants it. Always handed over loaded: braces in a path would be placeholders to it."""
    from papermill.iorw import load_notebook_node

    node = load_notebook_node(str(path))
    # papermill looks the language up here; a notebook written by a script may have none
    node.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    return node


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return ...
