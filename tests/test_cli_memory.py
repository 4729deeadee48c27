"""``workbench memory`` as a user types it."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.errors import UsageError
from workbench.interfaces import Message
from workbench.memory import BufferMemory
from workbench.memory.transfer import export_session, import_session, save_conversation

SENTINEL = "sk-SENTINEL-0123456789abcdef"
HOSTILE = "../\x1b[2J\u202etxt\ud800"


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process: starting Python anew takes longer than all it does."""

    def call(*arguments: object, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "argv", ["workbench", "memory", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        shown = capsys.readouterr()
        return Done(int(left.value.code or 0), shown.out, shown.err)

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "memory"
    with BufferMemory(folder=folder) as memory:
        said = [Message("user", "The bicycle is red.", name="Ann"), Message.assistant("Nice\x1b[31m!")]
        memory.add_many(said, session="ann", at=[0.0, 86400.0])
        memory.add(Message.user("x"), session=HOSTILE)
        memory.feedback(0, 1.0, session="ann")
    return folder


def test_sessions_are_listed_and_their_names_are_harmless(run: Run, folder: Path) -> None:
    done = run("list", folder)
    assert done.returncode == 0, done.stderr
    assert "1970-01-01  1970-01-02  ann" in done.stdout
    assert "2 sessions, 3 messages" in done.stderr
    assert r"'../\x1b[2J\u202etxt\ud800'" in done.stdout
    assert not any(character in done.stdout for character in "\x1b\u202e")
    rows = json.loads(run("list", folder, "--json").stdout)
    assert {row["session"]: row["messages"] for row in rows} == {"ann": 2, HOSTILE: 1}


def test_a_recall_says_what_and_why(run: Run, folder: Path) -> None:
    done = run("recall", folder, "which colour?", "--session", "ann", "--strategy", "buffer", "-k", 5)
    assert done.returncode == 0, done.stderr
    assert "Ann: The bicycle is red." in done.stdout
    assert r"'Nice\x1b[31m!'" in done.stdout
    assert "recent" in done.stderr
    found = json.loads(run("recall", folder, "x", "--session", "ann", "--strategy", "full", "-k", 1, "--json").stdout)
    assert [(one["index"], one["message"]["role"]) for one in found] == [(1, "assistant")]


def test_a_session_goes_out_and_in_again(run: Run, folder: Path, tmp_path: Path) -> None:
    done = run("export", folder, "ann", tmp_path / "ann.json")
    assert "2 messages of ann" in done.stdout, done.stderr
    other = tmp_path / "other"
    for way, name in ((), "ann"), (("--on-conflict", "rename"), "ann (2)"), (("--session", "b"), "b"):
        done = run("import", other, tmp_path / "ann.json", "--strategy", "buffer", *way)
        assert done.stdout == f"{name}: 2 messages\n", done.stderr
    with BufferMemory(folder=folder) as here, BufferMemory(folder=other) as there:
        assert [e.data for e in there.events("ann (2)")] == [e.data for e in here.events("ann")]
    refused = run("import", other, tmp_path / "ann.json", "--strategy", "buffer")
    assert refused.returncode == 2
    assert "already" in refused.stderr


def test_a_conversation_is_what_was_said(run: Run, folder: Path, tmp_path: Path) -> None:
    run("export", folder, "ann", tmp_path / "ann.json", "--conversation")
    assert [*json.loads((tmp_path / "ann.json").read_text())] == ["format", "version", "session", "messages"]


def test_forgetting_asks_first(run: Run, folder: Path) -> None:
    assert run("forget", folder, "ann", "--strategy", "buffer", stdin="n\n").returncode == 1
    assert '"ann"' in run("list", folder, "--json").stdout
    done = run("forget", folder, "ann", "--yes", "--strategy", "buffer")
    assert done.stdout == "ann is deleted\n", done.stderr
    assert '"ann"' not in run("list", folder, "--json").stdout
    assert b"bicycle" not in b"".join(path.read_bytes() for path in folder.iterdir())


def test_the_schema_is_printed(run: Run) -> None:
    assert json.loads(run("schema").stdout)["title"] == "SessionFile"
    assert json.loads(run("schema", "--conversation").stdout)["title"] == "ConversationFile"


def test_mistakes_are_messages_not_tracebacks(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("[")
    mistakes = [
        (("list", tmp_path), "no events.sqlite"),
        (("recall", tmp_path, "x", "--strategy", "buffer"), "no events.sqlite"),
        (("forget", folder, "bob", "--strategy", "buffer"), r"Known: '../\x1b[2J\u202etxt\ud800', ann"),
        (("export", folder, "bob", tmp_path / "x.json"), "Unknown session 'bob'"),
        (("recall", folder, "x", "--strategy", "buffre"), "Did you mean 'buffer'?"),
        (("import", folder, tmp_path / "bad.json", "--strategy", "buffer"), "line 1, column 2"),
    ]
    for arguments, says in mistakes:
        done = run(*arguments)
        assert done.returncode in (1, 2), arguments
        assert says in done.stderr, arguments
        assert "Traceback" not in done.stderr
    with BufferMemory(folder=folder):
        assert f"process {os.getpid()}" in run("list", folder).stderr


def test_no_key_of_the_environment_gets_anywhere(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keys = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "HF_TOKEN", "CHROMA_API_KEY"), SENTINEL)
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    caplog.set_level(logging.DEBUG)
    seen = []
    with BufferMemory(folder=folder) as memory:
        memory.recall("my key?", session="ann")
        export_session(memory, "ann", tmp_path / "session.json")
        save_conversation(memory, "ann", tmp_path / "conversation.json")
        import_session(memory, tmp_path / "session.json", on_conflict="rename")
        with pytest.raises(UsageError) as caught:
            import_session(memory, tmp_path / "none.json")
        seen += [repr(memory), str(memory.__dict__), repr(caught.value), caplog.text]
    apart = [sys.executable, "-c", "from workbench.cli import main; main()", "memory", "list", str(folder)]
    listed = subprocess.run(apart, capture_output=True, text=True, env={**os.environ, **keys}, check=True)
    shown = run("recall", folder, "x", "--session", "ann", "--strategy", "full")
    seen += [listed.stdout, listed.stderr, shown.stdout, shown.stderr]
    assert SENTINEL not in "".join(seen)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 3
    assert not [path for path in files if SENTINEL.encode() in path.read_bytes()]
