"""One Optuna study and the facts beside it, in a SQLite file of its own until the tune has come to its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import optuna

_NAME = "tune"
_STARTUP_TRIALS = 8
_TRIALS_BEFORE_PRUNING = 4


class Study:
    """A study that survives the process. For one thread; a context manager.

    Args:
        path: its file; ``None``: in memory.
        seed: of the proposals.
    """

    def __init__(self, path: Path | None, seed: int) -> None:
        self._path = path
        self._storage = _storage(path)
        pruner = optuna.pruners.MedianPruner(n_startup_trials=_TRIALS_BEFORE_PRUNING, n_warmup_steps=0)
        with _quiet():
            self.optuna = optuna.create_study(
                storage=self._storage, study_name=_NAME, direction="maximize", load_if_exists=True, pruner=pruner
            )
        # another seed when a study goes on: not the same proposals again
        trials = len(self.optuna.get_trials(deepcopy=False))
        self.optuna.sampler = optuna.samplers.TPESampler(seed=seed + trials, n_startup_trials=_STARTUP_TRIALS)

    def remember(self, key: str, value: Any) -> None:
        """Keep a fact, JSON values only."""
        self.optuna.set_user_attr(key, value)

    def recalled(self, key: str) -> Any:
        """A fact that was kept; ``None``: there is none."""
        return self.optuna.user_attrs.get(key)

    def discard(self) -> None:
        """Close it and delete its file: the tune has ended."""
        self.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        if isinstance(self._storage, optuna.storages.RDBStorage):
            self._storage.remove_session()
            self._storage.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _storage(path: Path | None) -> Any:
    if path is None:
        return optuna.storages.InMemoryStorage()
    path.parent.mkdir(parents=True, exist_ok=True)
    return optuna.storages.RDBStorage(f"sqlite:///{path}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna announces every study on standard error."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
