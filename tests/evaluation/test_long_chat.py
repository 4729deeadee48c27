"""The long chat: what counts as shown, as recalled and as answered."""

import pytest

from workbench import EngineSettings
from workbench.conversation import ConversationSettings
from workbench.errors import InvalidSettings
from workbench.evaluation.long_chat import long_chat, long_chat_texts
from workbench.testing import ScriptedEngine

MEMORY = ("hybrid", {"dense_weight": 0.0})


def told(request):
    """Answers with whatever fact stands in the prompt for the question that is asked."""
    *before, asked = [one.content for one in request.prompt]
    known = {fact.asked: fact for fact in long_chat_texts()[0]}
    fact = next((one for question, one in known.items() if asked.endswith(question)), None)
    return fact.answer if fact and any(fact.told in text for text in (*before, asked)) else "Hm."


def chat(n_ctx, memory, script=told):
    engine = ScriptedEngine(script, settings=EngineSettings(n_ctx=n_ctx))
    settings = ConversationSettings(alerts=None)
    return long_chat(engine, turns=60, answer_tokens=16, memory=memory, settings=settings)


def test_what_is_shown_anyway_is_not_the_memorys(tmp_path):
    seen = chat(16_384, MEMORY)
    assert (seen["still_shown"], seen["in_prompt"], seen["answered"]) == (1, 1, 1)
    assert seen["through_memory"] is seen["answered_through_memory"] is None


def test_without_a_memory_nothing_comes_through_it():
    seen = chat(700, None)
    assert seen["overflows"] == 0
    assert seen["still_shown"] < 1
    assert (seen["through_memory"], seen["answered_through_memory"]) == (0, 0)


def test_what_the_memory_brings_and_whether_it_is_answered_are_two_things():
    seen, silent = chat(700, MEMORY), chat(700, MEMORY, "Hm.")
    assert seen["still_shown"] < 0.5
    assert seen["through_memory"] > 0.5
    assert seen["answered_through_memory"] == pytest.approx(seen["through_memory"])
    assert silent["through_memory"] > 0.5
    assert silent["answered_through_memory"] == silent["answered"] == 0


def test_a_chat_too_short_to_ask_is_refused():
    with pytest.raises(InvalidSettings, match="above"):
        long_chat(ScriptedEngine(), turns=2)
