"""Checks of where things lie: models, folders, disk space, and the variables that say so."""

from __future__ import annotations

import os
import shutil
from difflib import get_close_matches
from pathlib import Path

from workbench.checkup.report import Check
from workbench.settings import cache_dir, data_dir, home, model_dirs

VARIABLES = ("WORKBENCH_DATA", "WORKBENCH_HOME", "WORKBENCH_MODELS")
"""Variables a user may set. Their values are paths; those of any other variable are never shown."""

_INTERNAL = ("WORKBENCH_RECORD",)  # the sweep tells its children by it where to write

_GIB = 2**30
_LITTLE_BYTES, _NO_BYTES = 5 * _GIB, _GIB // 2
_SHOWN_MODELS = 6


def models() -> Check:
    """Model files on this machine."""
    from workbench.models import list_models

    found = list(list_models())
    usable = [one for one in found if one.problem is None]
    broken = [f"{one.path}: {one.problem}" for one in found if one.problem is not None]
    names = ", ".join(one.name for one in usable[:_SHOWN_MODELS]) + (", …" if len(usable) > _SHOWN_MODELS else "")
    if not usable:
        remedy = "pip install 'workbench[models]', or name a folder of GGUF files in WORKBENCH_MODELS"
        return Check("Models", "warning", "; ".join(["none found", *broken]), remedy)
    if broken:
        detail = f"{len(usable)} usable ({names}); not usable: {'; '.join(broken)}"
        return Check("Models", "warning", detail, "Download the broken ones again, or delete them.")
    return Check("Models", "ok", f"{len(usable)} found: {names}")


def variables() -> Check:
    """The variables workbench reads."""
    own = sorted(name for name in os.environ if name.startswith("WORKBENCH_") and name not in _INTERNAL)
    shown = ", ".join(f"{name}={os.environ[name]}" for name in own if name in VARIABLES) or "none set"
    unknown = [name for name in own if name not in VARIABLES]
    if unknown:
        guesses = {name: get_close_matches(name, VARIABLES, n=1) for name in unknown}
        listed = ", ".join(f"{name}{f' ({guess[0]}?)' if guess else ''}" for name, guess in guesses.items())
        detail = f"{shown}; without any effect: {listed}"
        return Check("Variables", "warning", detail, f"Known are {', '.join(VARIABLES)}.")
    missing = [str(folder) for folder in (*model_dirs(), data_dir()) if folder is not None and not folder.is_dir()]
    if missing:
        remedy = "Create these folders, or correct the variable."
        return Check("Variables", "warning", f"{shown}; not there: {', '.join(missing)}", remedy)
    return Check("Variables", "ok", shown)


def folders() -> Check:
    """Whether workbench can write where it keeps things."""
    wanted = {"home": home(), "cache": cache_dir()}
    detail = ", ".join(f"{name} {folder}" for name, folder in wanted.items())
    closed = [str(folder) for folder in wanted.values() if not _writable(folder)]
    if closed:
        remedy = "Make them writable, or set WORKBENCH_HOME to a folder of yours."
        return Check("Folders", "problem", f"cannot be written: {', '.join(closed)}", remedy)
    return Check("Folders", "ok", detail)


def disk() -> Check:
    """Room where workbench keeps things."""
    free = shutil.disk_usage(_existing(home())).free
    detail = f"{free / _GIB:,.1f} GiB free at {home()}"
    if free < _LITTLE_BYTES:
        status = "problem" if free < _NO_BYTES else "warning"
        return Check("Disk", status, detail, "Free some space, or set WORKBENCH_HOME to a larger disk.")  # type: ignore[arg-type]
    return Check("Disk", "ok", detail)


def _writable(folder: Path) -> bool:
    """Whether files can be made in ``folder``, which need not be there yet."""
    place = _existing(folder)
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)


def _existing(path: Path) -> Path:
    """The nearest thing above ``path`` that is there."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())
