"""Texts to measure on."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.errors import UsageError
from workbench.evaluation import read_text, sample_text, wikitext


def test_the_text_that_comes_along() -> None:
    text = sample_text()
    assert 1_500 < len(text.split()) < 2_500
    assert "def by_length(text):" in text
    assert "\t" not in text
    assert text.isascii()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no text"),
        (b" \n\n", "no text"),
        (b"abc\xff\xfe", "byte 3 is 0xff"),
        (b"GGUF\x00\x00text", "NUL"),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(UsageError, match=said):
        read_text(tmp_path / "file")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            read_text(path)


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Grüße", "utf-8-sig")
    assert read_text(tmp_path / "a.txt") == "Grüße"


def test_wikitext_lies_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKBENCH_DATA", raising=False)
    with pytest.raises(UsageError, match="WORKBENCH_DATA is not set"):
        wikitext()
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    with pytest.raises(UsageError, match="there: none"):
        wikitext()
    (tmp_path / "wikitext2").mkdir()
    (tmp_path / "wikitext2" / "valid.txt").write_text(" = Lobsters = \n")
    (tmp_path / "wikitext2" / "SOURCE.txt").write_text("somewhere")
    assert wikitext() == " = Lobsters = \n"
    for split in ("test", "SOURCE", "../wikitext2/valid"):
        with pytest.raises(UsageError, match="there: valid"):
            wikitext(split)
