"""A configuration as somebody would use it: code to paste, and an engine's settings as a profile."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from workbench.models.profiles import Profile
from workbench.registry import Registry, embedders, memories
from workbench.settings import EngineSettings
from workbench.sweep.records.table import Run
from workbench.sweep.results import Comparison

TUNED = "tuned"
"""The engine that is taken without one being named, and the only one that takes a profile."""


def code_for(parameters: Mapping[str, Any]) -> str:
    """Code to paste: what makes the component that was varied, and only what belongs to it, not to the workload."""
    for parameter, variable, registry in (("strategy", "memory", memories), ("embedding", "embedder", embedders)):
        if parameters.get(parameter) in registry.names():
            return f"{variable} = {_creation(registry, parameters[parameter], parameters)}".replace("'", '"')
    settings = _settings(parameters)
    if parameters.get("engine", TUNED) != TUNED:
        settings["engine"] = parameters["engine"]
    arguments = [f"{name}={value!r}" for name, value in settings.items()]
    if "model" in parameters:
        return f"engine = wb.load({', '.join([repr(parameters['model']), *arguments])})".replace("'", '"')
    return f"settings = dict({', '.join(f'{name}={value!r}' for name, value in parameters.items())})"


def profile_for(
    parameters: Mapping[str, Any], run: Run | None, evidence: Comparison | None, note: str
) -> dict[str, Any] | None:
    """The settings as a profile: saved as JSON, its path is what ``wb.load(model, profile=...)`` takes.

    Args:
        parameters: of the configuration.
        run: one of its runs: it knows the model's SHA-256 and the machine.
        evidence: what speaks for it.
        note: the recommendation in words.

    Returns:
        What :class:`workbench.models.profiles.Profile` is made of; ``None`` if these are no settings of the tuned
        engine, or the run does not say on which machine and with which model it was.
    """
    name = parameters.get("model")
    if run is None or not isinstance(name, str) or parameters.get("engine", TUNED) != TUNED:
        return None
    model = run.environment.get("models", {}).get(name, {})
    machine, llama_cpp = _machine(run.environment), run.environment.get("packages", {}).get("llama-cpp-python")
    if machine is None or llama_cpp is None or not {"sha256", "quantisation"} <= model.keys():
        return None
    return Profile(
        model=name,
        model_sha256=model["sha256"],
        machine=machine,
        llama_cpp=llama_cpp,
        settings=_changed(_settings(parameters)),
        quantisation=model["quantisation"],
        measured={evidence.metric: evidence.effect.ratio} if evidence else {},
        note=note,
        made=datetime.fromtimestamp(run.started, UTC).isoformat(timespec="seconds"),
    ).to_dict()


def _machine(environment: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a profile wants to know of a machine (``models.profiles.machine_facts``), from what a run captured."""
    cpu, gpus = environment.get("cpu"), environment.get("gpus")
    if not isinstance(cpu, Mapping) or gpus is None or "machine" not in environment:
        return None
    return {
        "machine": environment["machine"],
        "cpu": cpu["name"],
        "physical_cores": cpu["physical"],
        "usable_cores": cpu["usable"],
        "gpus": [{"name": gpu["name"], "memory_bytes": gpu["memory_total_bytes"]} for gpu in gpus],
    }


def _settings(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name in EngineSettings.names()}


def _changed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those that differ from their defaults: a profile holds no others."""
    defaults = EngineSettings().to_dict()
    return {name: value for name, value in settings.items() if value != defaults[name]}


def _creation(registry: Registry[Any], name: str, parameters: Mapping[str, Any]) -> str:
    """The call that makes a component, with what its factory takes of the parameters; ``embedding``: its embedder."""
    offered = {**parameters, "embedder": parameters.get("embedding")}
    takes = inspect.signature(registry.get(name)).parameters
    given = [f"{key}={offered[key]!r}" for key in takes if key in offered and offered[key] is not None]
    return f"wb.{registry.group.rpartition('.')[2]}.create({', '.join([repr(name), *given])})"
