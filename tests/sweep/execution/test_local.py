import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from workbench.errors import UsageError
from workbench.interfaces import Executor, Job
from workbench.registry import executors
from workbench.sweep.execution.local import LocalExecutor

FUNCTIONS = """
import os, signal, subprocess, sys, time
from pathlib import Path
from workbench.errors import CellFailed

def echo(job):
    return {"id": job.id, "payload": dict(job.payload), "pid": os.getpid(), "session": os.getsid(0)}

def fail(job):
    raise ValueError("what was wrong")

def fail_with_log(job):
    raise CellFailed("the reason", "the log")

def die(job):
    os.kill(os.getpid(), job.payload["signal"])

def leave(job):
    os._exit(3)

def unserialisable(job):
    return {"x": object()}

def nothing(job):
    return None

def mark(job):
    Path(job.payload["path"]).open("a").write(f"start {job.id}\\n")
    time.sleep(0.05)
    Path(job.payload["path"]).open("a").write(f"end {job.id}\\n")
    return {}

def prints(job):
    print("loud", flush=True)
    os.write(1, b"louder")
    return {"stdin": sys.stdin.read()}

def hang(job):
    # a grandchild in a session of its own, as Jupyter starts its kernels, and an orphan of it
    program = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'],"
    program += "start_new_session=True); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    Path(job.payload["pids"]).write_text(f"{os.getpid()} {child.pid}")
    if job.payload.get("leave"):
        while len(__import__("psutil").Process(child.pid).children()) < 1:
            time.sleep(0.01)
        return {}
    time.sleep(600)

outer = lambda job: {}
"""


@pytest.fixture
def functions(jobs_module):
    return jobs_module(FUNCTIONS)


@pytest.fixture
def executor():
    with LocalExecutor(timeout_s=30) as opened:
        yield opened


def one(executor, function, **payload):
    ((_, outcome),) = executor.run([Job(id="job", payload=payload)], function)
    return outcome


def wait_until(condition, what, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_it_is_the_registered_executor():
    made = executors.create("local", timeout_s=5)
    assert isinstance(made, LocalExecutor)
    assert isinstance(made, Executor)
    assert made.slots == 1
    made.close()


def test_each_job_has_its_own_process_and_session(executor, functions):
    jobs = [Job(id=f"j{n}", payload={"n": n, "text": "é"}) for n in range(3)]
    found = list(executor.run(jobs, functions.echo))
    assert [job.id for job, _ in found] == ["j0", "j1", "j2"]
    assert [outcome.status for _, outcome in found] == ["done"] * 3
    assert found[1][1].result["payload"] == {"n": 1, "text": "é"}
    pids = {outcome.result["pid"] for _, outcome in found}
    assert len(pids | {os.getpid()}) == 4
    assert all(outcome.result["session"] == outcome.result["pid"] for _, outcome in found)
    assert all(outcome.elapsed_s > 0 and outcome.host for _, outcome in found)


def test_never_two_at_once_and_the_next_is_taken_late(executor, functions, tmp_path):
    taken, path = [], tmp_path / "marks"

    def jobs():
        for number in range(3):
            taken.append(number)
            yield Job(id=str(number), payload={"path": str(path)})

    for number, _ in enumerate(executor.run(jobs(), functions.mark)):
        assert taken == list(range(number + 1))
    assert path.read_text().split("\n")[:-1] == [f"{word} {n}" for n in range(3) for word in ("start", "end")]


@pytest.mark.parametrize(
    ("name", "payload", "says"),
    [
        ("fail", {}, "ValueError: what was wrong"),
        ("fail_with_log", {}, "the reason\nthe log"),
        ("die", {"signal": signal.SIGKILL}, "killed by SIGKILL (out of memory?)"),
        ("die", {"signal": signal.SIGABRT}, "killed by SIGABRT"),
        ("leave", {}, "exit status 3"),
        ("unserialisable", {}, "left no result"),
        ("nothing", {}, "TypeError"),
    ],
)
def test_a_failing_job_is_an_outcome_and_the_next_one_runs(executor, functions, name, payload, says, capfd):
    outcome = one(executor, getattr(functions, name), **payload)
    assert (outcome.status, outcome.result) == ("failed", None)
    assert says in outcome.error
    assert one(executor, functions.echo).status == "done"


def test_what_a_job_prints_does_not_disturb_the_line(executor, functions, capfd):
    outcome = one(executor, functions.prints)
    assert outcome.result == {"stdin": ""}
    assert "loud" in capfd.readouterr().err


def test_a_deadline_kills_the_whole_tree(functions, tmp_path):
    pids = tmp_path / "pids"
    with LocalExecutor(timeout_s=1.5) as executor:
        outcome = one(executor, functions.hang, pids=str(pids))
        assert outcome.error == "it took longer than timeout_s = 1.5 s and was killed"
        assert not any(alive(int(pid)) for pid in pids.read_text().split())
        assert one(executor, functions.echo).status == "done"


def test_what_a_job_leaves_running_is_gone_before_the_next(executor, functions, tmp_path):
    pids = tmp_path / "pids"
    outcome = one(executor, functions.hang, pids=str(pids), leave=True)
    assert outcome.status == "done"
    assert not any(alive(int(pid)) for pid in pids.read_text().split())
    assert psutil.Process(executor._lines[0].pid).children(recursive=True) == []


def test_a_killed_supervisor_is_an_outcome_and_is_replaced(executor, functions, tmp_path):
    pids = tmp_path / "pids"

    def kill():
        wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2, "the job started")
        os.kill(executor._lines[0].pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    outcome = one(executor, functions.hang, pids=str(pids))
    thread.join()
    assert outcome.error == "its supervisor was killed"
    worker = int(pids.read_text().split()[0])
    wait_until(lambda: not alive(worker), "the job died with its supervisor")
    assert one(executor, functions.echo).status == "done"
    # the detached grandchild is nobody's any more: this is the one way to lose it
    with __import__("contextlib").suppress(ProcessLookupError):
        for child in [int(pids.read_text().split()[1])]:
            for process in [*psutil.Process(child).children(recursive=True), psutil.Process(child)]:
                process.kill()


def test_an_interrupt_stops_what_runs(functions, tmp_path):
    pids = tmp_path / "pids"
    executor = LocalExecutor(timeout_s=60)

    def interrupt():
        wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2, "the job started")
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        one(executor, functions.hang, pids=str(pids))
    thread.join()
    assert not any(alive(int(pid)) for pid in pids.read_text().split())
    executor.close()
    executor.close()


def test_closing_the_iterator_is_enough(executor, functions):
    running = executor.run((Job(id=str(n), payload={}) for n in range(100)), functions.echo)
    next(running)
    running.close()
    assert one(executor, functions.echo).status == "done"


def test_a_function_nobody_else_can_find_is_refused_before_it_runs(executor, functions):
    with pytest.raises(UsageError, match="cannot be found by name from another process"):
        one(executor, lambda job: {})
    with pytest.raises(UsageError, match="cannot be found"):
        one(executor, functions.outer)


def test_no_pickle_is_involved():
    for module in ("local", "supervised", "supervisor", "processes", "kernels"):
        source = Path(__import__("workbench").__file__).parent / "sweep" / "execution" / f"{module}.py"
        assert "import pickle" not in source.read_text()
