"""FAULTS rows 1, 2, 5, 6, 7, 15, 20 and 21 as a user of ``wb.load`` meets them."""

from __future__ import annotations

import hashlib
import time
import warnings
from pathlib import Path

import pytest

import workbench as wb
from workbench.engine.native import weights
from workbench.errors import (
    ContextOverflow,
    GpuUnavailable,
    InvalidSettings,
    ModelFileError,
    ModelHashMismatch,
    NoChatTemplate,
    OutOfMemory,
    StreamIncomplete,
    UnknownName,
)
from workbench.interfaces import Message, Stream
from workbench.testing.tiny_gguf import make_tiny_gguf


@pytest.mark.parametrize("keep", [0, 3, 4, 24, "half", -1])
def test_row_1_a_cut_model_is_refused_and_the_next_one_loads(tiny: Path, tmp_path: Path, keep: int | str) -> None:
    data = tiny.read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(data[: len(data) // 2 if keep == "half" else keep])
    with pytest.raises(ModelFileError) as caught:
        wb.load(cut)
    assert caught.value.path == cut
    assert str(cut) in str(caught.value)
    with wb.load(tiny) as engine:
        assert engine.complete("abc", max_tokens=1).tokens


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><html>404</html>", b"PK\x03\x04" + bytes(200), bytes(4096)])
def test_row_1_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "foreign.gguf").write_bytes(content)
    with pytest.raises(ModelFileError):
        wb.load(tmp_path / "foreign.gguf")


def test_row_2_an_altered_known_model_is_refused_before_it_loads(tiny: Path, tmp_path: Path) -> None:
    data = bytearray(tiny.read_bytes())
    blob = tmp_path / "blobs" / f"sha256-{hashlib.sha256(data).hexdigest()}"  # Ollama and Hugging Face name files so
    blob.parent.mkdir()
    blob.write_bytes(data)
    wb.load(blob).close()
    data[-100] ^= 1  # one bit of the tensors
    blob.write_bytes(data)
    with pytest.raises(ModelHashMismatch, match="altered or damaged"):
        wb.load(blob)


@pytest.mark.parametrize("n_ctx", [10**9, 2**31, 2**40])
@pytest.mark.parametrize("engine", ["tuned", "baseline"])
def test_row_5_an_impossible_context_is_refused_by_arithmetic(tiny: Path, n_ctx: int, engine: str) -> None:
    wb.load(tiny).close()  # imports and hashing are not what is looked at
    started = time.perf_counter()
    with pytest.raises((OutOfMemory, InvalidSettings)) as caught:
        wb.load(tiny, n_ctx=n_ctx, engine=engine)
    assert time.perf_counter() - started < 5, "nothing was allocated"
    if isinstance(caught.value, OutOfMemory):
        assert caught.value.need_bytes > caught.value.have_bytes > 0
        assert "n_ctx" in str(caught.value)


@pytest.mark.parametrize("engine", ["tuned", "baseline"])
def test_row_6_a_prompt_longer_than_the_context(tiny: Path, engine: str) -> None:
    with wb.load(tiny, n_ctx=256, engine=engine) as llm:
        with pytest.raises(ContextOverflow) as caught:
            llm.complete("x" * 1000)
        assert caught.value.need_tokens >= 1000 > caught.value.have_tokens == 256
        assert llm.complete("x", max_tokens=1).tokens, "the engine goes on"


@pytest.mark.parametrize("engine", ["tuned", "baseline"])
def test_row_7_a_gpu_asked_for_and_not_there(tiny: Path, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    monkeypatch.setattr(weights, "gpu_offload", lambda: False)
    with pytest.warns(GpuUnavailable, match="runs on the CPU"):
        llm = wb.load(tiny, n_gpu_layers=-1, engine=engine)
    assert llm.settings.n_gpu_layers == 0
    assert llm.complete("a", max_tokens=1).settings.n_gpu_layers == 0
    llm.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error", GpuUnavailable)
        wb.load(tiny, engine=engine).close()


def test_row_15_no_chat_template(tmp_path: Path) -> None:
    with wb.load(make_tiny_gguf(tmp_path / "bare.gguf", chat_template=None, name="bare")) as llm:
        with pytest.warns(NoChatTemplate, match="bare brings no chat template; ChatML"):
            assert llm.complete([Message.user("hi")], max_tokens=1).tokens
        assert llm.complete("raw text needs none", max_tokens=1).tokens


def rest_until_it_breaks(stream: Stream) -> str:
    """Read until the stream breaks; returns the partial text the error carries."""
    with pytest.raises(StreamIncomplete) as caught:
        list(stream)
    return caught.value.partial


@pytest.mark.parametrize("engine", ["tuned", "baseline"])
def test_row_20_a_stream_cut_short_says_so(tiny: Path, engine: str) -> None:
    llm = wb.load(tiny, n_ctx=8192, engine=engine)
    stream = llm.stream("abc", max_tokens=8000, temperature=0, logit_bias={0: -1.0})
    first = next(stream).text
    with pytest.raises(StreamIncomplete):
        _ = stream.completion
    llm.close()
    assert rest_until_it_breaks(stream).startswith(first)


def test_row_21_bytes_that_are_no_text_stream_at_once_and_join_to_the_whole(tiny_bytes: Path) -> None:
    with wb.load(tiny_bytes, n_ctx=2048) as llm:
        chunks = list(
            llm.stream("abc", max_tokens=300, temperature=2.0, top_k=0, top_p=1.0, min_p=0.0, seed=5, ignore_eos=True)
        )
        whole = llm.complete(
            "abc", max_tokens=300, temperature=2.0, top_k=0, top_p=1.0, min_p=0.0, seed=5, ignore_eos=True
        )
    assert "".join(chunk.text for chunk in chunks) == whole.text
    assert sum(len(chunk.tokens) for chunk in chunks) == len(whole.tokens) == 300
    assert "\ufffd" in whole.text, "the model did write invalid bytes"
    silent = max(len(run) for run in "".join("x" if chunk.text else " " for chunk in chunks[:-1]).split("x"))
    assert silent <= 4, "an invalid byte holds back no more than one character's bytes"


@pytest.mark.model
def test_row_21_emoji_of_the_real_model(smollm2: str) -> None:
    with wb.load(smollm2, n_ctx=512) as llm:
        emoji = llm.tokenize("🙂🚀")
        assert len(emoji) > 2, "the characters are split across tokens"
        bias = dict.fromkeys(emoji, 20.0)
        chunks = list(llm.stream("🙂🚀🙂🚀🙂🚀", max_tokens=24, temperature=0, logit_bias=bias))
        whole = llm.complete("🙂🚀🙂🚀🙂🚀", max_tokens=24, temperature=0, logit_bias=bias)
        assert "".join(chunk.text for chunk in chunks) == whole.text
        assert len(whole.tokens) == 24


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(UnknownName, match=r"Unknown model 'smollm3-135m'.*Did you mean 'smollm2-135m'"):
        wb.load("smollm3-135m")
    with pytest.raises(UnknownName, match=r"Unknown engine 'turned'.*Did you mean 'tuned'"):
        wb.load("smollm2-135m", engine="turned")
    with pytest.raises(UnknownName, match=r"Unknown setting 'n_contex'.*Did you mean 'n_ctx'"):
        wb.load("smollm2-135m", n_contex=5)
