"""The contract suite of memories catches what it is there for: it is run against memories broken in one way each."""

import contextlib
import dataclasses
import time

import pytest
from hypothesis import Phase, settings

from workbench.interfaces import Message, Recollection
from workbench.memory.base import LoggedMemory
from workbench.memory.baselines import NoMemory, RandomMemory
from workbench.memory.buffer import BufferMemory
from workbench.testing import MemoryContract

ANY_ORDER = "test_any_order_of_calls_leaves_what_was_added"


@contextlib.contextmanager
def no_shrinking():
    """The first failure is enough; the smallest takes minutes to find. The same orders of calls every time."""
    settings.register_profile("first failure", phases=[Phase.generate], derandomize=True)
    before = settings.get_current_profile_name()
    settings.load_profile("first failure")
    try:
        yield
    finally:
        settings.load_profile(before)


def refuses(component, test, tmp_path):
    """That ``test`` fails for memories made by ``component(folder=…)``, in the words of the contract."""

    class Suite(MemoryContract):
        examples = 100

        def make(self):
            return component()

        def make_in(self, folder):
            return component(folder=folder)

    suite = Suite()
    names = getattr(MemoryContract, test).__code__.co_varnames[1 : getattr(MemoryContract, test).__code__.co_argcount]
    given = {"memory": component, "tmp_path": lambda: tmp_path}
    # Hypothesis reports several different failures as a group
    with no_shrinking(), pytest.raises((AssertionError, pytest.fail.Exception, BaseExceptionGroup)) as caught:
        getattr(suite, test)(*(given[name]() for name in names))
    assert str(caught.value).strip(), "a failure says which sentence of the contract is broken"


class Whole(BufferMemory):
    def __init__(self, folder=None):
        super().__init__(10**6, folder)


class NewestFirst(Whole):
    def recall(self, query, **options):
        return super().recall(query, **options)[::-1]


class TooMany(Whole):
    def recall(self, query, *, k=10, **options):
        return super().recall(query, k=k + 1, **options)


class TakesAnyK(Whole):
    def recall(self, query, *, k=10, **options):
        return super().recall(query, k=max(k, 1), **options)


class OneForAll(Whole):
    def add_many(self, messages, *, session="default", at=None):
        return super().add_many(messages, session=session.casefold(), at=at)


class WrongIndex(Whole):
    def recall(self, query, **options):
        return [dataclasses.replace(found, index=found.index + 1) for found in super().recall(query, **options)]


class ForgetsNothing(Whole):
    def forget(self, session):
        pass


class ForgetsTheNameOnly(Whole):
    """What was said is gone from the log, and stays in the snapshot."""

    def forget(self, session):
        self.journal.forget(session)


class LosesText(Whole):
    def recall(self, query, **options):
        return [
            Recollection(
                message=Message(one.message.role, one.message.content.strip()),
                index=one.index,
                score=1.0,
                reason="r",
                at=one.at,
            )
            for one in super().recall(query, **options)
        ]


class CountsAll(Whole):
    def count(self, session="default"):
        return len(self.recall("", session=session, k=100)) + 1


class CannotSayWhen(Whole):
    def recall(self, query, **options):
        return [dataclasses.replace(one, at=None) for one in super().recall(query, **options)]


class AlwaysNow(Whole):
    def add_many(self, messages, *, session="default", at=None):
        super().add_many([], at=at and list(at)[len(messages) :])
        return super().add_many(messages, session=session)


class IgnoresTimes(Whole):
    def recall(self, query, *, since=None, until=None, **options):
        return super().recall(query, **options)


class UntilIsIncluded(Whole):
    def recall(self, query, *, until=None, **options):
        return super().recall(query, until=None if until is None else until + 1e-3, **options)


class TimesOfTheFirst(Whole):
    """Takes the first time for all that have none of their own."""

    def add_many(self, messages, *, session="default", at=None):
        times = None if at is None else ([*at] + [at[0] if at else 0.0] * len(messages))[: len(messages)]
        return super().add_many(messages, session=session, at=times)


class AddsWhatItRefuses(Whole):
    def add_many(self, messages, *, session="default", at=None):
        if at is not None and len(at) != len(messages):
            super().add_many(messages[:1], session=session)
        return super().add_many(messages, session=session, at=at)


class NotesLast(Whole):
    notes = ("Somebody said something.",)
    index = None

    def recall(self, query, **options):
        found = super().recall(query, **options)
        made = [
            Recollection(message=Message.system(text), index=self.index, score=0.0, reason="n") for text in self.notes
        ]
        return self.put(made, found) if found else []

    def put(self, made, found):
        return found + made


class ThreeNotes(NotesLast):
    notes = ("a", "b", "c")

    def put(self, made, found):
        return made + found


class EmptyNote(ThreeNotes):
    notes = ("",)


class NotesOfUsers(ThreeNotes):
    def put(self, made, found):
        return [dataclasses.replace(made[0], message=Message.user("as if it had been said")), *found]


class TakesAnyFeedback(Whole):
    def feedback(self, index, value, *, session="default"):
        self.journal.append(session, "feedback", {"index": index, "value": str(value)})


class MakesSessionsOfFeedback(Whole):
    def feedback(self, index, value, *, session="default"):
        try:
            super().feedback(index, value, session=session)
        except ValueError:
            if session == "unknown":
                self.add(Message.user("feedback"), session=session)
            raise


class DropsWhatIsBlamed(Whole):
    def feedback(self, index, value, *, session="default"):
        super().feedback(index, value, session=session)
        self.gone = (session, index) if value < 0 else getattr(self, "gone", None)

    def recall(self, query, *, session="default", **options):
        found = super().recall(query, session=session, **options)
        return [dataclasses.replace(one, message=Message.user("(gone)")) if one.index == 5 else one for one in found]


class SeesOthers(Whole):
    """What is added to any session displaces the oldest of every other."""

    def recall(self, query, *, k=10, **options):
        return super().recall(query, k=max(1, k - len(self.sessions()) + 1), **options)


class LearnsFromAsking(Whole):
    asked = 0

    def recall(self, query, *, k=10, **options):
        self.asked += 1
        return super().recall(query, k=max(1, k - self.asked), **options)


class KeepsInMemory(Whole):
    """Has a folder, and writes there when it is closed."""

    def __init__(self, folder=None):
        super().__init__(folder)
        self.late = []

    def add_many(self, messages, *, session="default", at=None):
        if self.journal.folder is not None and len(messages) == 1:
            self.late.append((messages, session, at))
            return range(self.count(session) + len(self.late) - 1, self.count(session) + len(self.late))
        return super().add_many(messages, session=session, at=at)

    def close(self):
        for messages, session, at in self.late:
            super().add_many(messages, session=session, at=at)
        self.late = []
        super().close()


class ForgetsFeedbackOnRestart(Whole):
    """Recalls otherwise once it has been given feedback, but remembers that only while it lives."""

    judged = False

    def feedback(self, index, value, *, session="default"):
        super().feedback(index, value, session=session)
        self.judged = True

    def recall(self, query, *, k=10, **options):
        return super().recall(query, k=max(1, k - self.judged), **options)


class WeakAfterRestart(Whole):
    """Has everything after a restart, and finds next to nothing of it."""

    def __init__(self, folder=None):
        super().__init__(folder)
        self.old = bool(self.sessions())

    def recall(self, query, *, k=10, **options):
        return super().recall(query, k=min(k, 1) if self.old else k, **options)


class Irreproducible(Whole):
    def recall_at(self, query, *, turn, session="default", k=10):
        return super().recall_at(query, turn=min(turn + 1, self.count(session)), session=session, k=k)


class ReplaysAnything(Whole):
    def recall_at(self, query, *, turn, session="default", k=10):
        return super().recall_at(query, turn=min(max(turn, 0), self.count(session)), session=session, k=k)


class Racy(Whole):
    """Gives an index out before the message is in the log."""

    def add_many(self, messages, *, session="default", at=None):
        first = self.journal.count(session)
        time.sleep(0.001)
        indices = super().add_many(messages, session=session, at=at)
        return range(first, first + len(indices))


class RacyRecall(Whole):
    """Two recalls at once use one place for what they found."""

    def recall(self, query, **options):
        self.found = super().recall(query, **options)
        time.sleep(0.002)
        return self.found


@pytest.mark.parametrize(
    ("component", "test"),
    [
        (NewestFirst, "test_recall_is_bounded_and_in_order"),
        (TooMany, "test_recall_is_bounded_and_in_order"),
        (TakesAnyK, "test_k_below_one_is_refused"),
        (OneForAll, "test_sessions_never_see_each_other"),
        (WrongIndex, ANY_ORDER),
        (ForgetsNothing, "test_forget_deletes_one_session"),
        (ForgetsNothing, ANY_ORDER),
        (ForgetsTheNameOnly, "test_forget_deletes_one_session"),
        (ForgetsTheNameOnly, ANY_ORDER),
        (LosesText, "test_recall_gives_messages_back_as_they_were"),
        (CountsAll, "test_a_new_memory_is_empty"),
        (CannotSayWhen, "test_recall_gives_messages_back_as_they_were"),
        (CannotSayWhen, ANY_ORDER),
        (AlwaysNow, "test_recall_gives_messages_back_as_they_were"),
        (AlwaysNow, ANY_ORDER),
        (IgnoresTimes, "test_since_and_until_bound_what_is_recalled"),
        (IgnoresTimes, "test_now_is_the_time_of_what_has_none"),
        (IgnoresTimes, ANY_ORDER),
        (UntilIsIncluded, "test_since_and_until_bound_what_is_recalled"),
        (TimesOfTheFirst, "test_times_that_do_not_fit_are_refused"),
        (TimesOfTheFirst, ANY_ORDER),
        (AddsWhatItRefuses, "test_times_that_do_not_fit_are_refused"),
        (AddsWhatItRefuses, ANY_ORDER),
        (NotesLast, "test_notes_are_few_and_first"),
        (ThreeNotes, "test_notes_are_few_and_first"),
        (EmptyNote, "test_notes_are_few_and_first"),
        (NotesOfUsers, "test_notes_are_few_and_first"),
        (TakesAnyFeedback, "test_feedback_is_checked"),
        (TakesAnyFeedback, ANY_ORDER),
        (MakesSessionsOfFeedback, "test_feedback_is_checked"),
        (DropsWhatIsBlamed, "test_feedback_is_taken"),
        (SeesOthers, "test_other_sessions_have_no_influence"),
        (LearnsFromAsking, "test_recall_changes_nothing"),
        (KeepsInMemory, "test_what_was_acknowledged_survives_a_crash"),
        (ForgetsFeedbackOnRestart, "test_a_restart_changes_nothing"),
        (WeakAfterRestart, "test_a_restart_changes_nothing"),
        (WeakAfterRestart, ANY_ORDER),
        (Irreproducible, "test_replay_is_as_it_was"),
        (ReplaysAnything, "test_replay_is_as_it_was"),
        (Racy, "test_any_thread_may_add"),
        (RacyRecall, "test_threads_may_add_and_recall_at_once"),
    ],
)
def test_broken_memories_are_refused(component, test, tmp_path):
    refuses(component, test, tmp_path)


@pytest.mark.parametrize(
    ("component", "test"),
    [
        (RandomMemory, "test_what_was_just_said_is_recalled"),
        (NoMemory, "test_what_was_just_said_is_recalled"),
        (NoMemory, "test_recall_gives_messages_back_as_they_were"),
        (NoMemory, "test_sessions_never_see_each_other"),
        (BufferMemory, "test_any_thread_may_add"),
    ],
)
def test_a_memory_keeps_what_it_claims(component, test, tmp_path):
    def made(**options):
        return component(**options) if component is not BufferMemory else BufferMemory(7, **options)

    refuses(made, test, tmp_path)


def test_a_memory_that_claims_less_is_not_asked_for_more(tmp_path):
    class Suite(MemoryContract):
        capacity = 0
        relevant = False

    suite = Suite()
    with NoMemory() as memory:
        suite.test_sessions_never_see_each_other(memory)
        suite.test_any_thread_may_add(memory)
    with pytest.raises(pytest.skip.Exception, match="claim"):
        suite.test_what_was_just_said_is_recalled(memory)


def test_reopen_needs_no_overriding_where_there_is_a_folder(tmp_path):
    class Suite(MemoryContract):
        def make_in(self, folder):
            return BufferMemory(folder=folder)

    suite = Suite()
    memory = BufferMemory(folder=tmp_path)
    memory.add(Message.user("a"))
    again = suite.reopen(memory)
    assert isinstance(again, LoggedMemory)
    assert again.count() == 1
    again.close()
    assert suite.reopen(BufferMemory()) is None
