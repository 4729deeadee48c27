"""The contract of :class:`workbench.interfaces.Memory`."""
# ruff: noqa: D102, S101 - these are tests: they assert, and their names say what they show

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from workbench.errors import InvalidSettings
from workbench.interfaces import Memory, Message
from workbench.testing.contracts.memory_machine import MemoryMachine
from workbench.testing.contracts.recollections import indices_of, said, texts_of
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
EVERYTHING = 10_000
START = 1_700_000_000.0
"""A moment for what is said at a given time, in seconds since 1970."""


class MemoryContract:
    """Inherit and override :meth:`make`; a memory with a folder overrides :meth:`make_in` too.

    :meth:`reopen` needs no overriding where the memory derives from :class:`workbench.memory.base.LoggedMemory`.

    Attributes:
        capacity: messages a session can recall at most; ``None``: all; 0: none.
        relevant: what answers the query and was just said is recalled. ``False``: it recalls nothing, or at random.
        examples: random orders of calls that are tried; fewer for a memory that is slow to make.
    """

    capacity: int | None = None
    relevant: bool = True
    examples: int = 20

    def make(self) -> Memory:
        """A new, empty memory. Override."""
        raise NotImplementedError("Override make() so that it returns a new, empty memory.")

    def reopen(self, memory: Memory) -> Memory | None:
        """A memory on the folder of ``memory``, as after a restart; ``None``: it keeps nothing on disk."""
        folder = getattr(getattr(memory, "journal", None), "folder", None)
        if folder is None:
            return None
        memory.close()
        return self.make_in(folder)

    def make_in(self, folder: Path) -> Memory | None:  # noqa: ARG002 - overridden where it is used
        """A memory on a folder, new or not; ``None``: it keeps nothing on disk."""
        return None

    def kept(self, messages: Sequence[Message]) -> int:
        """How many of a session's messages can be recalled. Override where it is not a number of messages."""
        return len(messages) if self.capacity is None else min(len(messages), self.capacity)

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

    # -- adding -------------------------------------------------------------------------------------------------------

    def test_indices_count_from_zero(self, memory: Memory) -> None:
        assert memory.add(Message.user("a")) == 0, "add returns the message's index in its session."
        assert memory.add_many(_messages(3)) == range(1, 4), "add_many returns their indices."
        assert memory.add_many([]) == range(4, 4), "add_many of nothing returns an empty range at the end."
        assert memory.add(Message.user("b"), session="other") == 0, "Every session counts for itself."

    def test_times_that_do_not_fit_are_refused(self, memory: Memory) -> None:
        memory.add(Message.user("before"))
        for times in ([], [START], [START] * 4):
            with pytest.raises(InvalidSettings):
                memory.add_many(_messages(3), at=times)
        assert memory.add(Message.user("after")) == 1, "What is refused is not added."

    def test_any_thread_may_add(self, memory: Memory) -> None:
        given = at_once(4, lambda number: [memory.add(Message.user(f"{number}"), session="all") for _ in range(10)])
        memory.flush()
        assert sorted(index for one in given for index in one) == list(range(40)), (
            "Every message got an index of its own."
        )
        kept = self.kept([Message.user("0")] * 40)
        assert memory.count("all") == kept, "No message is lost, whichever thread added it."
        assert memory.add(Message.user("last"), session="all") == 40, "The next index follows."

    def test_threads_may_add_and_recall_at_once(self, memory: Memory) -> None:
        def work(number: int) -> None:
            session = f"session {number % 2}"
            for turn in range(8):
                if number < 2:
                    memory.add_many(
                        [Message.user(f"{session} turn {turn} {part}") for part in range(3)], session=session
                    )
                else:
                    for text in texts_of(memory.recall(f"{session} turn {turn}", session=session, k=5)):
                        assert text.startswith(session), "A recall during an add is of its own session."

        at_once(4, work)
        memory.flush()
        for number in range(2):
            session = f"session {number}"
            added = [Message.user(f"{session} turn {turn} {part}") for turn in range(8) for part in range(3)]
            assert memory.count(session) == self.kept(added), "Recalls at the same time lose no message."
            for found in said(memory.recall("turn", session=session, k=EVERYTHING)):
                assert found.message == added[found.index or 0], "Each is at the index it was given."

    # -- recalling ----------------------------------------------------------------------------------------------------

    def test_recall_gives_messages_back_as_they_were(self, memory: Memory) -> None:
        messages = [
            Message.system("Be brief."),
            Message("user", "naïve 東京 🌍 \n\t nul\0", name="Ann"),
            Message("assistant", "", tool_calls=({"id": "c1", "function": {"name": "f", "arguments": "{}"}},)),
            Message("tool", "42", tool_call_id="c1"),
        ]
        times = [START + number for number in range(4)]
        memory.add_many(messages, at=times)
        recalled = memory.recall("東京", k=EVERYTHING)
        assert recalled or not self.kept(messages), "Something that helps is found."
        for found in said(recalled):
            at = found.index or 0
            assert found.message == messages[at], "A recollection's message is the one added at its index."
            assert found.at == times[at], "A recollection says when its message was said."
            assert found.reason, "A recollection says why it came back."
            assert isinstance(found.score, float), "A score is a number."
            assert math.isfinite(found.score), "A score is a number."

    def test_recall_is_bounded_and_in_order(self, memory: Memory) -> None:
        memory.add_many(_messages(12))
        for k in (1, 3, 12, 50):
            indices = indices_of(memory.recall("message 5", k=k))
            assert len(indices) <= k, "At most k messages come back."
            assert indices == sorted(set(indices)), "Oldest first, none twice."

    def test_k_below_one_is_refused(self, memory: Memory) -> None:
        memory.add(Message.user("a"))
        for session in ("default", "unknown"):
            for k in (0, -1):
                with pytest.raises(InvalidSettings):
                    memory.recall("x", session=session, k=k)

    def test_what_was_just_said_is_recalled(self, memory: Memory) -> None:
        if not self.relevant:
            pytest.skip("It does not claim to recall what helps.")
        memory.add_many([*_messages(8), Message.user("the bicycle is red")])
        texts = texts_of(memory.recall("Which colour has the bicycle?", k=4))
        assert "the bicycle is red" in texts, "A message that answers the query, and is the newest, is recalled."

    def test_recall_changes_nothing(self, memory: Memory) -> None:
        memory.add_many(_messages(12))
        memory.flush()
        first = indices_of(memory.recall("message 5", k=4))
        memory.recall("something else", k=2)
        memory.recall("message 7", k=12)
        assert indices_of(memory.recall("message 5", k=4)) == first, "A recall has no influence on the next."
        assert memory.count() == self.kept(_messages(12)), "A recall adds no message."

    def test_since_and_until_bound_what_is_recalled(self, memory: Memory) -> None:
        memory.add_many(_messages(9), at=[START + 60.0 * number for number in range(9)])
        for since, until in ((None, 180.0), (300.0, None), (120.0, 420.0), (1000.0, None), (None, 0.0)):
            low, high = since or 0.0, 1e9 if until is None else until
            first, end = (None if moment is None else START + moment for moment in (since, until))
            found = said(memory.recall("message", k=EVERYTHING, since=first, until=end))
            for one in found:
                assert one.at is not None, "A message recalled says when it was said."
                assert low <= one.at - START < high, (
                    "Only what was said at or after since and before until is recalled."
                )
            expected = self._within(low, high)
            assert self.capacity is not None or len(found) == expected, "All that was said then can be recalled."

    def test_now_is_the_time_of_what_has_none(self, memory: Memory) -> None:
        before = time.time()
        memory.add(Message.user("the bicycle is red"))
        memory.add_many([Message.user("the bicycle is blue")])
        found = said(memory.recall("bicycle", k=2, since=before - 1))
        assert len(found) == self.kept([Message.user("the bicycle is red")] * 2), "Without at, it was said now."
        assert said(memory.recall("bicycle", k=2, until=before - 60)) == [], "What was said now was not said before."

    def test_notes_are_few_and_first(self, memory: Memory) -> None:
        memory.add_many([Message.user("Ann trusts Bob."), Message.user("Bob owes Cid money."), *_messages(30)])
        memory.flush()
        found = memory.recall("What do Ann and Bob think of each other?", k=5, include_relationships=True)
        assert len(said(found)) <= 5, "Notes are beside the k messages, not in their places, and k still holds."
        for note in found[: len(found) - len(said(found))]:
            assert note.message.role == "system", "A note is a system message."
            assert note.message.content.strip(), "A note says something."
            assert note.at is None, "A note was not said at any time."

    # -- feedback -----------------------------------------------------------------------------------------------------

    def test_feedback_is_checked(self, memory: Memory) -> None:
        memory.add_many(_messages(3))
        for index, value in ((3, 1.0), (-1, 1.0), (0, 1.5), (0, -1.01), (0, math.nan), (0, math.inf)):
            with pytest.raises(InvalidSettings):
                memory.feedback(index, value)
        with pytest.raises(InvalidSettings):
            memory.feedback(0, 1.0, session="unknown")
        assert memory.sessions() == ("default",), "Feedback on what there is not makes no session."

    def test_feedback_is_taken(self, memory: Memory) -> None:
        memory.add_many(_messages(6))
        for index, value in ((0, 1.0), (5, -1.0), (2, 0), (2, 0.5)):
            memory.feedback(index, value)
        memory.flush()
        found = said(memory.recall("message 2", k=EVERYTHING))
        assert memory.count() == self.kept(_messages(6)), "Feedback adds and deletes no message."
        assert [one.message.content for one in found] == [f"message {one.index}" for one in found], "Nor changes any."

    # -- sessions -----------------------------------------------------------------------------------------------------

    def test_sessions_never_see_each_other(self, memory: Memory) -> None:
        for number, name in enumerate(HOSTILE_NAMES):
            memory.add(Message.user(f"secret {number}"), session=name)
        assert memory.sessions() == tuple(sorted(HOSTILE_NAMES)), "sessions() has every name as it was, sorted."
        for number, name in enumerate(HOSTILE_NAMES):
            texts = texts_of(memory.recall("secret", session=name, k=EVERYTHING))
            expected = [f"secret {number}"] if self.capacity != 0 else []
            assert texts == expected, "Sessions never see each other, however alike their names."

    def test_other_sessions_have_no_influence(self, memory: Memory) -> None:
        memory.add_many(_messages(12), session="mine")
        memory.flush()
        before = [(one.index, one.message) for one in said(memory.recall("message 5", session="mine", k=4))]
        for name in ("other", "Mine", "mine "):
            memory.add_many([Message.user(f"message 5 and {number}") for number in range(12)], session=name)
            memory.recall("message 5", session=name, k=4)
            memory.feedback(0, 1.0, session=name)
        memory.flush()
        after = [(one.index, one.message) for one in said(memory.recall("message 5", session="mine", k=4))]
        assert after == before, "What is added to other sessions changes no recall."

    def test_forget_deletes_one_session(self, memory: Memory) -> None:
        for name in ("one", "two"):
            memory.add_many(_messages(3), session=name)
            assert memory.recall("message", session=name) or not self.kept(_messages(3)), "What is there is recalled."
        memory.feedback(0, 1.0, session="one")
        memory.forget("one")
        assert memory.sessions() == ("two",), "A forgotten session is gone."
        assert memory.recall("message", session="one") == [], "Nothing of it is recalled."
        assert memory.count("one") == 0, "It has no messages."
        assert memory.count("two") == self.kept(_messages(3)), "Other sessions stay."
        assert memory.add(Message.user("anew"), session="one") == 0, "A forgotten session begins anew."
        texts = texts_of(memory.recall("message", session="one", k=EVERYTHING))
        assert set(texts) <= {"anew"}, "Nothing of the forgotten comes back with the name."

    # -- endings ------------------------------------------------------------------------------------------------------

    def test_close_is_idempotent(self, memory: Memory) -> None:
        memory.add(Message.user("a"))
        memory.flush()
        memory.close()
        memory.close()

    def test_a_restart_changes_nothing(self, tmp_path: Path) -> None:
        memory = self.make_in(tmp_path) or self.make()
        memory.add_many(_messages(12), at=[START + 60.0 * number for number in range(12)])
        memory.add(Message.user("the bicycle is red"), session="../other")
        memory.recall("message 5", k=4)
        memory.feedback(5, 1.0)
        memory.flush()
        before = _state(memory)
        again = self.reopen(memory)
        if again is None:
            memory.close()
            pytest.skip("It keeps nothing on disk.")
        try:
            assert _state(again) == before, "After a restart everything is recalled as before it."
            assert again.add(Message.user("next")) == 12, "Indices go on after a restart."
        finally:
            again.close()

    def test_what_was_acknowledged_survives_a_crash(self, tmp_path: Path) -> None:
        memory = self.make_in(tmp_path / "memory")
        if memory is None:
            pytest.skip("It keeps nothing on disk.")
        try:
            memory.add_many(_messages(60))
            memory.flush()
            memory.add(Message.user("the last words"))
            # the files as a process leaves them that is killed now: nothing closed, the last message not flushed
            shutil.copytree(tmp_path / "memory", tmp_path / "crashed", ignore=shutil.ignore_patterns(".lock"))
        finally:
            memory.close()
        again = self.make_in(tmp_path / "crashed")
        assert again is not None, "make_in gives a memory for every folder, or for none."
        try:
            assert again.count() == self.kept([*_messages(60), Message.user("the last words")]), "No message is lost."
            if self.relevant and self.capacity != 0:
                assert "the last words" in texts_of(again.recall("the last words", k=4)), "The last can be recalled."
            assert again.add(Message.user("next")) == 61, "Indices go on after a crash."
        finally:
            again.close()

    def test_replay_is_as_it_was(self, memory: Memory) -> None:
        recall_at: Any = getattr(memory, "recall_at", None)
        if recall_at is None:
            pytest.skip("It cannot be replayed.")
        messages, times = _messages(12), [START + 60.0 * number for number in range(12)]
        for first in range(0, 12, 3):
            memory.add_many(messages[first : first + 3], at=times[first : first + 3])
            memory.flush()
        for turn in (0, 3, 9, 12):
            fresh = self.make()
            fresh.add_many(messages[:turn], at=times[:turn])
            fresh.flush()
            expected, found = fresh.recall("message 5", k=4), recall_at("message 5", turn=turn, k=4)
            fresh.close()
            assert indices_of(found) == indices_of(expected), "Replay at a turn is a memory that knows no more."
        for turn in (-1, 13):
            with pytest.raises(InvalidSettings):
                recall_at("message 5", turn=turn)

    def test_any_order_of_calls_leaves_what_was_added(self) -> None:
        suite = self

        class Machine(MemoryMachine):
            contract = suite

        with tempfile.TemporaryDirectory() as folder:
            Machine.folder = Path(folder)
            run_state_machine_as_test(
                Machine, settings=settings(max_examples=self.examples, stateful_step_count=30, deadline=None)
            )

    def _within(self, low: float, high: float) -> int:
        """Of nine messages, one a minute, how many were said in ``[low, high)``."""
        return sum(low <= 60.0 * number < high for number in range(9))


def _messages(count: int) -> list[Message]:
    return [Message.user(f"message {number}") for number in range(count)]


def _state(memory: Memory) -> dict[str, Any]:
    """What can be asked of a memory that a restart must not change."""
    return {
        name: (
            memory.count(name),
            [(one.index, one.message, one.at) for one in said(memory.recall("message 5", session=name, k=4))],
            indices_of(memory.recall("message", session=name, k=EVERYTHING)),
        )
        for name in memory.sessions()
    }
