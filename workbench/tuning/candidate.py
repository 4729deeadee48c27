"""One way to run the model: a quantisation of its file, and settings that differ from the defaults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from workbench.settings import EngineSettings

NUMERIC = ("type_k", "type_v", "flash_attn", "repack", "n_gpu_layers")
"""Settings that change which kernels compute, and so what comes out; the others at most the order of summation."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is measured.

    Attributes:
        quantisation: the file's; ``None``: the untouched file.
        settings: (name, value) of each setting that is not its default, sorted.
    """

    quantisation: str | None = None
    settings: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, quantisation: str | None, settings: Mapping[str, Any]) -> Self:
        """From loose settings; those at their defaults are left out.

        Raises:
            UnknownName, InvalidSettings: they make no sense.
        """
        plain = EngineSettings()
        EngineSettings.from_mapping(settings)
        kept = {name: value for name, value in settings.items() if value != getattr(plain, name)}
        return cls(quantisation, tuple(sorted(kept.items())))

    @property
    def changes(self) -> int:
        """How far it is from the default: changed settings, and the file."""
        return len(self.settings) + (self.quantisation is not None)

    @property
    def label(self) -> str:
        """For people: "Q4_0, n_threads=2"."""
        parts = [self.quantisation] if self.quantisation else []
        return ", ".join(parts + [f"{name}={value}" for name, value in self.settings]) or "default"

    @property
    def numerics(self) -> Candidate:
        """The part that can change what the model says: two candidates of one part need one quality check."""
        return Candidate(self.quantisation, tuple(one for one in self.settings if one[0] in NUMERIC))

    def engine_settings(self) -> EngineSettings:
        """All settings."""
        return EngineSettings.from_mapping(dict(self.settings))

    def without(self, name: str) -> Candidate:
        """With one setting back at its default."""
        return Candidate(self.quantisation, tuple(one for one in self.settings if one[0] != name))

    def to_json(self) -> str:
        """As text, the same for the same candidate."""
        return json.dumps([self.quantisation, self.settings])

    @classmethod
    def from_json(cls, text: str) -> Self:
        """From what :meth:`to_json` gave."""
        quantisation, settings = json.loads(text)
        return cls(quantisation, tuple((name, value) for name, value in settings))


DEFAULT = Candidate()
"""The untouched file under default settings: what everything is measured against."""
