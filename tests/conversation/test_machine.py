"""Any order of send, cancel, rewind, save, kill, reopen and forget: the conversation equals what was said (FAULTS 24).

A "kill" leaves the session as it is, without closing: its lock and threads are let go of as the kernel would, and
whatever was not in the log is lost.
"""

import contextlib
import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from workbench import ConversationSettings, EngineSettings, Session
from workbench.errors import StreamIncomplete
from workbench.interfaces import Message
from workbench.memory.baselines import FullMemory
from workbench.testing import Reply, ScriptedEngine

said = st.text(alphabet="ab ä🌍\n", max_size=12)


class ConversationMachine(RuleBasedStateMachine):
    folder = None
    numbers = itertools.count()

    def __init__(self):
        super().__init__()
        self.place = self.folder / str(next(self.numbers))
        self.memory = FullMemory()
        self.jobs_seen, self.texts = [], itertools.count()
        self.model, self.remembered = [], []
        self.open()

    def open(self):
        # so small a context that many orders compress
        self.engine = ScriptedEngine(lambda _: f"Answer {next(self.texts)}.", settings=EngineSettings(n_ctx=120))
        self.session = Session(
            self.engine,
            system="Be kind.",
            memory=self.memory,
            folder=self.place,
            name="../ä\0",
            settings=ConversationSettings(options={"max_tokens": 8}),
            after_turn={"seen": lambda turn: self.jobs_seen.append((turn.user, turn.text))},
        )

    def keep(self, text, answer):
        self.model.append((text, answer))
        self.remembered += [text, answer]

    @rule(text=said)
    def send(self, text):
        turn = self.session.send(text)
        assert turn.number == len(self.model) + 1
        self.keep(text, turn.text)

    @rule(text=said, after=st.integers(0, 3))
    def cancel(self, text, after):
        stream = self.session.stream(text)
        for _ in range(after):
            next(stream, None)
        stream.cancel()
        list(stream)
        if stream.turn.kept:
            self.keep(text, stream.turn.text)
        assert stream.turn.kept == bool(stream.turn.text)

    @rule(text=said, after=st.integers(0, 3))
    def break_off(self, text, after):
        line = Reply(f"Broken {next(self.texts)} off.", dies_after=after)
        self.engine._script = itertools.chain([line], self.engine._script)
        stream = self.session.stream(text)
        with contextlib.suppress(StreamIncomplete):
            list(stream)
        if stream.turn.kept:
            self.keep(text, stream.turn.text)

    @rule(text=said)
    def abandon(self, text):
        stream = self.session.stream(text)
        next(stream)
        kept = stream.text
        del stream
        if kept:
            self.keep(text, kept)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def rewind(self, data):
        keep = data.draw(st.integers(0, len(self.model)))
        self.session.flush()
        self.session.rewind(to=keep)
        del self.model[keep:]

    @rule()
    def forget(self):
        self.session.forget()
        self.model, self.remembered, self.jobs_seen[:] = [], [], []

    @rule()
    def flush(self):
        self.session.flush()
        assert [one.message.content for one in self.memory.recall("", session=self.session.name, k=10_000)] == (
            self.remembered
        ), "The memory has everything once, in order."
        assert len(self.jobs_seen) == len(self.remembered) / 2

    @rule()
    def reopen(self):
        self.session.close()
        self.open()

    @rule()
    def kill(self):
        self.session.turns  # noqa: B018 - an abandoned turn is part of the conversation once anybody looks
        past = self.session._past
        past._working._background.cancel("")  # what runs ends, what waits is lost
        past._working._background.close()
        past._log._log.close()
        past._log._release()
        self.open()

    @invariant()
    def equals_the_model(self):
        assert [(turn.user, turn.text) for turn in self.session.turns] == self.model
        assert [turn.number for turn in self.session.turns] == list(range(1, len(self.model) + 1))
        shown = list(self.session.context)
        assert shown[0] == Message.system("Be kind.")
        everything = [message for turn in self.session.turns for message in turn.messages]
        assert shown[1:] == everything[len(everything) - len(shown) + 1 :] or len(shown) < len(everything) + 1
        if self.model:
            assert shown[-1].content == self.model[-1][1], "What was said last is shown."

    def teardown(self):
        self.session.close()


def test_the_conversation_equals_what_was_said_in_any_order(tmp_path):
    machine = type("Machine", (ConversationMachine,), {"folder": tmp_path})
    test = machine.TestCase
    test.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
    test().runTest()
