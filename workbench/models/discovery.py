"""The list of models on this machine.

Headers are read once per file state and remembered, so a second listing opens no model. A file that cannot be a model
is listed with what is wrong with it; it never spoils the list. Knows folders through :mod:`workbench.models.places`.
"""

from __future__ import annotations

import html
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from workbench.errors import ModelError, StorageError, StoreCorrupt, WorkbenchWarning
from workbench.models.catalogue import CATALOGUE
from workbench.models.gguf_file import ModelFile, read_model_file, split_parts
from workbench.models.places import everywhere
from workbench.settings import cache_dir
from workbench.showing import Shown
from workbench.storage import read_json, write_json

_CACHE_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel(Shown):
    """A model file that was found. Facts are ``None`` where the file is broken.

    Attributes:
        name: what :func:`workbench.models.resolve` knows it by.
        source: who put it there: "bundled", "Ollama", …
        path: where it is.
        size_bytes: of all its files.
        architecture: "llama".
        quantisation: "Q4_K_M".
        parameters: number of weights.
        n_ctx_train: trained context in tokens.
        problem: why it cannot be used; ``None``: it can.
    """

    name: str
    source: str
    path: Path
    size_bytes: int | None = None
    architecture: str | None = None
    quantisation: str | None = None
    parameters: int | None = None
    n_ctx_train: int | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is remembered of a header, for as long as ``stamp`` (size, mtime_ns of each part) stays the same."""

    stamp: tuple[tuple[int, int], ...]
    size_bytes: int
    architecture: str
    quantisation: str
    parameters: int
    n_ctx_train: int


class ModelList(Sequence[FoundModel]):
    """Found models, in order of their sources. Shows itself as a table."""

    _COLUMNS = ("name", "architecture", "quantisation", "size", "trained context", "source")

    def __init__(self, found: Sequence[FoundModel]) -> None:
        self._found = tuple(found)

    @overload
    def __getitem__(self, index: int) -> FoundModel: ...
    @overload
    def __getitem__(self, index: slice) -> ModelList: ...
    def __getitem__(self, index: int | slice) -> FoundModel | ModelList:
        return ModelList(self._found[index]) if isinstance(index, slice) else self._found[index]

    def __len__(self) -> int:
        return len(self._found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelList) and self._found == other._found

    def __hash__(self) -> int:
        return hash(self._found)

    def __repr__(self) -> str:
        if not self._found:
            return "No models found. Run: pip install 'workbench[models]', or set WORKBENCH_MODELS to a folder of them."
        rows = [self._COLUMNS, *map(_cells, self._found)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(self._COLUMNS))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, *(f"{one.name}: {one.problem}" for one in self._found if one.problem)])

    def _repr_html_(self) -> str:
        if not self._found:
            return f"<p>{html.escape(repr(self))}</p>"
        head = "".join(f"<th>{html.escape(column)}</th>" for column in self._COLUMNS)
        body = "".join(f"<tr title='{html.escape(_hint(one))}'>{_html_cells(one)}</tr>" for one in self._found)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def list_models() -> ModelList:
    """The models found on this machine: bundled ones first, then those of the other tools' folders.

    Looks into the installed model packages, ``WORKBENCH_MODELS``, ``models`` below workbench's own folder, and the
    folders of LM Studio, Ollama, llama.cpp and Hugging Face.
    """
    remembered = _remembered()
    fresh: dict[str, _Facts] = {}
    found = list(_bundled())
    seen = {one.path.resolve() for one in found}
    for source, name, path in everywhere():
        real = path.resolve()
        if real not in seen:
            seen.add(real)
            found.append(_look_at(source, name, path, remembered, fresh))
    _remember(remembered, fresh)
    return ModelList(found)


def _bundled() -> Iterator[FoundModel]:
    for model in CATALOGUE:
        if not model.installed:
            continue
        try:
            yield _found(model.name, "bundled", model.path, _facts(model.peek(), ()))
        except ModelError as error:
            yield FoundModel(name=model.name, source="bundled", path=model.path, problem=_reason(error))


def _look_at(source: str, name: str, path: Path, remembered: dict[str, _Facts], fresh: dict[str, _Facts]) -> FoundModel:
    key = str(path)
    try:
        stamp = tuple((status.st_size, status.st_mtime_ns) for status in (part.stat() for part in split_parts(path)))
        facts = remembered.get(key)
        if facts is None or facts.stamp != stamp:
            facts = fresh[key] = _facts(read_model_file(path), stamp)
        return _found(name, source, path, facts)
    except ModelError as error:
        return FoundModel(name=name, source=source, path=path, problem=_reason(error))
    except OSError as error:
        return FoundModel(name=name, source=source, path=path, problem=f"cannot be read: {error.strerror or error}")


def _facts(model: ModelFile, stamp: tuple[tuple[int, int], ...]) -> _Facts:
    return _Facts(stamp, model.size_bytes, model.architecture, model.quantisation, model.parameters, model.n_ctx_train)


def _found(name: str, source: str, path: Path, facts: _Facts) -> FoundModel:
    return FoundModel(
        name=name,
        source=source,
        path=path,
        size_bytes=facts.size_bytes,
        architecture=facts.architecture,
        quantisation=facts.quantisation,
        parameters=facts.parameters,
        n_ctx_train=facts.n_ctx_train,
    )


def _reason(error: ModelError) -> str:
    return str(getattr(error, "reason", error))


def _cache_file() -> Path:
    return cache_dir() / "models.json"


def _remembered() -> dict[str, _Facts]:
    """Facts by path; none where the cache is missing, damaged or of another version: it can be made again."""
    from pydantic import TypeAdapter, ValidationError

    try:
        stored = read_json(_cache_file())
        if not isinstance(stored, dict) or stored.get("version") != _CACHE_VERSION:
            return {}
        return TypeAdapter(dict[str, _Facts]).validate_python(stored.get("models"))
    except (OSError, StoreCorrupt, ValidationError):
        return {}


def _remember(remembered: dict[str, _Facts], fresh: dict[str, _Facts]) -> None:
    from pydantic import TypeAdapter

    if not fresh:
        return
    kept = {key: facts for key, facts in {**remembered, **fresh}.items() if Path(key).exists()}
    stored = TypeAdapter(dict[str, _Facts]).dump_python(kept, mode="json")
    try:
        write_json(_cache_file(), {"version": _CACHE_VERSION, "models": stored})
    except (OSError, StorageError) as error:
        warnings.warn(f"The list of models is not remembered: {error}", WorkbenchWarning, stacklevel=3)


def _cells(one: FoundModel) -> tuple[str, ...]:
    if one.problem:
        return (one.name, "broken", "", "", "", one.source)
    size = "" if one.size_bytes is None else _size(one.size_bytes)
    context = "" if one.n_ctx_train is None else f"{one.n_ctx_train:,}"
    return (one.name, one.architecture or "", one.quantisation or "", size, context, one.source)


def _html_cells(one: FoundModel) -> str:
    return "".join(f"<td>{html.escape(cell)}</td>" for cell in _cells(one))


def _hint(one: FoundModel) -> str:
    return f"{one.path}: {one.problem}" if one.problem else str(one.path)


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:,.1f} MB"
