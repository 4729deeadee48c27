"""Texts to measure on: a small one that comes with the package, WikiText-2 where it is at hand, any file. No models."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from workbench.errors import UsageError
from workbench.settings import data_dir


def read_text(path: Path | str) -> str:
    """The text of a UTF-8 file, with or without a byte order mark.

    Raises:
        UsageError: no such file, not readable, not UTF-8 text, or nothing in it.
    """
    try:
        data = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}. Name a text file.") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is no UTF-8 text: byte {error.start:,} is 0x{data[error.start]:02x}. Convert it to UTF-8."
        ) from error
    if "\0" in text:
        raise UsageError(f"{path} is binary: it has NUL bytes. Name a text file in UTF-8.")
    if not text.strip():
        raise UsageError(f"{path} has no text in it. Name a file with some.")
    return text


def sample_text() -> str:
    """The text that comes with the package: about 1,800 words of stories, explanations, lists, code and figures.

    Written for this package, so that no model has it from its training data. Enough to see a difference, not to rank
    models.
    """
    return files("workbench.evaluation").joinpath("texts/sample.txt").read_text("utf-8")


def wikitext(split: str = "valid") -> str:
    """WikiText-2 (Merity et al. 2016, arXiv 1609.07843), as it lies in the data folder: ``wikitext2/{split}.txt``.

    Mind which variant that is: of the tokenised one (`` @-@ ``, ``<unk>``) figures do not compare with the raw one's.

    Args:
        split: "valid" or "test".

    Raises:
        UsageError: WORKBENCH_DATA is not set, or does not have that file.
    """
    folder = data_dir()
    if folder is None:
        raise UsageError("WORKBENCH_DATA is not set. Set it to a folder that holds wikitext2/, or use sample_text().")
    known = sorted(
        path.stem for path in (folder / "wikitext2").glob("*.txt") if path.stem in ("test", "train", "valid")
    )
    if split not in known:
        there = ", ".join(known) or "none"
        raise UsageError(f"No split {split!r} of WikiText-2 in {folder / 'wikitext2'}; there: {there}.")
    return read_text(folder / "wikitext2" / f"{split}.txt")
