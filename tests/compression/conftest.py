"""A real tokenizer, and a conversation as people have them."""

import json
from importlib.resources import files

import pytest

import workbench as wb
from workbench.interfaces import Message


@pytest.fixture(scope="session")
def engine(smollm2):
    with wb.load(smollm2, n_threads=1, n_ctx=2048) as engine:
        yield engine


@pytest.fixture(scope="session")
def talk():
    """A hundred messages of our own, behind a system message."""
    told = json.loads(files("workbench.evaluation").joinpath("sets/conversations.json").read_text("utf-8"))
    turns = [turn for one in told["conversations"] for sitting in one["sittings"] for turn in sitting["turns"]]
    said = [Message("user" if n % 2 == 0 else "assistant", text) for n, (_, text) in enumerate(turns[:100])]
    return [Message.system("You are a friendly listener. Answer in one sentence."), *said]
