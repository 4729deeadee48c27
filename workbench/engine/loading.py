"""Name → engine, ready to answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.interfaces import Engine
from workbench.models import ModelFile, resolve, verify
from workbench.registry import engines
from workbench.settings import EngineSettings


def load(
    model: str | Path | ModelFile, *, engine: str = "tuned", chat_template: str | None = None, **settings: Any
) -> Engine:
    """Load a model into an engine.

    >>> engine = load("smollm2-135m", n_ctx=4096)

    Args:
        model: a name (`workbench models` lists them) or the path of a GGUF.
        engine: name of a registered engine: "tuned", or "baseline" for the plain ``llama_cpp.Llama``.
        chat_template: Jinja source to use instead of the model's own.
        settings: fields of :class:`workbench.EngineSettings`.

    Raises:
        UnknownName: no such model, engine or setting; lists the known ones.
        InvalidSettings: a setting out of its range.
        ModelFileError: the file is cut, foreign or damaged (ModelHashMismatch: not the one whose SHA-256 is known).
        OutOfMemory: an ``n_ctx`` this machine cannot hold.
        ModelLoadError: llama.cpp refused.
    """
    make = engines.get(engine)
    chosen = EngineSettings.from_mapping(settings)
    file = resolve(model)
    verify(file)
    return make(file, chosen, chat_template=chat_template)
