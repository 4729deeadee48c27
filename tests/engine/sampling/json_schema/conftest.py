"""Whether a text meets a schema's grammar: asked of llama.cpp itself, byte by byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.engine.native.weights import Weights
from workbench.engine.sampling.grammar import ConstraintState, compile_constraint
from workbench.interfaces import Request
from workbench.models import resolve
from workbench.settings import EngineSettings

Accepts = Callable[[Any, str], bool]


@pytest.fixture(scope="session")
def byte_weights(tiny: Path) -> Iterator[Weights]:
    weights = Weights(resolve(tiny), EngineSettings(n_threads=1))
    yield weights
    weights.free()


@pytest.fixture(scope="session")
def accepts(byte_weights: Weights) -> Accepts:
    """``accepts(schema, text)``: whether the whole text meets the grammar of a schema."""
    vocabulary = byte_weights.vocabulary

    def ask(schema: Any, text: str) -> bool:
        constraint = compile_constraint(Request(prompt="x", json_schema=schema), vocabulary)
        assert constraint is not None
        state = ConstraintState(constraint, vocabulary)
        try:
            for token in vocabulary.tokenize(text, add_special=False, parse_special=False):
                if not state.allows(token):
                    return False
                state.accept(token)
            return state.complete
        finally:
            state.free()

    return ask
