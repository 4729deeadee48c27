"""The fast way is taken only where it is certain; measured on labelled messages."""

import json
from pathlib import Path

import pytest

import workbench.evaluation
from workbench.conversation import Route, RuleRouter
from workbench.conversation.routing import decide

SETS = Path(workbench.evaluation.__path__[0]) / "sets"
LABELLED = json.loads((SETS / "routes.json").read_text())["messages"]


def test_no_message_that_needs_more_goes_the_fast_way():
    router = RuleRouter()
    wrong = [one["text"] for one in LABELLED if one["path"] == "slow" and router.route(one["text"]).fast]
    assert wrong == [], "precision of the fast way"
    assert sum(one["path"] == "slow" for one in LABELLED) > 90


def test_most_simple_messages_go_the_fast_way_for_the_reason_they_have():
    router = RuleRouter()
    simple = [one for one in LABELLED if one["path"] == "fast"]
    found = [one for one in simple if router.route(one["text"]).fast]
    assert len(found) >= 0.9 * len(simple), "recall of the fast way"
    assert all(router.route(one["text"]).reason == one["kind"] for one in found)


def test_no_question_about_a_conversation_goes_the_fast_way():
    from workbench.evaluation.datasets import small

    questions = [question.text for one in small().conversations for question in one.questions]
    assert questions
    assert not [text for text in questions if RuleRouter().route(text).fast]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("What is a banshee to her?", "no simple kind"),
        ("", "nothing said"),
        ("thanks " * 30, "long"),
        ("what is a that", "refers to somebody or to something said"),
    ],
)
def test_a_slow_way_has_a_reason(text, reason):
    route = RuleRouter().route(text)
    assert route.path == "slow"
    assert route.reason == reason or "refers" in route.reason


def test_consent_to_something_asked_is_no_mere_acknowledgement():
    assert RuleRouter().route("ok").fast
    assert str(RuleRouter().route("ok", before="Shall I save it?")) == "slow: answers a question"


def test_without_a_router_everything_goes_the_slow_way():
    assert decide(None, "hi", "") == Route("slow", "no router")
