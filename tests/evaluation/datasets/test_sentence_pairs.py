"""STS-B: pairs with a score, lines that are none."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.errors import StoreCorrupt, UnknownName, UsageError
from workbench.evaluation import stsb


def test_pairs_are_read_as_csv(folder: Any) -> None:
    folder.write("stsb/stsb-en-dev.csv", 'A man runs.,"A man, in red, runs.",3.75\nBo sings.,It rains.,0.0\n')
    first, second = stsb()
    assert (first.first, first.second, first.score) == ("A man runs.", "A man, in red, runs.", 3.75)
    assert second.score == 0


def test_an_unknown_split_lists_those_there_are(folder: Any) -> None:
    folder.write("stsb/stsb-en-train.csv", "a,b,1\n")
    with pytest.raises(UnknownName, match="Known: train"):
        stsb("dev")


@pytest.mark.parametrize("line", ["a,b", "a,b,c", "a,b,5.5", "a,b,nan", "a,b,1,2"])
def test_a_bad_line_is_told(folder: Any, line: str) -> None:
    folder.write("stsb/stsb-en-dev.csv", f"a,b,1\n{line}\n")
    with pytest.raises(StoreCorrupt, match="line 2 must be"):
        stsb()


def test_without_data(folder: Any) -> None:
    with pytest.raises(UsageError, match="no stsb/"):
        stsb()
