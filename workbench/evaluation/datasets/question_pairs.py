"""Pairs of questions and whether they ask for the same: what a semantic cache is calibrated and judged on.

Quora's question pairs (2017) as GPTCache uses them, read from ``WORKBENCH_DATA/semantic_cache/qqp_4000.json``: objects
with ``text_a``, ``text_b`` and ``label``; GPTCache's own benchmark is ``mock_data.json``: objects with ``origin`` and
``similar``. A small set of our own comes with the package.
"""

from __future__ import annotations

import json
from importlib.resources import files

from workbench.errors import StoreCorrupt
from workbench.evaluation.datasets.reading import data_folder, read_json

QuestionPair = tuple[str, str, bool]
"""Two questions, and whether one answer serves both."""

_FOLDER = "semantic_cache"


def question_pairs(name: str = "qqp_4000") -> tuple[QuestionPair, ...]:
    """Labelled pairs of ``WORKBENCH_DATA``.

    Args:
        name: of the file, without its ending.

    Raises:
        UsageError: WORKBENCH_DATA is not set or has no such file.
        StoreCorrupt: a pair is not what it should be.
    """
    path = data_folder(_FOLDER) / f"{name}.json"
    rows = read_json(path).value
    try:
        return tuple((str(row["text_a"]), str(row["text_b"]), bool(int(row["label"]))) for row in rows)
    except (TypeError, KeyError, ValueError) as error:
        raise StoreCorrupt(path, f"each pair must have text_a, text_b and a label of 0 or 1: {error!r}.") from error


def paraphrases(name: str = "mock_data") -> tuple[tuple[str, str], ...]:
    """GPTCache's benchmark: sentences, and each in other words.

    Raises:
        UsageError: WORKBENCH_DATA is not set or has no such file.
        StoreCorrupt: a pair is not what it should be.
    """
    path = data_folder(_FOLDER) / f"{name}.json"
    rows = read_json(path).value
    try:
        return tuple((str(row["origin"]), str(row["similar"])) for row in rows)
    except (TypeError, KeyError) as error:
        raise StoreCorrupt(path, f"each pair must have origin and similar: {error!r}.") from error


def own_question_pairs() -> tuple[QuestionPair, ...]:
    """Some dozens of pairs that come with the package: too few to calibrate on, enough to try a cache out."""
    text = files("workbench.evaluation").joinpath("sets/question_pairs.json").read_text("utf-8")
    held = json.loads(text)
    pairs = [(one, other, True) for one, other in held["same"]]
    return (*pairs, *((one, other, False) for one, other in held["different"]))
