"""One suite of tests per Protocol. Inherit, override ``make``, and pytest runs every sentence of the contract.

Needs pytest and Hypothesis (``pip install 'workbench[dev]'``).
"""

from workbench.errors import MissingExtra

try:
    import hypothesis  # noqa: F401 - asked for here so that its absence is told in one place
    import pytest
except ImportError as error:  # pragma: no cover - the tests themselves need both
    raise MissingExtra(error.name or "pytest", "dev") from error

# Failures then show the values of both sides, not the message alone.
pytest.register_assert_rewrite(
    *(f"{__name__}.{module}" for module in ("cache", "compressor", "embedder", "engine", "engine_api", "executor")),
    *(f"{__name__}.{module}" for module in ("memory", "memory_machine", "recollections")),
)

from workbench.testing.contracts.cache import CacheContract  # noqa: E402 - after the rewriting is registered
from workbench.testing.contracts.compressor import CompressorContract  # noqa: E402
from workbench.testing.contracts.embedder import EmbedderContract  # noqa: E402
from workbench.testing.contracts.engine import EngineContract  # noqa: E402
from workbench.testing.contracts.executor import ExecutorContract  # noqa: E402
from workbench.testing.contracts.memory import MemoryContract  # noqa: E402

__all__ = [
    "CacheContract",
    "CompressorContract",
    "EmbedderContract",
    "EngineContract",
    "ExecutorContract",
    "MemoryContract",
]
