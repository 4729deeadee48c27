import pytest

from workbench.errors import SpecError
from workbench.sweep.specification.source import dotted, parse, read


def test_every_key_knows_its_line():
    source = parse("name: x\nparameters:\n  a: [1, 2]\n  b:\n    - 3\n    - 4\ntargets:\n  - {name: t}\n")
    assert source.lines["name",] == 1
    assert source.lines["parameters", "a"] == 3
    assert source.lines["parameters", "b", 1] == 6
    assert source.lines["targets", 0, "name"] == 8
    assert source.value["parameters"] == {"a": [1, 2], "b": [3, 4]}


def test_an_unknown_place_has_the_line_of_what_holds_it():
    source = parse("name: x\nfixed:\n  a: 1\n")
    assert source.line(("fixed", "missing", 3)) == 2
    assert parse("name: x").error("broken", ("name",)).line == 1


def test_dotted():
    assert dotted(("targets", 0, "of", "a")) == "targets[0].of.a"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("name: x\nseed: 1\nname: y", 3, "a second time, first in line 1"),
        ("fixed: {a: 1, b: 2,\n  a: 3}", 2, "a second time"),
        ("name: x\nfixed:\n  on: 1", 3, "reads this key as bool"),
        ("fixed:\n  1: 2", 2, "reads this key as int"),
        ("fixed: {a: on}", 1, "Write true"),
        ("x: 1\nparameters: {a: [1,\n  no]}", 3, "Write false"),
        ("fixed: {rate: 1e5}", 1, "1.0"),
        ("fixed: {time: 12:30}", 1, "750"),
        ("fixed: {mode: 010}", 1, "number 8"),
        ("fixed: {day: 2024-01-01}", 1, "as a date"),
        ("base: &b {a: 1}\nfixed:\n  <<: *b", 3, "merge keys"),
        ("name: [1, 2\n", 2, "not valid YAML"),
        ("name: x\n\tbad: 1", 2, "not valid YAML"),
        ("- a\n- b", 1, "must be a mapping"),
        ("", 1, "must be a mapping"),
        ("a: !!python/object/apply:os.system ['true']", 1, "not valid YAML"),
    ],
)
def test_what_yaml_quietly_changes_is_refused_with_its_line(text, line, says):
    with pytest.raises(SpecError, match=says) as caught:
        parse(text)
    assert caught.value.line == line


def test_quoted_words_are_meant_as_they_stand():
    source = parse("fixed: {a: 'on', b: \"1e5\", c: '2024-01-01', d: 1.0e+5, e: true, f: null}")
    assert source.value["fixed"] == {"a": "on", "b": "1e5", "c": "2024-01-01", "d": 1e5, "e": True, "f": None}


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(SpecError, match="cannot be read"):
        read(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff")
    with pytest.raises(SpecError, match=r"latin\.yaml"):
        read(tmp_path / "latin.yaml")


def test_the_message_starts_with_file_and_line(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("name: x\nname: y")
    with pytest.raises(SpecError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}:2: name: ")
