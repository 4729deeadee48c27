"""A memory beside lists of what was added, under any order of calls: the model equals the store."""
# ruff: noqa: D102, S101 - these are tests: they assert, and their names say what they do

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from workbench.errors import InvalidSettings
from workbench.interfaces import Memory, Message
from workbench.testing.contracts.recollections import indices_of, said

if TYPE_CHECKING:
    from workbench.testing.contracts.memory import MemoryContract

START = 1_700_000_000

names = st.sampled_from(["default", "a", "A", "../a"])
contents = st.text(alphabet="ab ä🌍", max_size=8)
moments = st.integers(START, START + 10_000).map(float)
limits = st.none() | moments


class MemoryMachine(RuleBasedStateMachine):
    """Adds, recalls, feeds back, forgets, flushes and restarts.

    Attributes:
        contract: the suite that makes the memory.
        folder: for memories that keep something on disk.
    """

    contract: MemoryContract
    folder: Path
    _numbers = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        on_disk = self.contract.make_in(self.folder / str(next(self._numbers)))
        self.memory: Memory = self.contract.make() if on_disk is None else on_disk
        self.model: dict[str, list[tuple[Message, float | None]]] = {}

    @rule(session=names, content=contents, at=limits)
    def add(self, session: str, content: str, at: float | None) -> None:
        added, message = self.model.setdefault(session, []), Message.user(content)
        assert self.memory.add(message, session=session, at=at) == len(added), "add returns the index."
        added.append((message, at))

    @rule(session=names, texts=st.lists(contents, min_size=1, max_size=30), at=limits)
    def add_many(self, session: str, texts: list[str], at: float | None) -> None:
        added, messages = self.model.setdefault(session, []), [Message.assistant(text) for text in texts]
        times = None if at is None else [at + 60 * number for number in range(len(messages))]
        indices = self.memory.add_many(messages, session=session, at=times)
        assert indices == range(len(added), len(added) + len(messages)), "add_many returns the indices."
        known: list[float | None] = [None] * len(messages) if times is None else [*times]
        added.extend(zip(messages, known, strict=True))

    @rule(session=names, texts=st.lists(contents, min_size=1, max_size=3))
    def add_with_a_time_too_many(self, session: str, texts: list[str]) -> None:
        with pytest.raises(InvalidSettings):
            self.memory.add_many([Message.user(text) for text in texts], session=session, at=[1.0] * (len(texts) + 1))

    @rule(session=names, index=st.integers(-1, 40), value=st.floats(-1.5, 1.5))
    def feedback(self, session: str, index: int, value: float) -> None:
        if 0 <= index < len(self.model.get(session, [])) and -1 <= value <= 1:
            self.memory.feedback(index, value, session=session)
        else:
            with pytest.raises(InvalidSettings):
                self.memory.feedback(index, value, session=session)

    @rule(session=names)
    def forget(self, session: str) -> None:
        self.memory.forget(session)
        self.model.pop(session, None)

    @rule()
    def flush(self) -> None:
        self.memory.flush()

    @rule(query=contents)
    def restart(self, query: str) -> None:
        self.memory.flush()
        before = {name: self._recalled(name, query) for name in self.model}
        self.memory = self.contract.reopen(self.memory) or self.memory
        after = {name: self._recalled(name, query) for name in self.model}
        assert after == before, "After a restart everything is recalled as before it."

    @rule(session=names, query=contents, k=st.integers(1, 40), since=limits, until=limits)
    def recall(self, session: str, query: str, k: int, since: float | None, until: float | None) -> None:
        found = said(self.memory.recall(query, session=session, k=k, since=since, until=until))
        added, indices = self.model.get(session, []), indices_of(found)
        assert len(found) <= k, "At most k messages come back."
        assert indices == sorted(set(indices)), "Oldest first, none twice."
        assert [message for at in indices for message, _ in added[at : at + 1]] == [one.message for one in found], (
            "Each is as it was added."
        )
        for one in found:
            given = added[one.index or 0][1]
            assert one.at is not None, "A message recalled says when it was said."
            assert given is None or one.at == given, "It was said when it was said to have been."
            assert since is None or one.at >= since, "Nothing from before since is recalled."
            assert until is None or one.at < until, "Nothing from until on is recalled."

    @invariant()
    def equals_the_model(self) -> None:
        assert self.memory.sessions() == tuple(sorted(self.model)), "sessions() are those that were added to."
        for session, added in self.model.items():
            kept = self.contract.kept([message for message, _ in added])
            assert self.memory.count(session) == kept, "count() is what was added, up to the limit."

    def teardown(self) -> None:
        self.memory.close()

    def _recalled(self, session: str, query: str) -> list[int]:
        return indices_of(self.memory.recall(query, session=session, k=5))
