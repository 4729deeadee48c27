"""A mock endpoint in a process of its own, so that it does not share the interpreter with the client it serves.

Orders go in as lines of JSON on its standard input, answers come out on its standard output; when the input ends, so
does the process, so that none is left behind.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from workbench.errors import UsageError
from workbench.testing.endpoint.answers import Answer, Script
from workbench.testing.endpoint.faults import Fault, FaultPlan, fault_from
from workbench.testing.endpoint.server import LoopThread
from workbench.testing.endpoint.service import Asked, Manner, MockService, Stats

_END_S = 5.0


class EndpointProcess:
    """The other side of :func:`main`: as :class:`LoopThread`, across a process."""

    def __init__(self, script: Script, manner: Manner, faults: Sequence[Fault]) -> None:
        if callable(script):
            raise UsageError("A function cannot be the script of another process. Give lines, or process=False.")
        order = {"script": _plain(script), "manner": asdict(manner), "faults": [asdict(fault) for fault in faults]}
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workbench.testing.endpoint.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self.port: int = self._ask(order)

    def listen(self) -> None:
        """Accept connections (again), on the same port."""
        self._ask({"do": "listen"})

    def refuse(self) -> None:
        """Accept no more connections."""
        self._ask({"do": "refuse"})

    def drop(self) -> None:
        """Close every connection at once."""
        self._ask({"do": "drop"})

    def requests(self) -> list[Asked]:
        """What was asked."""
        return [Asked(**{**plain, "faults": tuple(plain["faults"])}) for plain in self._ask({"do": "requests"})]

    def stats(self) -> Stats:
        """What it has seen."""
        return Stats(**self._ask({"do": "stats"}))

    def set_faults(self, faults: Sequence[Fault]) -> None:
        """Other faults from now on; requests are counted from 0 again."""
        self._ask({"do": "faults", "faults": [asdict(fault) for fault in faults]})

    def close(self) -> None:
        """End the process."""
        streams = self._process.stdin, self._process.stdout
        with self._process:  # closes the pipes, then waits
            if streams[0] is not None:
                streams[0].close()
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _ask(self, order: dict[str, Any]) -> Any:
        with self._lock:
            stdin, stdout = self._process.stdin, self._process.stdout
            assert stdin is not None  # noqa: S101 - both are pipes
            assert stdout is not None  # noqa: S101
            stdin.write(json.dumps(order) + "\n")
            stdin.flush()
            line = stdout.readline()
        if not line:
            raise UsageError(f"The mock endpoint's process ended with exit code {self._process.wait()}.")
        return json.loads(line)


def main() -> None:
    """Serve as the first line of standard input says, until it ends."""
    order = json.loads(sys.stdin.readline())
    manner = Manner(**order["manner"])
    service = MockService(_script(order["script"]), manner, [fault_from(plain) for plain in order["faults"]])
    loop = LoopThread(service)
    _say(loop.port)
    for line in sys.stdin:
        _say(_obey(json.loads(line), service, loop))
    loop.close()


def _obey(order: dict[str, Any], service: MockService, loop: LoopThread) -> Any:
    what = order["do"]
    if what == "stats":
        return loop.call(service.snapshot)
    if what == "requests":
        return loop.call(lambda: [asdict(asked) for asked in service.requests])
    if what == "faults":
        plan = FaultPlan([fault_from(plain) for plain in order["faults"]], service.manner.seed)
        loop.call(lambda: setattr(service, "plan", plan))
        return None
    return {"listen": loop.listen, "refuse": loop.refuse, "drop": loop.drop}[what]()


def _say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _plain(script: Any) -> Any:
    if isinstance(script, Answer):
        return asdict(script)
    return script if script is None or isinstance(script, str) else [_plain(line) for line in script]


def _script(plain: Any) -> Any:
    if isinstance(plain, dict):
        calls = tuple((name, arguments) for name, arguments in plain["tool_calls"])
        return Answer(**{**plain, "tool_calls": calls})
    return plain if plain is None or isinstance(plain, str) else [_script(line) for line in plain]


if __name__ == "__main__":
    main()
