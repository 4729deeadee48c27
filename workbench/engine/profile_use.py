"""Whether a tuned profile takes part in loading a model, and what it changes.

The rules: explicit settings win over the profile's; only the tuned engine uses one, so that a baseline stays one; with
``WORKBENCH_PROFILE=off``, which sweeps set for their runs, none is picked up unless a run asks for it by argument.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import InvalidSettings, UsageError
from workbench.models import ModelFile
from workbench.models.profiles import Profile, enabled, find_profile, machine_facts, read_profile, why_stale
from workbench.settings import EngineSettings

ENGINES = ("tuned",)
"""Engines a profile was measured for."""

Choice = bool | str | Path | Profile | None

_log = logging.getLogger(__name__)


def apply_profile(
    choice: Choice, engine: str, file: ModelFile, settings: Mapping[str, Any]
) -> tuple[ModelFile, EngineSettings, Profile | None]:
    """The file to load, the settings to load it with, and the profile that was used for both.

    Args:
        choice: ``None``: the profile on disk, unless profiles are switched off; ``True``: that one in any case;
            ``False``: none; else this one, or its file.
        engine: name of the engine.
        file: the untouched model.
        settings: what was given explicitly.

    Raises:
        UsageError: a profile was named that is stale, is not there, or is not for this engine.
        UnknownName, InvalidSettings: the settings themselves.
    """
    plain = EngineSettings.from_mapping(settings)
    profile = _chosen(choice, engine, file)
    if profile is None:
        return file, plain, None
    try:
        merged = profile.apply(settings)
    except InvalidSettings as error:
        _log.info("The profile of %s is left out: with the settings given it makes no sense (%s)", file.name, error)
        return file, plain, None
    # another file answers differently: that may not pass unseen, where other threads or batches may
    level = logging.INFO if profile.file is None else logging.WARNING
    _log.log(level, "%s is loaded with its tuned profile (profile=False: without). %s", file.name, profile)
    return profile.model_file(file), merged, profile


def _chosen(choice: Choice, engine: str, file: ModelFile) -> Profile | None:
    named = isinstance(choice, str | Path | Profile)
    if choice is False or (choice is None and not enabled()):
        return None
    if engine not in ENGINES:
        if named:
            raise UsageError(f"A profile is for the engine {' or '.join(ENGINES)}, not for {engine!r}. Leave it out.")
        return None
    if not named:
        return find_profile(file)
    profile = choice if isinstance(choice, Profile) else read_profile(Path(str(choice)))
    reason = why_stale(profile, file, machine_facts())
    if reason:
        raise UsageError(f"The profile of {profile.model} cannot be used here: {reason}. Run `workbench tune` again.")
    return profile
