import pytest

from workbench.storage.redaction import Redaction

KEY = "q7-sentinel-value"


@pytest.fixture
def redaction():
    return Redaction(
        {"MY_API_KEY": f" {KEY}\n", "HOME": "/home/somebody", "HF_TOKEN": "short", "KEYBOARD": "qwertz-de"}
    )


@pytest.mark.parametrize(
    "key",
    [
        KEY,
        "sk-proj-Abcdefghij0123456789",
        "hf_abcdefghijklmnopqrstuvwxyz01",
        "AIzaSyA0123456789abcdefghijklmnopqrstu",
    ],
)
def test_keys_are_hidden_wherever_they_stand(redaction, key):
    assert redaction.text(f"401: bad key '{key}'!") == "401: bad key '[hidden]'!"


@pytest.mark.parametrize(
    "text",
    ["/home/somebody/m.gguf", "hf-internal-testing/tiny-random", "sk-learn-like-estimator", "short", "qwertz-de"],
)
def test_what_is_no_key_stays(redaction, text):
    assert redaction.text(text) == text


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "db_password", "APIKEY"])
def test_variables_are_known_by_their_names(name):
    assert Redaction({name: KEY}).text(KEY) == "[hidden]"


def test_one_key_that_is_part_of_another_leaves_nothing_of_it():
    assert Redaction({"A_KEY": "12345678", "B_KEY": "1234567890"}).text("1234567890") == "[hidden]"


def test_this_process_is_asked_now(monkeypatch):
    monkeypatch.setenv("LATE_API_KEY", KEY)
    assert Redaction().text(KEY) == "[hidden]"


def test_json_values_are_cleaned_throughout(redaction):
    value = {"a": [KEY, 1, None, {"b": f"x {KEY}"}], KEY: 2.5}
    assert redaction.within(value) == {"a": ["[hidden]", 1, None, {"b": "x [hidden]"}], "[hidden]": 2.5}


def test_a_file_is_cleaned_in_place_whatever_bytes_it_has(redaction, tmp_path):
    path = tmp_path / "log.txt"
    path.write_bytes(b"\xff" + KEY.encode() + b"\n")
    with path.open("ab") as log:
        redaction.file(path)
        log.write(b"more")
    assert path.read_bytes() == b"\xff[hidden]\nmore"
    redaction.file(tmp_path / "none")
