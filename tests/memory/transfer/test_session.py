"""A session goes from one memory to another with all that has happened in it, or nothing changes."""

import json

import fastjsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.errors import InvalidSettings, StorageError, StorageFull, StoreCorrupt, UnknownName, UsageError
from workbench.interfaces import Message
from workbench.memory import BufferMemory
from workbench.memory.transfer import export_session, import_session, json_schema, upgrades, write_schema
from workbench.memory.transfer import schema as schemas
from workbench.testing.contracts.memory import HOSTILE_NAMES

NAMES = [*HOSTILE_NAMES, "\ud800", "\ud83d\ude00", "line\nbreak", "\x1b[2J", '"quoted\\"']


def filled(size=50, session="s"):
    """A memory with a session in which every kind of event has happened."""
    memory = BufferMemory(size)
    call = {"id": "c1", "function": {"name": "f", "arguments": "{}"}}
    memory.add_many(
        [
            Message.system("Be brief."),
            Message("user", "naïve 東京 🌍 \n\t nul\0", name="Ann"),
            Message("assistant", "", tool_calls=(call,)),
            Message("tool", "42", tool_call_id="c1"),
        ],
        session=session,
        at=[-1.0, 0.5, 1e9, 1e9 + 0.125],
    )
    memory.recall("東京", session=session, k=2)
    memory.feedback(1, -0.5, session=session)
    memory.journal.append(session, "summary", {"text": "Forty-two.", "upto": 4, "engine": "any"}, at=3.0)
    memory.journal.append(session, "relation", {"source": "Ann", "target": "Bo", "type": "trust"}, at=4.0)
    memory.journal.append(session, "relations-read", {"upto": 4, "unclear": [[1, ["Ann", "Bo"]]], "seen": 4}, at=4.0)
    memory.journal.append(session, "relations-enriched", {"index": 1}, at=4.0)
    memory.journal.append(session, "trial", {"adopted": True, "weights": {"a": 0.5}}, at=4.0)
    memory.journal.append(session, "rollback", {"to": 0}, at=4.0)
    memory.journal.append(session, "of-a-plugin", {"deep": [{"a": None}], "n": 1}, at=5.0)
    return memory


def happened(memory, session):
    """All but the places in the log, which are the log's own."""
    return [(event.kind, event.at, event.data) for event in memory.events(session)]


def recalled(memory, session, query="42"):
    return memory.recall(query, session=session, k=100)


def write(path, value):
    path.write_text(json.dumps(value))
    return path


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "session.json"
    export_session(filled(), "s", path)
    return path


def test_everything_arrives_and_recall_is_the_same(tmp_path):
    here, there = filled(), BufferMemory(50)
    export_session(here, "s", tmp_path / "s.json")
    assert import_session(there, tmp_path / "s.json") == "s"
    assert happened(there, "s") == happened(here, "s")
    assert recalled(there, "s") == recalled(here, "s")
    assert there.add(Message.user("on"), session="s") == 4


def test_it_outlives_the_process_that_imported_it(tmp_path, path):
    with BufferMemory(folder=tmp_path / "m") as memory:
        import_session(memory, path)
        before = happened(memory, "s")
    with BufferMemory(folder=tmp_path / "m") as memory:
        assert happened(memory, "s") == before
        assert memory.count("s") == 4


def test_what_a_memory_noted_of_its_own_stores_stays_behind(tmp_path):
    memory = filled()
    memory.journal.append("s", "archive", {"upto": 4})
    export_session(memory, "s", tmp_path / "s.json")
    assert '"archive"' not in (tmp_path / "s.json").read_text()
    document = json.loads((tmp_path / "s.json").read_text())
    document["events"].append({"kind": "archive", "at": 0, "data": {"upto": 4}})
    other = BufferMemory()
    import_session(other, write(tmp_path / "t.json", document))
    assert "archive" not in [event.kind for event in other.events("s")]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_data(tmp_path, name):
    here, there = filled(session=name), BufferMemory()
    export_session(here, name, tmp_path / "s.json")
    assert [file.name for file in tmp_path.iterdir()] == ["s.json"]
    assert import_session(there, tmp_path / "s.json") == name
    assert there.sessions() == (name,)
    assert happened(there, name) == happened(here, name)


TEXTS = st.text(st.characters(exclude_categories=()), max_size=12)
EVENTS = st.one_of(
    st.tuples(st.just("say"), st.sampled_from(["user", "assistant", "system"]), TEXTS, st.floats(-1e10, 1e10)),
    st.tuples(st.just("recall"), TEXTS),
    st.tuples(st.just("feedback"), st.floats(-1, 1)),
    st.tuples(
        st.just("note"), st.dictionaries(TEXTS, st.integers() | st.floats(allow_nan=False, allow_infinity=False))
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=TEXTS, events=st.lists(EVENTS, max_size=12))
def test_any_session_arrives_as_it_was(tmp_path, name, events):
    here, there = BufferMemory(), BufferMemory()
    here.add(Message.user("first"), session=name, at=0.0)
    for kind, *values in events:
        if kind == "say":
            here.add(Message(values[0], values[1]), session=name, at=values[2])
        elif kind == "recall":
            here.recall(values[0], session=name)
        elif kind == "feedback":
            here.feedback(0, values[0], session=name)
        else:
            here.journal.append(name, "note", values[0])
    export_session(here, name, tmp_path / "s.json")
    assert import_session(there, tmp_path / "s.json", on_conflict="replace") == name
    assert happened(there, name) == happened(here, name)
    assert recalled(there, name) == recalled(here, name)


def test_conflicts(path):
    memory = BufferMemory()
    memory.add(Message.user("mine"), session="s")
    with pytest.raises(InvalidSettings, match="already"):
        import_session(memory, path)
    assert [found.message.content for found in recalled(memory, "s")] == ["mine"]
    assert import_session(memory, path, on_conflict="rename") == "s (2)"
    assert import_session(memory, path, on_conflict="rename") == "s (3)"
    assert import_session(memory, path, session="new") == "new"
    assert import_session(memory, path, on_conflict="replace") == "s"
    assert memory.count("s") == 4
    assert "mine" not in str(recalled(memory, "s"))
    assert memory.sessions() == ("new", "s", "s (2)", "s (3)")
    with pytest.raises(UnknownName, match="replace"):
        import_session(memory, path, on_conflict="overwrite")


def test_replacing_leaves_nothing_of_the_old_one_in_the_file(tmp_path, path):
    with BufferMemory(folder=tmp_path / "m") as memory:
        memory.add(Message.user("sentinel-of-the-old"), session="s")
        import_session(memory, path, on_conflict="replace")
    assert b"sentinel-of-the-old" not in b"".join(file.read_bytes() for file in (tmp_path / "m").iterdir())


def test_what_is_not_there_is_named(tmp_path):
    memory = filled()
    with pytest.raises(UnknownName, match="Known: s"):
        export_session(memory, "t", tmp_path / "x.json")
    with pytest.raises(UsageError, match=r"no\.json cannot be read"):
        import_session(memory, tmp_path / "no.json")
    with pytest.raises(InvalidSettings, match="no event log"):
        export_session(object(), "s", tmp_path / "x.json")
    assert list(tmp_path.iterdir()) == []


def test_a_file_cut_anywhere_is_refused_and_nothing_changes(tmp_path):
    memory = BufferMemory()
    memory.add_many([Message.user("a"), Message.assistant("ä🌍")], session="s", at=[1.0, 2.0])
    export_session(memory, "s", tmp_path / "s.json")
    whole, before = (tmp_path / "s.json").read_bytes(), happened(memory, "s")
    for length in range(len(whole) - 1):  # without its last byte, a line break, it is whole
        (tmp_path / "cut.json").write_bytes(whole[:length])
        with pytest.raises(StoreCorrupt, match=r"cut\.json cannot be read: (line|byte)"):
            import_session(memory, tmp_path / "cut.json", on_conflict="replace")
    assert happened(memory, "s") == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.pop("events"), "events: this key is missing"),
        (lambda d: d.update(events={}), "events: a list is wanted here, not a dict"),
        (lambda d: d.update(extra=1), "extra: this key is not known here"),
        (lambda d: d.update(session=5), "session: a text is wanted here, not 5"),
        (lambda d: d.update(session_utf8="ff"), "session_utf8: no UTF-8"),
        (lambda d: d.update(session_utf8="xyz"), "session_utf8: "),
        (lambda d: d.update(format="zip"), "format: 'zip' is not known; there are workbench-conversation and"),
        (lambda d: d.update(version=2), "version 2 of workbench-session, this workbench reads up to 1. Use"),
        (lambda d: d.update(version=0), "there never was a version 0"),
        (lambda d: d.update(version="1"), "version: a whole number"),
        (lambda d: d.pop("version"), "version: a whole number"),
        (lambda d: d["events"].append(7), r"events\[13\]"),
        (lambda d: d["events"][0].update(at="noon"), r"events\[0\]\.at: a number is wanted here, not 'noon'"),
        (lambda d: d["events"][1]["data"].update(role="king"), r"events\[1\]\.data\.role: .*'king'"),
        (lambda d: d["events"][1]["data"].update(content=None), r"events\[1\]\.data\.content: a text is wanted"),
        (lambda d: d["events"][1]["data"].update(mood="fine"), r"events\[1\]\.data\.mood: this key is not known"),
        (lambda d: d["events"][2]["data"].update(index=1), r"events\[2\]\.data\.index: 2 is wanted here, not 1"),
        (lambda d: d["events"][2]["data"].update(index=3), r"events\[2\]\.data\.index: 2 is wanted here, not 3"),
        (lambda d: d["events"][2]["data"].update(index=True), r"events\[2\]\.data\.index: a whole number"),
        (lambda d: d["events"][4]["data"].update(found=[[9, 1.0]]), r"events\[4\].data: it speaks of a message"),
        (lambda d: d["events"][5]["data"].update(index=4), r"events\[5\].data: it speaks of a message"),
        (lambda d: d["events"][5]["data"].update(value=2), r"events\[5\]\.data\.value: .*1"),
        (lambda d: d["events"][6]["data"].update(upto=5), r"events\[6\].data: it speaks of a message"),
        (lambda d: d["events"][7]["data"].pop("type"), r"events\[7\]\.data\.type: this key is missing"),
        (lambda d: d["events"][8]["data"].update(upto=5), r"events\[8\].data: it speaks of a message"),
        (lambda d: d["events"][8]["data"].update(unclear=[[4, []]]), r"events\[8\].data: it speaks of a message"),
        (lambda d: d["events"][8]["data"].update(unclear=[[4]]), r"events\[8\]\.data\.unclear\[0\]: "),
        (lambda d: d["events"][9]["data"].update(index=4), r"events\[9\].data: it speaks of a message"),
        (lambda d: d["events"][10]["data"].update(adopted="yes"), r"events\[10\]\.data\.adopted: "),
        (lambda d: d["events"][11]["data"].update(to=2), r"events\[11\]\.data\.to: there are 1 weightings"),
        (lambda d: d["events"][12].update(kind=""), r"events\[12\]\.kind"),
        (lambda d: d["events"].clear(), "has no messages"),
    ],
)
def test_damage_is_named_with_its_place(path, change, says):
    document = json.loads(path.read_text())
    change(document)
    memory = filled()
    before = happened(memory, "s")
    with pytest.raises((StoreCorrupt, InvalidSettings), match=says) as caught:
        import_session(memory, write(path, document), on_conflict="replace")
    assert str(path) in str(caught.value)
    assert happened(memory, "s") == before
    assert memory.sessions() == ("s",)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"at": 0.5', '"at": NaN', "NaN is no JSON number"),
        ('"at": 0.5', '"at": -Infinity', "-Infinity is no JSON number"),
        ('"at": 0.5', '"at": 1e999', "1e999 is larger than a number can be"),
        ('"at": 0.5', '"at": 0.5, "at": 0.5', "the key 'at' stands twice"),
        ('"at": 0.5', f'"at": {"9" * 5000}', "4300 digits"),
        ('"n": 1', f'"n": {"[" * 100_000}', "nested too deeply|line"),
    ],
)
def test_what_two_programs_would_read_differently_is_refused(path, old, new, says):
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    with pytest.raises(StoreCorrupt, match=says):
        import_session(BufferMemory(), path)


def test_a_file_of_an_older_version_is_upgraded_step_by_step(path, monkeypatch):
    def spoken(document):
        return {**document, "version": 2, "events": [e for e in document["events"] if e["kind"] == "message"]}

    def louder(document):
        for event in document["events"]:
            event["data"]["content"] = event["data"]["content"].upper()
        return {**document, "version": 3}

    monkeypatch.setitem(schemas.VERSIONS, schemas.SESSION, 3)
    monkeypatch.setitem(upgrades.STEPS, schemas.SESSION, {1: spoken, 2: louder})
    memory = BufferMemory()
    import_session(memory, path)
    assert [event.kind for event in memory.events("s")] == ["message"] * 4
    assert memory.events("s")[0].data["content"] == "BE BRIEF."


def test_a_full_disk_leaves_both_as_they_were(tmp_path, path, monkeypatch):
    memory = filled()
    before = happened(memory, "s")

    def full(*_, **__):
        raise StorageFull(tmp_path)

    monkeypatch.setattr(memory.journal.log, "replace", full)
    with pytest.raises(StorageFull):
        import_session(memory, path, on_conflict="replace")
    assert happened(memory, "s") == before
    assert [one.index for one in recalled(memory, "s")] == [0, 1, 2, 3]


def test_a_transaction_that_fails_midway_changes_nothing(path, monkeypatch):
    memory = filled()
    before = happened(memory, "s")
    # SQLite refuses the third row, when the old session and two rows of the new one are already exchanged
    memory.journal.log.database._connection.execute(
        "CREATE TEMP TRIGGER no BEFORE INSERT ON events WHEN NEW.data LIKE '%tool_calls%' "
        "BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    with pytest.raises(StorageError, match="no"):
        import_session(memory, path, on_conflict="replace")
    assert happened(memory, "s") == before


def test_the_schema_describes_what_is_written(tmp_path, path):
    write_schema(tmp_path / "schema.json")
    assert json.loads((tmp_path / "schema.json").read_text()) == json_schema()
    kinds = {
        definition["properties"]["kind"].get("const")
        for definition in json_schema()["$defs"].values()
        if "kind" in definition.get("properties", {})
    }
    assert kinds == {*schemas.KNOWN_KINDS, None}
    assert set(json_schema("workbench-conversation")["properties"]) == {
        "format", "version", "session", "session_utf8", "messages",
    }  # fmt: skip
    check = fastjsonschema.compile(json_schema())
    document = json.loads(path.read_text())
    check(document)
    document["events"][0]["data"]["role"] = "king"
    with pytest.raises(fastjsonschema.JsonSchemaException):
        check(document)
    with pytest.raises(UnknownName, match="workbench-session"):
        json_schema("session")
