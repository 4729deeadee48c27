"""A kernel used from here: what is seldom seen through a whole cell."""

import pytest

from workbench.errors import CellFailed
from workbench.sweep.execution.kernels import Kernel


@pytest.fixture
def run(notebook, tmp_path, monkeypatch):
    """Run code cells as one notebook in the given kernel."""
    monkeypatch.setenv("MARK", "")  # a kernel's first notebook sets this process's variables

    def go(kernel, *code, **options):
        path, log = notebook("a = 1", *code), tmp_path / "log.txt"
        log.touch()
        places = {"output": tmp_path / "out.ipynb", "folder": str(tmp_path), "log": log}
        kernel.run(path, parameters={}, environment={"MARK": "1"}, **places, **options)

    return go


def test_output_that_does_not_come_is_an_error_not_a_timeout(run):
    with Kernel(output_s=1) as kernel, pytest.raises(CellFailed, match="output did not arrive within 1 s") as caught:
        run(kernel, "get_ipython().kernel.iopub_thread.stop()", timeout_s=60)
    assert caught.value.kind == "error"


def test_a_kernel_that_does_not_answer_an_interrupt_is_killed(run, monkeypatch):
    monkeypatch.setattr("workbench.sweep.execution.kernels._GRACE_S", 0.5)
    deaf = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: time.sleep(1)"
    with Kernel() as kernel:
        with pytest.raises(CellFailed) as caught:
            run(kernel, deaf, timeout_s=2)
        assert caught.value.kind == "timeout"
        assert not kernel.alive


def test_a_kernel_that_hangs_between_two_notebooks_is_killed(run, monkeypatch):
    monkeypatch.setattr("workbench.sweep.execution.kernels._GRACE_S", 0.5)
    hang = "import time\nclass Sticky:\n    def __del__(self, sleep=time.sleep): sleep(600)\nsticky = Sticky()"
    with Kernel() as kernel:
        run(kernel, hang)
        with pytest.raises(CellFailed, match="killed by SIGKILL"):
            run(kernel, "b = 2")
        assert not kernel.alive


def test_a_closed_kernel_is_gone_and_closing_again_is_fine(run):
    kernel = Kernel()
    run(kernel, "b = 2")
    assert kernel.alive
    kernel.close()
    assert not kernel.alive
    kernel.close()
