"""From what a person types to a model file: a path, a bundled model's name, or the name of a file that was found."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from workbench.errors import ModelFileError, UnknownName, UsageError
from workbench.models.catalogue import CATALOGUE
from workbench.models.discovery import FoundModel, list_models
from workbench.models.gguf_file import ModelFile, read_model_file
from workbench.models.requantised import provenance

_REMEDY = (
    "Give the path of a .gguf file, set WORKBENCH_MODELS to a folder of them, or see `workbench models` for what is "
    "found where."
)


def resolve(name_or_path: str | Path | ModelFile) -> ModelFile:
    """The model that is meant.

    Args:
        name_or_path: the path of a ``.gguf``; the name of a bundled model ("smollm2-135m"); the name of a found one as
            :func:`workbench.models.models` lists it ("llama3.2:3b"), or the beginning of it if only one begins so.
            A :class:`ModelFile` is returned as it is.

    Raises:
        UnknownName: nothing has that name; lists the known ones.
        UsageError: several begin with it; lists them.
        ModelFileError: no such file, or it is not a whole, sane GGUF.
        MissingExtra: the bundled model is not installed.
    """
    if isinstance(name_or_path, ModelFile):
        return name_or_path
    if isinstance(name_or_path, Path) or _looks_like_path(name_or_path):
        return _from_path(Path(name_or_path).expanduser())
    for bundled in CATALOGUE:
        if bundled.name == name_or_path:
            return dataclasses.replace(read_model_file(bundled.locate()), name=bundled.name)
    return _from_found(_choose(name_or_path, list(list_models())))


def _looks_like_path(name: str) -> bool:
    if name.lower().endswith(".gguf") or name.startswith(("/", "./", "../", "~", ".\\", "..\\")):
        return True
    return os.path.isabs(name) or (os.sep in name and os.path.exists(name))


def _from_path(path: Path) -> ModelFile:
    if os.path.isdir(path):
        raise ModelFileError(path, "is a folder. Name the .gguf file in it, or put the folder into WORKBENCH_MODELS.")
    if not os.path.exists(path):  # unlike Path.exists, also for a name too long
        raise ModelFileError(path, "no such file. `workbench models` lists what is found where.")
    return read_model_file(path)


def _from_found(found: FoundModel) -> ModelFile:
    for bundled in CATALOGUE:
        if found.source == "bundled" and bundled.name == found.name:
            return dataclasses.replace(read_model_file(bundled.locate()), name=bundled.name)
    return dataclasses.replace(read_model_file(found.path), name=found.name)


def _choose(name: str, found: list[FoundModel]) -> FoundModel:
    """The only model that is called so, or begins so, whatever the case of the letters."""
    wanted = name.casefold()
    named = [one for one in found if one.name.casefold() in (wanted, f"{wanted}:latest")]
    candidates = named or [one for one in found if wanted and one.name.casefold().startswith(wanted)]
    if len(candidates) > 1:  # a copy made here does not stand in the way of its original
        candidates = [one for one in candidates if provenance(one.path) is None] or candidates
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise UnknownName("model", name, {*(one.name for one in found), *(one.name for one in CATALOGUE)}, _REMEDY)
    listed = "; ".join(f"{one.name} ({one.source}, {one.path})" for one in candidates)
    raise UsageError(f"{name!r} may mean several models: {listed}. Give the whole name, or the path.")
