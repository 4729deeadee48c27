"""The contract of :class:`workbench.interfaces.Compressor`."""
# ruff: noqa: D102, S101 - these are tests: they assert, and their names say what they show

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.errors import ContextOverflow
from workbench.interfaces import Compression, Compressor, Message
from workbench.testing.contracts.threads import at_once


def count_words(messages: Sequence[Message]) -> int:
    """The suite's token counter: words, and two more a message."""
    return sum(2 + len(message.content.split()) + 3 * len(message.tool_calls) for message in messages)


class CompressorContract:
    """Inherit and override :meth:`make`.

    Attributes:
        verbatim: what is kept is kept word for word (a strategy that rewrites messages says False).
        rewrites_system: system messages may be reworded or joined, all others may not (else they stay as they are).
        uses: the share of a budget that is used at least, where messages are short; 0: the strategy cannot promise it.
    """

    verbatim = True
    rewrites_system = False
    uses = 0.95

    def make(self) -> Compressor:
        """A new compressor that counts tokens with :func:`count_words`. Override."""
        raise NotImplementedError("Override make() so that it returns a compressor counting with count_words.")

    def test_it_is_a_compressor(self) -> None:
        assert isinstance(self.make(), Compressor), "A compressor has every member of interfaces.Compressor."

    def test_what_fits_is_unchanged(self) -> None:
        compressor, messages = self.make(), _chat(6)
        size = count_words(messages)
        assert compressor.fits(messages, size), "A conversation as long as the budget fits."
        assert not compressor.fits(messages, size - 1), "One token more than the budget does not."
        compression = compressor.compress(messages, size)
        assert compression.messages == tuple(messages), "A conversation that fits is unchanged."
        assert compression.tokens_before == compression.tokens_after == size, "Its tokens are counted."
        assert compression.kept_prefix == len(messages), "All of it is a kept prefix."
        assert compression.elapsed_ms >= 0, "elapsed_ms is a time."

    def test_what_does_not_fit_is_made_to_fit(self) -> None:
        messages = _chat(40)
        for budget in (60, 120, 240):
            self.check(messages, budget, self.make().compress(messages, budget, query="word7"))

    def test_the_budget_is_used(self) -> None:
        messages = _chat(240)
        for budget in (400, 800, 1200):
            compression = self.make().compress(messages, budget, query="word7")
            self.check(messages, budget, compression)
            assert compression.tokens_after >= self.uses * budget, "What fits into the budget is kept."

    def test_the_report_says_what_went(self) -> None:
        messages = [Message.system("be brief"), *_chat(40)]
        compression = self.make().compress(messages, 120, query="word7")
        gone, changed = set(compression.dropped), set(compression.changed)
        told = range(compression.kept_prefix)
        assert gone | changed, "Something went."
        assert gone.isdisjoint(changed), "A message is either gone or another."
        assert (gone | changed).isdisjoint(told), "The kept prefix is unchanged."
        for place, message in enumerate(messages):  # each says something of its own
            assert (message in compression.messages) == (place not in gone | changed), "dropped and changed are all."
        assert 0 < compression.invalidated_tokens <= compression.tokens_before, "KV after the prefix is invalid."

    def test_the_input_is_left_alone(self) -> None:
        messages = _chat(40)
        before = list(messages)
        self.make().compress(messages, 80)
        assert messages == before, "compress does not change the list it is given."

    def test_nothing_is_kept_between_calls(self) -> None:
        compressor, messages = self.make(), _chat(40)
        first = compressor.compress(messages, 100)
        compressor.compress(_chat(9), 40)
        again = compressor.compress(messages, 100)
        assert again.messages == first.messages, "The same input gives the same output."

    def test_any_thread_may_compress(self) -> None:
        compressor, messages = self.make(), _chat(40)
        expected = [compressor.compress(messages, 60 + 20 * n).messages for n in range(4)]
        got = at_once(4, lambda number: compressor.compress(messages, 60 + 20 * number).messages)
        assert got == expected, "Calls from several threads do not disturb each other."

    def test_what_may_not_be_broken_must_fit(self) -> None:
        messages = [Message.system("rule " * 30), *_chat(4)]
        with pytest.raises(ContextOverflow) as caught:
            self.make().compress(messages, 20)
        assert caught.value.have_tokens == 20, "ContextOverflow says what the budget is."
        assert caught.value.need_tokens > 20, "ContextOverflow says what is needed."

    def test_a_tool_call_and_its_answers_stay_together(self) -> None:
        call = Message("assistant", "", tool_calls=({"id": "c1"}, {"id": "c2"}))
        answers = [Message("tool", "found " * 5, tool_call_id=name) for name in ("c1", "c2")]
        messages = [Message.user("look"), call, *answers, *_chat(6)]
        for budget in range(count_words(messages[-2:]) + 1, count_words(messages)):
            kept = self.make().compress(messages, budget).messages
            assert sum(message in kept for message in (call, *answers)) in (0, 3), (
                "A tool call and its answers: all or none."
            )

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(data=st.data())
    def test_any_conversation(self, data: st.DataObject) -> None:
        messages = data.draw(conversations())
        budget = data.draw(st.integers(0, count_words(messages) + 2))
        needed = [message for message in unbreakable(messages) if message.role != "system" or not self.rewrites_system]
        if count_words(needed) > budget:
            with pytest.raises(ContextOverflow) as caught:
                self.make().compress(messages, budget)
            assert caught.value.need_tokens > budget == caught.value.have_tokens, "ContextOverflow has its figures."
            return
        try:
            compression = self.make().compress(messages, budget)
        except ContextOverflow:
            assert count_words(unbreakable(messages)) > budget, "ContextOverflow is for what may not be broken."
        else:
            self.check(messages, budget, compression)

    def check(self, messages: Sequence[Message], budget: int, compression: Compression) -> None:
        """Everything that holds for every compression."""
        kept = compression.messages
        assert count_words(kept) == compression.tokens_after, "tokens_after are the tokens of messages."
        assert compression.tokens_after <= budget, "The budget is never exceeded."
        assert compression.tokens_before == count_words(messages), "tokens_before are the tokens of what was given."
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(messages, kept, strict=False))
        assert compression.kept_prefix <= len(list(same)), "kept_prefix leading messages are unchanged."
        shorter = tuple(message for message in messages if message.role != "system" or not self.rewrites_system)
        assert all(message in kept for message in shorter if message.role == "system"), "System messages are kept."
        invalid = compression.tokens_before - count_words(messages[: compression.kept_prefix])
        assert compression.invalidated_tokens == invalid, "invalidated_tokens are those after the kept prefix."
        places = [*compression.dropped, *compression.changed]
        assert len({*places} & {*range(len(messages))}) == len(places), "dropped and changed are indices, each once."
        assert len(kept) >= len(messages) - len(compression.dropped), "Only what is in dropped is missing."
        tail = last_turn(messages)
        assert list(kept[len(kept) - len(tail) :]) == tail, "The last turn is kept, at the end."
        if self.verbatim:
            rest = iter(messages)
            told = (message for message in kept if message.role != "system" or not self.rewrites_system)
            assert all(message in rest for message in told), "What is kept keeps its order."
        calls = {call["id"] for message in kept for call in message.tool_calls}
        called = {call["id"] for message in messages for call in message.tool_calls}
        answered = {message.tool_call_id for message in messages if message.tool_call_id} & called
        kept_answers = {message.tool_call_id for message in kept if message.tool_call_id} & called
        assert kept_answers == calls & answered, "A tool call and its answers: all or none."


def last_turn(messages: Sequence[Message]) -> list[Message]:
    """The last user's message and what follows; without one, the last message."""
    users = [place for place, message in enumerate(messages) if message.role == "user"]
    return list(messages[users[-1] :] if users else messages[-1:])


def unbreakable(messages: Sequence[Message]) -> list[Message]:
    """System messages, the last turn, and what belongs to its tool calls."""
    tail = last_turn(messages)
    start = len(messages) - len(tail)
    ids = {call["id"] for message in tail for call in message.tool_calls}
    ids |= {message.tool_call_id for message in tail if message.tool_call_id}
    for group in ({call["id"] for call in message.tool_calls} for message in messages):
        ids |= group if group & ids else set()
    linked = [
        message
        for message in messages[:start]
        if message.role == "system" or message.tool_call_id in ids or any(c["id"] in ids for c in message.tool_calls)
    ]
    return linked + tail


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Conversations of any shape: system messages anywhere, tool calls with all their answers, no user at all."""
    messages: list[Message] = []
    for place in range(draw(st.integers(1, 12))):
        content = " ".join(f"w{place}" for _ in range(draw(st.integers(0, 8))))
        kind = draw(st.sampled_from(["system", "user", "user", "assistant", "assistant", "tools"]))
        if kind == "tools":
            ids = [f"{place}.{number}" for number in range(draw(st.integers(1, 3)))]
            messages.append(Message("assistant", content, tool_calls=tuple({"id": name} for name in ids)))
            messages += [Message("tool", f"answer {name}", tool_call_id=name) for name in ids]
        else:
            messages.append(Message(kind, content))
    return messages


def _chat(turns: int) -> list[Message]:
    """``turns`` messages, each of its own words."""
    roles = itertools.cycle(("user", "assistant"))
    return [Message(role, f"word{n} " * (3 + n % 5)) for n, role in zip(range(turns), roles, strict=False)]
