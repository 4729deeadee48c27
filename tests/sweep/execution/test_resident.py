import subprocess
import sys

from workbench.sweep.execution.resident import held_over

PARENT = """
import subprocess, sys
program = "held = b'x' * 2**27; print('held', flush=True); input()"
child = subprocess.Popen([sys.executable, "-c", program], stdin=0, stdout=1)
child.wait()
"""


def test_a_grandchild_counts_and_a_limit_above_it_is_kept():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        held = held_over(2**26)
        assert 2**27 < held < 2**29
        assert held_over(2 * held) is None
        process.communicate(b"\n")


def test_without_descendants_nothing_is_held():
    """In a new process: this one may have children that other tests left it."""
    program = "from workbench.sweep.execution.resident import held_over; print(held_over(0))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"None\n"
