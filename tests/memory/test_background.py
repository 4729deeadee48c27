"""Work that nobody waits for: once per wake, in order, and no error is lost."""

import threading
import time

import pytest

from workbench.memory.background import Background


class Worker:
    """Notes whom it was called for; can be held up, and told to fail."""

    def __init__(self):
        self.calls, self.threads = [], set()
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()
        self.failing = set()

    def __call__(self, session):
        self.entered.set()
        self.gate.wait(30)
        self.calls.append(session)
        self.threads.add(threading.current_thread().name)
        if session in self.failing:
            raise RuntimeError(session)


@pytest.fixture
def worker():
    return Worker()


@pytest.fixture
def background(worker):
    background = Background(worker, "a test")
    yield background
    worker.gate.set()
    background.close()


def wait_until(true):
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def hold(worker, background):
    """Wait until the worker has begun with "held"."""
    worker.gate.clear()
    background.wake("held")
    assert worker.entered.wait(30)


def test_no_thread_before_there_is_work(worker):
    before = threading.active_count()
    background = Background(worker, "idle")
    background.flush()
    background.close()
    assert threading.active_count() == before
    assert worker.calls == []


def test_work_is_done_on_a_thread_of_its_own(worker, background):
    background.wake("a")
    background.flush()
    assert worker.calls == ["a"]
    assert worker.threads == {"a test"}


def test_sessions_come_in_order_and_wakes_fall_together(worker, background):
    hold(worker, background)
    for session in ("b", "a", "b", "b", "c", "a"):
        background.wake(session)
    worker.gate.set()
    background.flush()
    assert worker.calls == ["held", "b", "a", "c"]


def test_a_wake_during_the_work_is_one_more_call(worker, background):
    hold(worker, background)
    background.wake("held")
    worker.gate.set()
    background.flush()
    assert worker.calls == ["held", "held"]


def test_flush_waits_for_what_is_being_done(worker, background):
    hold(worker, background)
    flushed = threading.Event()
    thread = threading.Thread(target=lambda: (background.flush(), flushed.set()))
    thread.start()
    assert not flushed.wait(0.05)
    worker.gate.set()
    thread.join(30)
    assert flushed.is_set()


def test_an_error_ends_one_call_and_is_told_once(worker, background):
    worker.failing.add("bad")
    background.wake("bad")
    background.wake("good")
    with pytest.raises(RuntimeError, match="bad"):
        background.flush()
    background.flush()
    assert worker.calls == ["bad", "good"]


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), type("Panic", (BaseException,), {})()])
def test_what_would_end_the_thread_is_told_and_the_thread_goes_on(error):
    calls = []

    def work(session):
        calls.append(session)
        if session == "bad":
            raise error

    background = Background(work, "panicking")
    background.wake("bad")
    background.wake("good")
    with pytest.raises(RuntimeError, match="ended with") as caught:
        background.flush()
    assert caught.value.__cause__ is error
    background.wake("again")
    background.flush()
    background.close()
    assert calls == ["bad", "good", "again"]


def test_where_the_thread_is_gone_as_after_a_fork_there_is_another(worker, background):
    gone = threading.Thread(target=worker.entered.set)
    gone.start()
    gone.join()
    background._thread, background._busy = gone, True
    background.wake("a")
    background.flush()
    assert worker.calls == ["a"]


def test_what_succeeds_later_is_no_error(worker, background):
    worker.failing.add("a")
    background.wake("a")
    background.wake("b")
    with pytest.raises(RuntimeError):
        background.flush()
    worker.failing.clear()
    background.retry()
    background.flush()
    background.retry()
    background.flush()
    assert worker.calls == ["a", "b", "a"], "who succeeded is not tried again"


def test_a_success_before_the_flush_makes_the_error_good(worker, background):
    worker.failing.add("a")
    hold(worker, background)
    background.wake("a")
    worker.gate.set()
    wait_until(lambda: worker.calls == ["held", "a"])
    worker.failing.clear()
    background.wake("a")
    background.flush()
    assert worker.calls == ["held", "a", "a"]


def test_what_fails_again_is_told_again(worker, background):
    worker.failing.add("a")
    background.wake("a")
    for _ in range(2):
        with pytest.raises(RuntimeError):
            background.flush()
        background.retry()


def test_a_cancelled_session_is_not_worked_for(worker, background):
    hold(worker, background)
    background.wake("a")
    background.wake("b")
    thread = threading.Thread(target=background.cancel, args=("a",))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive(), "cancel waits for what is being done"
    worker.gate.set()
    thread.join(30)
    background.flush()
    assert worker.calls == ["held", "b"]


def test_cancelling_drops_its_errors(worker, background):
    worker.failing.add("a")
    background.wake("a")
    background.wake("b")
    wait_until(lambda: worker.calls == ["a", "b"])
    background.cancel("a")
    background.flush()
    background.retry()
    background.flush()
    assert worker.calls == ["a", "b"]


def test_close_finishes_what_waits_and_ends_the_thread(worker, background):
    hold(worker, background)
    background.wake("a")
    worker.gate.set()
    background.close()
    background.close()
    assert worker.calls == ["held", "a"]
    assert "a test" not in {thread.name for thread in threading.enumerate()}
    background.wake("late")
    background.flush()
    assert worker.calls == ["held", "a"]


def test_the_work_may_wake_itself():
    calls = []

    def work(session):
        calls.append(session)
        if len(calls) < 3:
            background.wake(session)

    background = Background(work, "again")
    background.wake("a")
    background.flush()
    background.close()
    assert calls == ["a"] * 3


def test_the_work_may_close_it():
    background = Background(lambda session: background.close(), "closing")
    background.wake("a")
    background.flush()
    background.close()
