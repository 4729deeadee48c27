"""``%load_ext workbench`` in a shell of this process."""

import subprocess
import sys

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from workbench.checkup import Check, Report, examine
from workbench.conversation import Session
from workbench.magics import WorkbenchMagics
from workbench.settings import EngineSettings
from workbench.testing import Reply, ScriptedEngine


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    # a shell puts a module of its own there; processes that other tests start would look in it for their beginning
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    made = InteractiveShell.instance(config=config)
    assert made.run_cell("%load_ext workbench").success
    yield made
    for value in list(made.user_ns.values()):
        if isinstance(value, Session | ScriptedEngine):
            value.close()
    made.reset(new_session=False)
    InteractiveShell.clear_instance()


@pytest.fixture
def say(shell, capsys):
    """Run a cell that works; what it wrote."""

    def run(cell):
        capsys.readouterr()
        assert shell.run_cell(cell).success
        return capsys.readouterr().out

    return run


@pytest.fixture
def refused(shell, capsys):
    """Run a cell that fails; its one line."""

    def run(cell):
        capsys.readouterr()
        assert not shell.run_cell(cell).success
        captured = capsys.readouterr()
        told = [line for line in captured.err.splitlines() if line]
        assert len(told) == 1, captured
        assert "Traceback" not in captured.out + captured.err
        return told[0]

    return run


# -- loading ----------------------------------------------------------------------------------------------------------


def test_a_model_is_loaded_into_the_notebook(say, shell, tiny):
    assert "engine: " in say(f"%wb_load {tiny} n_ctx=512")
    with shell.user_ns["engine"] as engine:
        assert engine.settings.n_ctx == 512
        say("%%wb_chat max_tokens=4 temperature=0\nhi")
        assert len(shell.user_ns["chat"]) == 1
        say(f"%wb_load '{tiny}' n_ctx=256")
        assert engine.stats.state == "closed"
    assert "a new conversation" in say("%%wb_chat max_tokens=4 temperature=0\nhi")
    assert len(shell.user_ns["chat"]) == 1
    assert shell.user_ns["engine"].settings.n_ctx == 256
    shell.user_ns["engine"].close()


def test_it_gets_the_name_asked_for(say, shell, tiny):
    say(f"%wb_load {tiny} n_ctx=256 --as small")
    assert "engine" not in shell.user_ns
    shell.user_ns["small"].close()


@pytest.mark.parametrize("typo", ["nosuchmodel", "{tiny} n_ctz=5", "{tiny} n_ctx=-1", "{tiny} n_ctx", "{tiny} n_ctx=["])
def test_a_typing_error_does_not_cost_the_engine(refused, shell, tiny, typo):
    engine = shell.user_ns["engine"] = ScriptedEngine("hello")
    told = refused(f"%wb_load {typo.replace('{tiny}', str(tiny))}")
    assert told.startswith("UsageError: ")
    assert shell.user_ns["engine"] is engine
    assert engine.complete("x").text == "hello"


def test_the_remedy_is_told(refused, tiny):
    assert "Did you mean 'n_ctx'?" in refused(f"%wb_load {tiny} n_ctz=5")
    assert "digits and underscores" in refused(f"%wb_load {tiny} --as a-b")
    assert "first word" in refused(f"%wb_load {tiny} model=x")
    assert "quotation" in refused('%wb_load "unclosed')
    assert "required: model" in refused("%wb_load")


def test_what_is_no_engine_is_not_overwritten(refused, shell, tiny):
    shell.user_ns["engine"] = "steam"
    assert "--as my_engine" in refused(f"%wb_load {tiny}")
    assert shell.user_ns["engine"] == "steam"


# -- talking ----------------------------------------------------------------------------------------------------------


def test_a_conversation_goes_on_from_cell_to_cell(say, shell):
    engine = shell.user_ns["engine"] = ScriptedEngine(["Good morning.", "As I said."])
    assert "Good morning.\n\n[" in say("%%wb_chat\nHello!")
    assert "tokens/s" in say("%%wb_chat temperature=0\nAgain?")
    assert [turn.text for turn in shell.user_ns["chat"].turns] == ["Good morning.", "As I said."]
    assert [one.content for one in engine.requests[1].prompt] == ["Hello!", "Good morning.", "Again?"]
    assert engine.requests[1].sampling.temperature == 0


def test_conversations_are_kept_apart(say, shell):
    shell.user_ns["other"] = ScriptedEngine("Other.")
    shell.user_ns["engine"] = ScriptedEngine("First.")
    say("%%wb_chat\nHello!")
    assert "Other." in say("%%wb_chat --engine other --session talk\nHello!")
    assert len(shell.user_ns["chat"]) == len(shell.user_ns["talk"]) == 1
    assert "Other." in say("%%wb_chat --session talk\nAgain")
    assert len(shell.user_ns["talk"]) == 2


def test_another_engine_begins_another_conversation(say, shell):
    shell.user_ns["engine"] = ScriptedEngine("First.")
    say("%%wb_chat\nHello!")
    shell.user_ns["engine"].close()
    shell.user_ns["engine"] = ScriptedEngine("Second.", name="next")
    assert "a new conversation, for the engine is now next" in say("%%wb_chat\nHello!")
    assert [turn.text for turn in shell.user_ns["chat"].turns] == ["Second."]


def test_a_session_of_ones_own_is_used_and_never_replaced(say, refused, shell):
    engine = shell.user_ns["engine"] = ScriptedEngine("Arr!")
    shell.user_ns["pirate"] = Session(engine, system="You are a pirate.")
    say("%%wb_chat --session pirate\nHello!")
    assert engine.requests[0].prompt[0].content == "You are a pirate."
    shell.user_ns["other"] = ScriptedEngine("Other.")
    assert "your own session" in refused("%%wb_chat --session pirate --engine other\nHello!")
    assert len(shell.user_ns["pirate"]) == 1


def test_errors_of_a_chat_are_one_line(refused, shell):
    assert "Load one first: %wb_load" in refused("%%wb_chat\nHello!")
    shell.user_ns["engine"] = ScriptedEngine("x")
    assert "The cell is empty" in refused("%%wb_chat\n \n")
    assert "Unknown option 'max_tokns'" in refused("%%wb_chat max_tokns=3\nHello!")
    shell.user_ns["talk"] = 7
    assert "holds something else (int)" in refused("%%wb_chat --session talk\nHello!")


def test_an_answer_that_breaks_off_is_kept(shell, capsys):
    shell.user_ns["engine"] = ScriptedEngine(Reply("one two three four", dies_after=2))
    assert not shell.run_cell("%%wb_chat\nCount!").success
    captured = capsys.readouterr()
    assert captured.out.startswith("one")
    assert captured.err.startswith("UsageError: ")
    assert len(captured.err.splitlines()) == 1
    assert shell.user_ns["chat"].turns[0].ended == "broken"


def test_stop_keeps_what_has_come(say, shell):
    shell.user_ns["engine"] = ScriptedEngine([Reply("one two three", dies_after=2, error=KeyboardInterrupt()), "Four."])
    out = say("%%wb_chat\nCount!")
    assert out.startswith("one")
    assert "[stopped, and kept as far as it came: " in out
    (turn,) = shell.user_ns["chat"].turns
    assert turn.ended == "cancelled"
    assert turn.text.startswith("one")
    assert "Four." in say("%%wb_chat\nGo on!")


def test_stop_while_writing_keeps_what_has_come(say, shell, monkeypatch):
    """Between two chunks the interrupt hits the writing, not the engine."""
    shell.user_ns["engine"] = ScriptedEngine("one two three four five six")
    seen = []

    def interrupted(text):
        seen.append(text)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return text

    monkeypatch.setattr("workbench.magics.harmless", interrupted)
    assert "[stopped, and kept as far as it came: " in say("%%wb_chat\nCount!")
    (turn,) = shell.user_ns["chat"].turns
    assert turn.ended == "cancelled"


def test_stop_before_the_answer_begins(say, shell, monkeypatch):
    shell.user_ns["engine"] = ScriptedEngine("Hello.")
    say("%%wb_chat\nHello!")

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "stream", interrupted)
    assert "stopped before the answer began" in say("%%wb_chat\nHello!")
    assert len(shell.user_ns["chat"]) == 1


def test_an_answer_cannot_drive_the_terminal(say, shell):
    shell.user_ns["engine"] = ScriptedEngine("\x1b[2J<img src=x onerror=alert(1)>\x07")
    out = say("%%wb_chat\nHello!")
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "<img src=x onerror=alert(1)>" in out, "plain text: nothing is interpreted"


def test_an_error_cannot_drive_the_terminal(shell, capsys):
    shell.user_ns["evil"] = "\x1b[2J\nno<img src=x onerror=alert(1)>"
    assert not shell.run_cell("%wb_load '{evil}'").success
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert shown.count("\n") == 1


# -- examining --------------------------------------------------------------------------------------------------------


def test_the_doctor_comes(shell, monkeypatch):
    monkeypatch.setattr(examine, "CHECKS", (("Knee", lambda: Check("Knee", "ok", "bends")),))
    result = shell.run_cell("%wb_doctor")
    assert isinstance(result.result, Report)
    assert result.result["Knee"].detail == "bends"


def test_the_doctor_takes_nothing(refused):
    assert "leave out 'me'" in refused("%wb_doctor me")


def test_the_magics_document_themselves(shell):
    for name in ("wb_load", "wb_chat", "wb_doctor"):
        assert getattr(WorkbenchMagics, name).__doc__
    assert "max_tokens=200" in WorkbenchMagics.wb_chat.__doc__


def test_values_show_themselves_to_the_shell_both_ways(shell):
    shown, _ = shell.display_formatter.format(EngineSettings(n_ctx=4096))
    assert shown["text/plain"].startswith("EngineSettings\n")
    assert shown["text/html"].startswith("<div")


def test_ipython_is_imported_by_the_extension_only():
    code = "import sys, workbench; assert callable(workbench.load_ipython_extension); print('IPython' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
