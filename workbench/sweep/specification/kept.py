"""The specification as it was run, kept in the results' folder: the folder can be read without the file it came from.

What is kept names the notebook's copy beside it, whose code is what ran, and the folder itself as the place of results.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from workbench.errors import SpecError
from workbench.storage import write_text
from workbench.sweep.specification import source
from workbench.sweep.specification.spec import SweepSpec

FILE, NOTEBOOK = "spec.yaml", "source.ipynb"
_SAYS = (
    "# What was run here, for reading (`workbench sweep report`, `workbench report`). To run more, use the original.\n"
)


def keep(spec: SweepSpec, folder: Path) -> Path:
    """Write the specification into a results folder, atomically; returns the file.

    Raises:
        StorageFull: no room.
    """
    values = spec.model_dump(mode="json", exclude_unset=True) | {"notebook": NOTEBOOK, "results": "."}
    text = yaml.dump(values, Dumper=_Quoting, sort_keys=False, allow_unicode=True, width=120)
    write_text(folder / FILE, _SAYS + text)
    return folder / FILE


def kept(folder: Path) -> SweepSpec:
    """The specification that a results folder was made with; its names are not checked again.

    Raises:
        SpecError: there is none, or it cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        raise SpecError(
            "was made by an older version, which kept no specification here. Run `workbench sweep report` on the "
            "specification itself.",
            path=folder,
        )
    return SweepSpec.from_source(source.read(path))


class _Quoting(yaml.SafeDumper):
    """Quotes every text that is more than a name, so that YAML reads back what was written: 1e5, 12:30, on."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None if value.isidentifier() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Quoting.add_representer(str, _text)
