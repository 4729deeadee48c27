"""What a session is made of: given as an object, which stays its owner's, or by a registered name, which is made here.

Knows how a factory wants to be called; never what it makes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from workbench.compression.middle import MiddleCompressor
from workbench.errors import InvalidSettings
from workbench.interfaces import Cache, Compressor, Engine, Memory
from workbench.registry import Registry, caches, compressors, memories

T = TypeVar("T")

Part: TypeAlias = T | str | tuple[str, Mapping[str, Any]]
"""An object, a registered name, or a name with options."""


class Parts:
    """Makes what is given by name, and closes what it made.

    Args:
        engine: handed to factories that take one.
        place: a folder for what is kept; ``None``: in memory only.
    """

    def __init__(self, engine: Engine, place: Path | None) -> None:
        self.engine, self.place = engine, place
        self._own = ExitStack()

    def memory(self, part: Part[Memory] | None) -> Memory | None:
        """A memory; by name it lives in the conversation's folder."""
        return None if part is None else self._made(part, memories, {"folder": self._folder("memory")})

    def compressor(self, part: Part[Compressor] | None) -> Compressor:
        """A compressor that counts with the engine's tokenizer; ``None``: "middle", which needs no model."""
        if part is None:
            return MiddleCompressor(self.engine)
        return self._made(part, compressors, {}, self.engine)

    def caches(self, parts: Sequence[Part[Cache]] | str) -> tuple[Cache, ...]:
        """Response caches; by name they live in the conversation's folder."""
        return tuple(self._cache(part) for part in ((parts,) if isinstance(parts, str) else parts))

    def _cache(self, part: Part[Cache]) -> Cache:
        folder, name = self._folder("caches"), part[0] if isinstance(part, tuple) else part
        return self._made(part, caches, {} if folder is None else {"folder": folder, "path": folder / f"{name}.sqlite"})

    def close(self) -> None:
        """Close what was made here, all of it even where one part raises. Idempotent."""
        self._own.close()

    def _made(self, part: Any, known: Registry[T], offered: Mapping[str, Any], *arguments: Any) -> T:
        name, options = part if isinstance(part, tuple) else (part, {})
        if not isinstance(name, str):
            if isinstance(part, tuple):
                raise InvalidSettings(f"A {known.kind} is an object, a name or (name, options); got {part!r}.")
            return part  # type: ignore[no-any-return]
        factory = known.get(name)
        wanted = _wanted(factory, {"engine": self.engine, **offered}, taken=len(arguments))
        made = factory(*arguments, **{**wanted, **options})
        if callable(getattr(made, "close", None)):
            self._own.callback(made.close)  # type: ignore[attr-defined]
        return made

    def _folder(self, name: str) -> Path | None:
        return None if self.place is None else self.place / name


def _wanted(factory: Callable[..., Any], offered: Mapping[str, Any], taken: int) -> dict[str, Any]:
    """What of the offered a factory has parameters for, beside those given by place."""
    names = list(inspect.signature(factory).parameters)[taken:]
    return {name: value for name, value in offered.items() if name in names and value is not None}
