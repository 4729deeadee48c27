"""A conversation → the prompt text the model was trained on, through its own chat template.

A chat template is Jinja code from a file somebody downloaded. Jinja's sandbox keeps it from reaching Python, but not
from looping or allocating for ever, so it runs in a child process (:mod:`workbench.engine.template_child`) with a
deadline and a memory limit. One child serves every engine of this process.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import warnings
from collections.abc import Sequence
from typing import IO, Any

from workbench.engine.roles import gentler
from workbench.errors import ChatTemplateError, NoChatTemplate, SettingAdjusted
from workbench.interfaces import Message

DEADLINE_S = 2.0
START_DEADLINE_S = 30.0
"""For the child to come up; not the template's fault, so not its time."""

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""The fallback, ChatML as llama.cpp's own (`src/llama-chat.cpp`)."""


class ChatTemplate:
    """Renders conversations for one model. Thread-safe.

    Args:
        source: Jinja source; ``None``: ChatML, with a :class:`NoChatTemplate` warning at the first use.
        bos: the text of the beginning-of-sequence token.
        eos: the text of the end-of-sequence token.
        model: the model's name, for messages.
    """

    def __init__(self, source: str | None, *, bos: str = "", eos: str = "", model: str = "the model") -> None:
        self.is_fallback = source is None
        self.source = CHATML if source is None else source
        self._model = model
        self._tokens = {"bos_token": bos, "eos_token": eos}
        self._warned = self._adapted = False

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """The prompt text.

        Args:
            messages: the conversation, oldest first.
            add_generation_prompt: end with the opening of an assistant's message.

        A template that refuses the messages as they are is given them in a gentler way (:mod:`.roles`), with a
        :class:`SettingAdjusted` warning the first time.

        Raises:
            ChatTemplateError: the template is broken, refuses the messages, or takes too long or too much memory.
        """
        if self.is_fallback and not self._warned:
            self._warned = True
            warnings.warn(
                f"{self._model} brings no chat template; ChatML is used instead. If its answers ramble, pass the "
                "right one with chat_template=, or use raw text prompts.",
                NoChatTemplate,
                stacklevel=2,
            )
        try:
            return self._rendered(messages, add_generation_prompt)
        except _Refusal as refusal:
            for way in gentler(messages):
                with contextlib.suppress(_Refusal):
                    text = self._rendered(way, add_generation_prompt)
                    self._tell(refusal)
                    return text
            raise

    def _rendered(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        variables = {
            "messages": [message.to_dict() for message in messages],
            "add_generation_prompt": add_generation_prompt,
            **self._tokens,
        }
        return _renderer.render(self.source, variables)

    def _tell(self, refusal: ChatTemplateError) -> None:
        if not self._adapted:
            self._adapted = True
            warnings.warn(
                f"{self._model} does not take these messages as they are ({refusal}). System "
                "messages are put into the user's, and messages of one role that follow one another are joined.",
                SettingAdjusted,
                stacklevel=3,
            )


class _Refusal(ChatTemplateError):
    """The template does not take these messages, and says so."""


class _Renderer:
    """The child process and the pipe to it; started at the first use, again after it had to be killed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._inherited: subprocess.Popen[bytes] | None = None
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def render(self, source: str, variables: dict[str, Any]) -> str:
        line = json.dumps({"source": source, "variables": variables}).encode() + b"\n"
        with self._lock:
            child = self._running()
            try:
                assert child.stdin is not None  # noqa: S101 - Popen was asked for a pipe
                child.stdin.write(line)
                child.stdin.flush()
                answer = self._answers.get(timeout=DEADLINE_S)
            except queue.Empty:
                self._kill()
                raise ChatTemplateError(
                    f"The chat template took more than {DEADLINE_S:g} s and was stopped. "
                    "Pass another with chat_template=."
                ) from None
            except OSError:
                answer = b""
            except BaseException:  # Ctrl-C: the answer still to come must not become the next conversation's
                self._kill()
                raise
            if not answer:
                self._kill()
                raise ChatTemplateError(
                    "The chat template brought its process down (memory limit?). Pass another with chat_template=."
                )
        reply = json.loads(answer)
        if "refused" in reply:
            raise _Refusal(f"The chat template failed: {reply['refused']}. Pass another with chat_template=.")
        if "error" in reply:
            raise ChatTemplateError(f"The chat template failed: {reply['error']}. Pass another with chat_template=.")
        return str(reply["text"])

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._kill()
            self._answers = queue.SimpleQueue()
            self._child = subprocess.Popen(
                [sys.executable, "-m", "workbench.engine.template_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            assert self._child.stdout is not None  # noqa: S101 - Popen was asked for a pipe
            threading.Thread(
                target=_forward, args=(self._child.stdout, self._answers), name="chat-template", daemon=True
            ).start()
            self._await_hello()
        return self._child

    def _await_hello(self) -> None:
        """The child says one line when it is up, so that the deadline counts rendering only."""
        try:
            hello = self._answers.get(timeout=START_DEADLINE_S)
        except queue.Empty:
            hello = b""
        except BaseException:
            self._kill()
            raise
        if not hello:
            self._kill()
            raise ChatTemplateError("The process that renders chat templates could not be started.")

    def _kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    _close_quietly(pipe)
            self._child = None

    def forget(self) -> None:
        """After a fork, in the child process: the renderer belongs to the parent. Nothing is closed or killed."""
        self._inherited = self._child  # referenced, so that its pipes are not closed under the parent
        self._lock, self._child = threading.Lock(), None

    def stop(self) -> None:
        """End the child; the next render starts a new one."""
        with self._lock:
            self._kill()


def _forward(pipe: IO[bytes], answers: queue.SimpleQueue[bytes]) -> None:
    """Lines of the child → queue; an empty line at its end. A thread, because pipes have no portable time-out."""
    try:
        for line in pipe:
            answers.put(line)
    except ValueError:  # the pipe was closed under us: the child was killed
        pass
    answers.put(b"")


def _close_quietly(pipe: IO[bytes]) -> None:
    with contextlib.suppress(OSError):  # unsent bytes for a child that is gone
        pipe.close()


_renderer = _Renderer()
atexit.register(_renderer.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renderer.forget)
