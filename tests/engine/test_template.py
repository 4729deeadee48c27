"""Chat templates: rendered like the model makers render them, and harmless when hostile (FAULTS 14 and 15)."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import pytest

from workbench.engine import template as room
from workbench.engine.template import ChatTemplate
from workbench.errors import ChatTemplateError, NoChatTemplate
from workbench.interfaces import Message

HELLO = [Message.system("Be brief."), Message.user("Hi <b>&</b> 'you'")]


def test_renders_roles_tokens_and_generation_prompt() -> None:
    source = (
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}>{% endif %}"
    )
    template = ChatTemplate(source, bos="<s>")
    assert template.render(HELLO) == "<s>[system]Be brief.[user]Hi <b>&</b> 'you'>"
    assert template.render(HELLO, add_generation_prompt=False).endswith("'you'")


def test_helpers_that_model_templates_use() -> None:
    source = (
        "{%- for m in messages -%}{%- if loop.first -%}{%- continue -%}{%- endif -%}{{ m | tojson }}{%- endfor -%}"
        "{%- set ns = namespace(n=0) -%}{%- set ns.n = messages | length -%}{{ ns.n }}{{ strftime_now('%Y') | length }}"
    )
    assert ChatTemplate(source).render(HELLO) == '{"role": "user", "content": "Hi <b>&</b> \'you\'"}24'


def test_no_template_warns_once_and_names_the_fallback() -> None:
    template = ChatTemplate(None, model="nameless")
    with pytest.warns(NoChatTemplate, match="nameless brings no chat template; ChatML"):
        text = template.render(HELLO)
    assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n")
    assert text.endswith("<|im_start|>assistant\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        template.render(HELLO)


def test_a_template_that_refuses_says_why() -> None:
    with pytest.raises(ChatTemplateError, match="no system role here"):
        ChatTemplate("{{ raise_exception('no system role here') }}").render(HELLO)


@pytest.mark.parametrize(
    "source",
    [
        "{% for m in messages %}",
        "{{ messages[99].content }}",
        "{{ 1 / 0 }}",
        "{{ messages.nothing.at.all }}",
        "{% bad %}",
    ],
)
def test_broken_templates_are_clear_errors(source: str) -> None:
    with pytest.raises(ChatTemplateError, match="chat_template="):
        ChatTemplate(source).render(HELLO)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__class__.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.system('touch PWNED') }}",
        "{{ self.__init__.__globals__.__builtins__.open('PWNED', 'w') }}",
        "{{ raise_exception.__globals__['sys'] }}",
        "{{ messages.append(1) }}",
    ],
)
def test_hostile_templates_run_no_code(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ChatTemplateError):
        ChatTemplate(source).render(HELLO)
    assert not (tmp_path / "PWNED").exists()


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}" * 99,
        "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{% for i in range(10**4) %}{{ f() }}{% endfor %}",
    ],
)
def test_endless_templates_are_stopped_and_the_next_one_works(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "DEADLINE_S", 0.4)
    started = time.monotonic()
    with pytest.raises(ChatTemplateError):
        ChatTemplate(source).render(HELLO)
    assert time.monotonic() - started < 30  # it ends at all; the deadline itself is what was set
    monkeypatch.setattr(room, "DEADLINE_S", 2.0)
    assert ChatTemplate("{{ messages | length }}").render(HELLO) == "2"


def test_the_deadline_is_two_seconds() -> None:
    assert room.DEADLINE_S <= 2.0


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 10**10 }}",
        "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    ],
)
def test_greedy_templates_meet_the_memory_limit(source: str) -> None:
    with pytest.raises(ChatTemplateError):
        ChatTemplate(source).render(HELLO)
    assert ChatTemplate("{{ messages | length }}").render(HELLO) == "2"


def test_a_killed_child_is_replaced() -> None:
    template = ChatTemplate("{{ messages | length }}")
    template.render(HELLO)
    child = room._renderer._child
    assert child is not None
    child.kill()
    child.wait()
    assert template.render(HELLO) == "2"
