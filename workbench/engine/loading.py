"""Name → engine, ready to answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from workbench.engine.base import LocalEngine
from workbench.engine.profile_use import Choice, apply_profile
from workbench.engine.stepping import check_on_oom, load_as_asked, load_stepping_down
from workbench.errors import InvalidSettings
from workbench.interfaces import Engine
from workbench.models import ModelFile, resolve, verify
from workbench.registry import engines
from workbench.settings import EngineSettings


def load(
    model: str | Path | ModelFile,
    *,
    engine: str = "tuned",
    chat_template: str | None = None,
    profile: Choice = None,
    on_oom: str = "step_down",
    isolation: Literal["none", "process"] = "none",
    memory_limit_bytes: int | None = None,
    **settings: Any,
) -> Engine:
    """Load a model into an engine.

    >>> engine = load("smollm2-135m", n_ctx=4096)

    Args:
        model: a name (`workbench models` lists them) or the path of a GGUF; for "endpoint" the name on the server.
        engine: name of a registered engine: "tuned", "baseline" for the plain ``llama_cpp.Llama``, or "endpoint" for an
            OpenAI-compatible server (:class:`workbench.endpoint.EndpointEngine`).
        chat_template: Jinja source to use instead of the model's own.
        profile: what `workbench tune` found for this model on this machine is used by default, for the tuned engine
            only, and named by the engine's ``profile``; settings given here win over it. ``False``: do without.
            ``True``: also where ``WORKBENCH_PROFILE=off`` keeps profiles out, as in sweeps. Or a profile, or its file.
        on_oom: "step_down": where memory is short, load with less and warn of each setting that gave way
            (:mod:`workbench.engine.stepping`); what is far beyond the machine is an error all the same. "raise":
            always refuse.
        isolation: "process" runs the tuned engine in a process of its own: whatever llama.cpp does there, this one
            lives (:class:`workbench.engine.ProcessEngine`).
        memory_limit_bytes: private memory that process may take.
        settings: fields of :class:`workbench.EngineSettings`; for "endpoint" also its own options (``provider``,
            ``base_url``, …).

    Raises:
        UnknownName: no such model, engine or setting; lists the known ones.
        InvalidSettings: a setting out of its range.
        UsageError: the profile named is stale, or not there.
        ModelFileError: the file is cut, foreign or damaged (ModelHashMismatch: not the one whose SHA-256 is known).
        OutOfMemory: an ``n_ctx`` this machine cannot hold.
        ModelLoadError: llama.cpp refused.
        WorkerDied: with ``isolation="process"``: the process died over the model.
    """
    isolated = _isolated(engine, isolation)
    if memory_limit_bytes is not None and not isolated:
        raise InvalidSettings('memory_limit_bytes needs a process to limit. Add isolation="process".')
    make = engines.get("worker" if isolated else engine)
    if getattr(make, "remote", False):
        if not isinstance(model, str) or chat_template is not None:
            raise InvalidSettings(f"engine={engine!r} takes the name of a model on a server, and no chat_template.")
        return _reach(make, model, settings)
    loading = load_stepping_down if check_on_oom(on_oom) == "step_down" else load_as_asked
    EngineSettings.from_mapping(settings)  # a misspelt one is told before a large file is read
    file = resolve(model)
    verify(file)
    file, chosen, used = apply_profile(profile, "tuned" if isolated else engine, file, settings)
    options: dict[str, Any] = {"chat_template": chat_template}
    if isolated:
        options["memory_limit_bytes"] = memory_limit_bytes
    made: Engine = loading(lambda model, wanted: make(model, wanted, **options), file, chosen)
    if isinstance(made, LocalEngine):
        made.profile = used
    return made


def _reach(make: Callable[..., Engine], model: str, options: dict[str, Any]) -> Engine:
    """An engine on a server: its model is a name there, and what is no setting is an option of its own."""
    known = EngineSettings.names()
    settings = EngineSettings.from_mapping({name: value for name, value in options.items() if name in known})
    return make(model, settings, **{name: value for name, value in options.items() if name not in known})


def _isolated(engine: str, isolation: str) -> bool:
    """Whether the tuned engine is to run in a process of its own."""
    if isolation not in ("none", "process"):
        raise InvalidSettings(f'isolation must be "none" or "process", not {isolation!r}.')
    if isolation == "process" and engine not in ("tuned", "worker"):
        raise InvalidSettings(f'isolation="process" is for engine="tuned", not {engine!r}. Leave one of them out.')
    return engine == "worker" or isolation == "process"
