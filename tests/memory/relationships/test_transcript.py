"""Reading messages for relations: with the names known then, again when one is learnt, the same however often."""

import re

import pytest

from workbench.interfaces import Message
from workbench.memory.relations import Relation
from workbench.memory.relationships.transcript import READ, RELATION, RelationTranscript
from workbench.storage import Event

_SAYS = re.compile(r"(\w+) (trust|fear|hate)s? (\w+)")


def plain(text, names):
    """ "X trusts Y", word for word; a first person is the first name."""
    found = []
    for source, kind, target in _SAYS.findall(text):
        source = names[0] if source == "I" else source
        if source in names and target in names:
            found.append(Relation(source, target, kind, 0.5, 0.5, f"{source} {kind} {target}"))
    return found


def transcript(*messages, entities=("Mira", "Jon", "Tom")):
    made = RelationTranscript("s", entities=entities)
    said = [one if isinstance(one, Message) else Message.user(one) for one in messages]
    made.update(events(*(("message", {"index": index, **one.to_dict()}) for index, one in enumerate(said))))
    return made


def events(*listed, first=1):
    return [Event(seq, "s", kind, float(seq), data) for seq, (kind, data) in enumerate(listed, first)]


def edges(made):
    return [(edge.source, edge.type, edge.target) for edge in made.graph.edges()]


def kinds(made):
    return [entry.kind for entry in made.unwritten]


def test_reading_fills_the_graph_and_says_what_to_write():
    made = transcript("Mira trusts Jon.", "Nothing.")
    made.read_on(plain)
    assert edges(made) == [("Mira", "trust", "Jon")]
    assert kinds(made) == [RELATION, READ]
    relation = made.unwritten[0]
    assert (relation.at, relation.data["index"], relation.data["seen"]) == (1.0, 0, 1)
    assert made.unwritten[1].data["upto"] == 2


def test_reading_on_goes_on():
    made = transcript("Mira trusts Jon.", "Jon fears Tom.", "Tom hates Mira.")
    for count in (1, 2, 3, 3):
        made.read_on(plain, 1)
        assert len(edges(made)) == count
    assert kinds(made) == [RELATION, READ] * 3


def test_what_was_written_is_not_doubled():
    made = transcript("Mira trusts Jon.")
    made.read_on(plain)
    written = [(entry.kind, entry.data) for entry in made.unwritten]
    made.update([Event(9, "s", kind, 1.0, data) for kind, data in written])
    assert not made.unwritten
    assert [edge.times for edge in made.graph.edges()] == [1]


def test_events_alone_give_the_same_graph():
    read = transcript("Mira trusts Jon.", "Jon fears Tom.")
    read.read_on(plain)
    again = transcript("Mira trusts Jon.", "Jon fears Tom.")
    again.update([Event(9, "s", entry.kind, entry.at or 0.0, entry.data) for entry in read.unwritten])
    assert again.graph.history() == read.graph.history()
    again.read_on(lambda text, names: pytest.fail("it was read already"))


def test_a_name_learnt_later_is_found_in_what_was_said_before():
    made = transcript("Mira trusts Eve.", "Nothing.", "We saw Eve.", entities=["Mira"])
    made.read_on(plain)
    assert edges(made) == [("Mira", "trust", "Eve")]
    [statement] = made.graph.statements()
    assert (statement.index, statement.seen, statement.at) == (0, 3, 1.0)


def test_how_much_is_read_at_once_makes_no_difference():
    texts = ["Mira trusts Eve.", "We saw Eve.", "Eve fears Bob.", "Poor Bob!", "I like Bob.", "Bob hates Mira."]
    at_once, bit_by_bit = transcript(*texts, entities=()), transcript(*texts, entities=())
    at_once.read_on(plain)
    while bit_by_bit.read < len(texts):
        bit_by_bit.read_on(plain, 1)
    assert at_once.graph.statements() == bit_by_bit.graph.statements()


def test_a_speaker_is_an_entity_and_says_i():
    made = transcript(Message("user", "I trust Jon.", name="Eve"), entities=["Jon"])
    asked = []
    made.read_on(lambda text, names: asked.append((text, list(names))) or [])
    assert asked == [('Eve says, "I trust Jon."', ["Eve", "Jon"])]


def test_fewer_than_two_names_need_no_extractor():
    made = transcript("Mira trusts nobody.", "", "Hello!")
    made.read_on(lambda text, names: pytest.fail("nobody else is named"))
    assert made.read == 3


def test_a_tools_answer_is_not_read():
    made = transcript(Message("tool", "Mira trusts Jon.", tool_call_id="1"))
    made.read_on(plain)
    assert edges(made) == []


def test_an_extractor_that_fails_loses_one_message(caplog):
    def fails(text, names):
        if "fears" in text:
            raise RuntimeError("no idea")
        return plain(text, names)

    made = transcript("Mira trusts Jon.", "Jon fears Tom.", "Tom hates Mira.")
    made.read_on(fails)
    assert edges(made) == [("Mira", "trust", "Jon"), ("Tom", "hate", "Mira")]
    assert "message 1" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        Relation("Mira", "Stranger", "trust"),
        Relation("Mira", "Jon", "envy"),
        Relation("Mira", "Mira", "trust"),
        Relation("Mira", "Jon", "trust", sentiment=7.0),
        Relation("Mira", "Jon", "trust", strength=float("nan")),
    ],
)
def test_what_is_not_valid_is_left_out_and_logged(wrong, caplog):
    made = transcript("Mira and Jon.")
    made.read_on(lambda text, names: [wrong, Relation("Jon", "Mira", "fear", -0.5, 0.5)])
    assert edges(made) == [("Jon", "fear", "Mira")]
    assert "left out" in caplog.text


def test_a_statement_in_the_log_that_is_none_loses_itself_only(caplog):
    made = transcript("Mira trusts Jon.")
    made.update(events((RELATION, {"source": "Mira", "colour": "red"}), first=9))
    made.read_on(plain)
    assert edges(made) == [("Mira", "trust", "Jon")]
    assert "left out" in caplog.text


def test_unclear_messages_are_remembered():
    made = transcript("Mira has long mistrusted Jon.", "Mira and Jon ate.", "Mira trusts Jon.", "I trust Jon.")
    made.read_on(plain)
    assert made.unclear == {0: ["Mira", "Jon"]}
    assert made.unwritten[-1].data["unclear"] == [[0, ["Mira", "Jon"]]]
