"""The contract of :class:`workbench.interfaces.Memory`."""
# ruff: noqa: D102, S101 - these are tests: they assert, and their names say what they show

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from workbench.errors import InvalidSettings
from workbench.interfaces import Memory, Message, Recollection
from workbench.testing.contracts.threads import at_once

HOSTILE_NAMES = (
    "",
    ".",
    "../../etc/passwd",
    "nul\0",
    "CON",
    "a" * 300,
    "\u202eright to left",
    "caf\u00e9",
    "cafe\u0301",
)
_EVERYTHING = 10_000


class MemoryContract:
    """Inherit and override :meth:`make`; a memory with a folder overrides :meth:`reopen` too.

    Attributes:
        capacity: messages a session keeps at most; ``None``: all.
    """

    capacity: int | None = None

    def make(self) -> Memory:
        """A new, empty memory. Override."""
        raise NotImplementedError("Override make() so that it returns a new, empty memory.")

    def reopen(self, memory: Memory) -> Memory | None:  # noqa: ARG002 - overridden where it is used
        """A memory on the folder of ``memory``, as after a restart; ``None``: it keeps nothing on disk."""
        return None

    @pytest.fixture
    def memory(self) -> Iterator[Memory]:
        """A new memory, closed afterwards."""
        memory = self.make()
        yield memory
        memory.close()

    def test_it_is_a_memory(self, memory: Memory) -> None:
        assert isinstance(memory, Memory), "A memory has every member of workbench.interfaces.Memory."

    def test_a_new_memory_is_empty(self, memory: Memory) -> None:
        assert memory.sessions() == (), "A new memory has no session."
        assert memory.count() == 0, "An unknown session has no messages."
        assert memory.recall("anything") == [], "Recall of an unknown session is empty, not an error."
        memory.forget("nobody")

    def test_indices_count_from_zero(self, memory: Memory) -> None:
        assert memory.add(Message.user("a")) == 0, "add returns the message's index in its session."
        assert memory.add_many(_messages(3)) == range(1, 4), "add_many returns their indices."
        assert memory.add_many([]) == range(4, 4), "add_many of nothing returns an empty range at the end."
        assert memory.add(Message.user("b"), session="other") == 0, "Every session counts for itself."

    def test_recall_gives_messages_back_as_they_were(self, memory: Memory) -> None:
        messages = [
            Message.system("Be brief."),
            Message("user", "naïve 東京 🌍 \n\t nul\0", name="Ann"),
            Message("assistant", "", tool_calls=({"id": "c1", "function": {"name": "f", "arguments": "{}"}},)),
            Message("tool", "42", tool_call_id="c1"),
        ]
        memory.add_many(messages)
        recalled = memory.recall("東京", k=_EVERYTHING)
        assert recalled, "Something that helps is found."
        for found in said(recalled):
            assert found.message == messages[found.index or 0], (
                "A recollection's message is the one added at its index."
            )
            assert found.reason, "A recollection says why it came back."
            assert isinstance(found.score, float), "A score is a number."

    def test_recall_is_bounded_and_in_order(self, memory: Memory) -> None:
        memory.add_many(_messages(12))
        for k in (1, 3, 12, 50):
            indices = indices_of(memory.recall("message 5", k=k))
            assert len(indices) <= k, "At most k messages come back."
            assert indices == sorted(set(indices)), "Oldest first, none twice."

    def test_k_below_one_is_refused(self, memory: Memory) -> None:
        for k in (0, -1):
            with pytest.raises(InvalidSettings):
                memory.recall("x", k=k)

    def test_what_was_just_said_is_recalled(self, memory: Memory) -> None:
        memory.add_many([*_messages(8), Message.user("the bicycle is red")])
        texts = texts_of(memory.recall("Which colour has the bicycle?", k=4))
        assert "the bicycle is red" in texts, "A message that answers the query, and is the newest, is recalled."

    def test_sessions_never_see_each_other(self, memory: Memory) -> None:
        for number, name in enumerate(HOSTILE_NAMES):
            memory.add(Message.user(f"secret {number}"), session=name)
        assert memory.sessions() == tuple(sorted(HOSTILE_NAMES)), "sessions() has every name as it was, sorted."
        for number, name in enumerate(HOSTILE_NAMES):
            texts = texts_of(memory.recall("secret", session=name, k=_EVERYTHING))
            assert texts == [f"secret {number}"], "Sessions never see each other, however alike their names."

    def test_forget_deletes_one_session(self, memory: Memory) -> None:
        for name in ("one", "two"):
            memory.add_many(_messages(3), session=name)
        memory.forget("one")
        assert memory.sessions() == ("two",), "A forgotten session is gone."
        assert memory.recall("message", session="one") == [], "Nothing of it is recalled."
        assert memory.count("two") == 3, "Other sessions stay."
        assert memory.add(Message.user("anew"), session="one") == 0, "A forgotten session begins anew."

    def test_any_thread_may_add(self, memory: Memory) -> None:
        at_once(4, lambda number: [memory.add(Message.user(f"{number}"), session="all") for _ in range(10)])
        memory.flush()
        assert memory.count("all") == min(40, self.capacity or 40), "No message is lost, whichever thread added it."
        assert memory.add(Message.user("last"), session="all") == 40, "Every message got an index of its own."

    def test_close_is_idempotent(self, memory: Memory) -> None:
        memory.add(Message.user("a"))
        memory.flush()
        memory.close()
        memory.close()

    def test_any_order_of_calls_leaves_what_was_added(self) -> None:
        suite = self

        class Machine(_MemoryMachine):
            contract = suite

        run_state_machine_as_test(Machine, settings=settings(max_examples=30, stateful_step_count=30, deadline=None))


class _MemoryMachine(RuleBasedStateMachine):
    """A memory beside lists of what was added: the model equals the store."""

    contract: MemoryContract
    names = st.sampled_from(["default", "a", "A", "../a"])
    contents = st.text(alphabet="ab ä🌍", max_size=8)

    def __init__(self) -> None:
        super().__init__()
        self.memory = self.contract.make()
        self.model: dict[str, list[Message]] = {}

    @rule(session=names, content=contents)
    def add(self, session: str, content: str) -> None:
        said = self.model.setdefault(session, [])
        assert self.memory.add(Message.user(content), session=session) == len(said), "add returns the index."
        said.append(Message.user(content))

    @rule(session=names, contents=st.lists(contents, min_size=1, max_size=30))
    def add_many(self, session: str, contents: list[str]) -> None:
        said, messages = self.model.setdefault(session, []), [Message.assistant(content) for content in contents]
        indices = self.memory.add_many(messages, session=session)
        assert indices == range(len(said), len(said) + len(messages)), "add_many returns the indices."
        said.extend(messages)

    @rule(session=names)
    def forget(self, session: str) -> None:
        self.memory.forget(session)
        self.model.pop(session, None)

    @rule()
    def flush(self) -> None:
        self.memory.flush()

    @rule()
    def restart(self) -> None:
        self.memory = self.contract.reopen(self.memory) or self.memory

    @rule(session=names, query=contents, k=st.integers(1, 40))
    def recall(self, session: str, query: str, k: int) -> None:
        found, added = said(self.memory.recall(query, session=session, k=k)), self.model.get(session, [])
        indices = indices_of(found)
        assert len(found) <= k, "At most k messages come back."
        assert indices == sorted(set(indices)), "Oldest first, none twice."
        assert [added[at : at + 1] for at in indices] == [[one.message] for one in found], "Each is as it was added."

    @invariant()
    def equals_the_model(self) -> None:
        limit: Any = self.contract.capacity or float("inf")
        assert self.memory.sessions() == tuple(sorted(self.model)), "sessions() are those that were added to."
        for session, said in self.model.items():
            assert self.memory.count(session) == min(len(said), limit), "count() is what was added, up to the limit."

    def teardown(self) -> None:
        self.memory.close()


def said(found: Sequence[Recollection]) -> list[Recollection]:
    """The messages among what was recalled; checks that notes are few and come first."""
    notes = [one for one in found if one.index is None]
    assert len(notes) <= 2, "A recall has at most two notes."
    assert list(found[: len(notes)]) == notes, "Notes come before messages."
    return [one for one in found if one.index is not None]


def indices_of(found: Sequence[Recollection]) -> list[int]:
    """Indices of the recalled messages, in the order given."""
    return [one.index for one in said(found) if one.index is not None]


def texts_of(found: Sequence[Recollection]) -> list[str]:
    """Texts of the recalled messages, in the order given."""
    return [one.message.content for one in said(found)]


def _messages(count: int) -> list[Message]:
    return [Message.user(f"message {number}") for number in range(count)]
