"""How a run's Jupyter kernel is started, spoken to and stopped: this interpreter, at once, and for good.

Always a new process, never a fork of a warm one: forks would share the layout of their memory and the seed of their
hashes, and with them a bias that no repetition within a sweep could average away (Mytkowicz et al., "Producing wrong
data without doing anything obviously wrong!", ASPLOS 2009).
"""

from __future__ import annotations

import queue
import sys
import time
from typing import Any

import zmq
import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from traitlets import default

START_S = 60.0
"""How long a kernel may take until it answers."""

_RECONNECT_MS = 10


class Client(AsyncKernelClient):
    """The other end of a kernel's line."""

    @default("context")
    def _fresh_context(self) -> zmq.asyncio.Context:
        """Its own, that tries to connect more often than every 0.1 s: a kernel takes a moment to listen."""
        self._created_context = True
        context = zmq.asyncio.Context()
        context.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        return context

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Until it answers and its output arrives.

        Jupyter's own goes on to read the output channel until nothing has come for 0.2 s, in case somebody else used
        the kernel before; here nobody has, and messages are told apart by what they answer.

        Raises:
            RuntimeError: it is dead, or did not answer in time.
        """
        deadline = time.monotonic() + (START_S if timeout is None else timeout)
        while time.monotonic() < deadline:
            asked = self.kernel_info()
            if await self._answered(asked) and await self._heard():
                return
            if not await self.is_alive():
                raise RuntimeError("the kernel died before it answered")
        raise RuntimeError(f"the kernel did not answer within {timeout:g} s")

    async def _answered(self, asked: str) -> bool:
        """Whether this very question is answered within a second; answers to others are dropped."""
        try:
            await self._recv_reply(asked, timeout=1.0)
        except TimeoutError:
            return False
        return True

    async def _heard(self) -> bool:
        """Whether output arrives: a subscription takes a moment, and what is said before it is lost."""
        try:
            await self.iopub_channel.get_msg(timeout=0.2)
        except queue.Empty:
            return False
        return True


class Manager(AsyncKernelManager):
    """Starts :mod:`.kernel` with this interpreter, whatever kernels are installed under which name."""

    client_factory = Client

    @property
    def kernel_spec(self) -> KernelSpec:
        """A specification made on the spot. No history: it is a file lock and a thread no run needs.

        What libraries print goes to the log as it comes, not through a thread of the process that may crash.
        """
        options = ["--HistoryManager.enabled=False", "--IPKernelApp.log_level=ERROR"]
        return KernelSpec(
            argv=[
                *(sys.executable, "-m", "workbench.sweep.execution.kernel", "-f", "{connection_file}"),
                *(*options, "--IPKernelApp.capture_fd_output=False"),
            ],
            display_name="Python",
            language="python",
        )

    @property
    def process(self) -> Any:
        """The kernel's process; ``None`` before it starts and after it was shut down."""
        return getattr(self.provisioner, "process", None)

    async def shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:  # type: ignore[override]
        """Kill it at once: what counts is recorded. Left alone, jupyter_client looks every 0.1 s whether it is dead."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        await super().shutdown_kernel(now=now, restart=restart)
