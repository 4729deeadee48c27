"""Name → component.

A registry knows a kind ("engine") and an entry-point group ("workbench.engines"), never which components exist.
Built-ins are entry points of this very package, so they and third parties come in by the same door; a notebook can
add one on the spot with ``@engines.register("mine")``. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from workbench.errors import UnknownName, UsageError
from workbench.interfaces import Cache, Compressor, Embedder, Engine, Executor, Memory

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Registry(Generic[T]):
    """Components of one kind by name. Thread-safe.

    Args:
        kind: what is registered, in the singular, for messages.
        group: entry-point group that is searched at first use.
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind, self.group = kind, group
        self._factories: dict[str, Callable[..., T]] = {}
        self._lock = threading.Lock()
        self._found: dict[str, EntryPoint] | None = None

    def register(self, name: str) -> Callable[[F], F]:
        """Decorator: make a class or factory known under ``name``.

        Raises:
            UsageError: the name is taken by another component.
        """

        def add(factory: F) -> F:
            with self._lock:
                present = self._factories.get(name)
                if name in self._entry_points() or (present is not None and not _same(present, factory)):
                    raise UsageError(f"There is a {self.kind} named {name!r} already. Choose another name.")
                self._factories[name] = factory
            return factory

        return add

    def names(self) -> tuple[str, ...]:
        """Known names, sorted."""
        with self._lock:
            return tuple(sorted({*self._factories, *self._entry_points()}))

    def get(self, name: str) -> Callable[..., T]:
        """The factory registered under ``name``.

        Raises:
            UnknownName: nobody registered it; the message lists the known names.
        """
        with self._lock:
            if name in self._factories:
                return self._factories[name]
            found = self._entry_points().get(name)
        if found is None:
            raise UnknownName(self.kind, name, self.names())
        factory: Callable[..., T] = found.load()
        with self._lock:
            return self._factories.setdefault(name, factory)

    def create(self, name: str, *args: Any, **options: Any) -> T:
        """Look up ``name`` and call its factory."""
        return self.get(name)(*args, **options)

    def _entry_points(self) -> dict[str, EntryPoint]:
        if self._found is None:
            self._found = {point.name: point for point in entry_points(group=self.group)}
        return self._found


def _same(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Whether two factories are the same definition, as when a notebook cell is run again."""
    return (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)


engines: Registry[Engine] = Registry("engine", "workbench.engines")
embedders: Registry[Embedder] = Registry("embedder", "workbench.embedders")
memories: Registry[Memory] = Registry("memory", "workbench.memories")
compressors: Registry[Compressor] = Registry("compressor", "workbench.compressors")
caches: Registry[Cache] = Registry("cache", "workbench.caches")
executors: Registry[Executor] = Registry("executor", "workbench.executors")
