"""What `workbench tune` found for one model on one machine: kept as JSON, found again by the model's SHA-256.

A profile holds only what differs from the defaults, the file to load (it may be a requantised copy), what was measured
and what it costs in quality. It counts for this model, this machine and this version of llama.cpp; anything else makes
it stale, and a stale profile is passed over with a line in the log. Knows no engine.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from workbench.errors import ModelError, StoreCorrupt, UsageError, WorkbenchError
from workbench.hardware import cores, cpu_name, gpus
from workbench.models.gguf_file import ModelFile, read_model_file
from workbench.models.hashing import verify
from workbench.settings import EngineSettings, home
from workbench.storage import read_json, safe_name, write_json

FORMAT = 1
VARIABLE = "WORKBENCH_PROFILE"
"""Set to "off", nothing lying on disk changes what :func:`workbench.load` does: sweeps set it for their runs."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Settings that were measured to be better than the defaults.

    Attributes:
        model: name of the model that was tuned.
        model_sha256: of the untouched file.
        machine: facts of :func:`machine_facts` where it was measured.
        llama_cpp: version of llama-cpp-python it was measured with.
        settings: fields of :class:`EngineSettings` that differ from their defaults.
        quantisation: of the file to load.
        file: the file to load; ``None``: the model's own.
        file_sha256: of that file.
        measured: figures against the untouched file under default settings, as in the table of the tune.
        quality: what it costs: mean KL divergence, same-top rate, perplexity ratio, and over how many tokens.
        limit: the quality limit it was held to.
        note: all of this in words.
        made: when, ISO 8601.
    """

    model: str
    model_sha256: str
    machine: Mapping[str, Any]
    llama_cpp: str
    settings: Mapping[str, Any]
    quantisation: str
    file: str | None = None
    file_sha256: str | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)
    quality: Mapping[str, Any] | None = None
    limit: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    made: str = ""

    def __str__(self) -> str:
        return self.note or f"profile of {self.model}: {dict(self.settings)}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"format": FORMAT, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, values: Any, path: Path | str = "a profile") -> Self:
        """From what :meth:`to_dict` gave.

        Raises:
            StoreCorrupt: it is no profile, of another format, or its settings are not ours.
        """
        names = {one.name for one in dataclasses.fields(cls)}
        if not isinstance(values, dict) or values.get("format") != FORMAT or values.keys() - names != {"format"}:
            raise StoreCorrupt(path, f"it is no profile of format {FORMAT}. Run `workbench tune` again.")
        try:
            profile = cls(**{name: value for name, value in values.items() if name in names})
            EngineSettings.from_mapping(profile.settings)
        except (TypeError, AttributeError, UsageError) as error:
            raise StoreCorrupt(path, f"{error} Run `workbench tune` again.") from error
        return profile

    def apply(self, settings: Mapping[str, Any]) -> EngineSettings:
        """The profile's settings under those somebody gave: what is given explicitly always wins.

        Raises:
            UnknownName, InvalidSettings: a setting nobody knows, or both together make no sense.
        """
        return EngineSettings.from_mapping({**self.settings, **settings})

    def model_file(self, untouched: ModelFile) -> ModelFile:
        """The file to load.

        Raises:
            ModelError: the requantised copy is gone, or is not the one that was measured.
        """
        if self.file is None:
            return untouched
        found = read_model_file(self.file)
        if verify(found) != self.file_sha256:
            raise ModelError(f"{self.file} is not the file that was measured. Run `workbench tune` again.")
        return found


def machine_facts() -> dict[str, Any]:
    """What a measured speed depends on, as JSON values: CPU, cores this process may use, GPUs."""
    here = cores()
    return {
        "machine": platform.machine(),
        "cpu": cpu_name(),
        "physical_cores": here.physical,
        "usable_cores": here.usable,
        "gpus": [{"name": gpu.name, "memory_bytes": gpu.memory_total_bytes} for gpu in gpus()],
    }


def llama_cpp_version() -> str:
    """Version of llama-cpp-python, without importing it."""
    return version("llama-cpp-python")


def enabled() -> bool:
    """Whether profiles on disk may be picked up: not with ``WORKBENCH_PROFILE=off``."""
    return os.environ.get(VARIABLE, "").strip().lower() not in ("off", "0", "no", "false")


def profile_path(profile: Profile) -> Path:
    """Where a profile is kept: one for each model and machine, the newest wins."""
    where = safe_name(repr(sorted(profile.machine.items()))).rsplit("-", 1)[1]
    stem = safe_name(profile.model).rsplit("-", 1)[0]
    return home() / "profiles" / f"{stem}-{profile.model_sha256[:8]}-{where}.json"


def save_profile(profile: Profile) -> Path:
    """Keep a profile, atomically; it takes the place of an older one of this model and machine.

    Raises:
        StorageFull: no room; an older one is left as it was.
    """
    path = profile_path(profile)
    write_json(path, profile.to_dict())
    return path


def read_profile(path: Path | str) -> Profile:
    """A profile from its file.

    Raises:
        UsageError: no such file.
        StoreCorrupt: it is no profile.
    """
    if not os.path.isfile(path):
        raise UsageError(f"There is no profile {path}. `workbench tune MODEL` makes one.")
    return Profile.from_dict(read_json(path), path)


def find_profile(file: ModelFile, machine: Mapping[str, Any] | None = None) -> Profile | None:
    """The profile of a model on this machine; ``None``: none, or only stale ones (the log says why).

    Args:
        file: the untouched model.
        machine: facts to look for; ``None``: of this machine.
    """
    folder = home() / "profiles"
    if not folder.is_dir():
        return None
    sha256 = verify(file)
    found = [profile for profile in _profiles(folder) if profile.model_sha256 == sha256]
    if not found:
        return None
    here = machine_facts() if machine is None else dict(machine)
    fresh = [profile for profile in found if not _said(why_stale(profile, file, here), profile)]
    return max(fresh, key=lambda profile: profile.made, default=None)


def why_stale(profile: Profile, file: ModelFile, machine: Mapping[str, Any]) -> str:
    """Why a profile does not count any more; empty: it does."""
    if profile.model_sha256 != verify(file):
        return "it is of another model file"
    changed = sorted(key for key in {*profile.machine, *machine} if profile.machine.get(key) != machine.get(key))
    if changed:
        return f"the machine differs in {', '.join(changed)}"
    if profile.llama_cpp != llama_cpp_version():
        return f"it was measured with llama-cpp-python {profile.llama_cpp}, this is {llama_cpp_version()}"
    try:
        profile.model_file(file)
    except (WorkbenchError, OSError) as error:
        return f"its file cannot be used ({error})"
    return ""


def _profiles(folder: Path) -> Iterator[Profile]:
    for path in sorted(folder.glob("*.json")):
        try:
            yield read_profile(path)
        except (OSError, StoreCorrupt) as error:
            _log.warning("Passed over: %s", error)


def _said(reason: str, profile: Profile) -> str:
    if reason:
        _log.info("The profile of %s from %s is stale: %s.", profile.model, profile.made, reason)
    return reason
