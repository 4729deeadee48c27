"""Cranfield: judgements count queries by their place in the file."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.errors import StoreCorrupt, UsageError
from workbench.evaluation import cranfield

DOCUMENTS = "<doc>\n<docno>1</docno>\n<text>wing\n lift</text>\n</doc>\n<doc>\n<docno>2</docno>\n<text></text>\n</doc>"
QUERIES = (
    "<?xml version='1.0' encoding='utf-8'?>\n<xml><top><num> 1</num><title>\nlift .\n</title></top>\n"
    "<top><num> 4</num><title>heat .</title></top></xml>"
)


def put(
    folder: Any, documents: str = DOCUMENTS, queries: str = QUERIES, judged: str = "1 0 1 1\r\n2 0 2 0\r\n"
) -> None:
    folder.write("cranfield/cran.all.1400.xml", documents)
    folder.write("cranfield/cran.qry.xml", queries)
    folder.write("cranfield/cranqrel.trec.txt", judged)


def test_a_query_is_named_by_its_place_not_by_its_number(folder: Any) -> None:
    put(folder)
    found = cranfield()
    assert found.documents == {"1": "wing lift", "2": ""}
    assert found.queries == {"1": "lift .", "2": "heat ."}
    assert found.relevance == {"1": {"1": 1}, "2": {"2": 0}}


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"judged": "4 0 1 1\n"}, "line 1 judges query 4"),
        ({"judged": "1 0 1 1\n1 0 9 1\n"}, "line 2 judges query 1 and document 9"),
        ({"judged": "1 0 1\n"}, "line 1 must be query"),
        ({"judged": "1 0 1 good\n"}, "line 1 must be query"),
        ({"documents": "<doc><docno>1</docno>"}, "no XML"),
        ({"documents": DOCUMENTS + DOCUMENTS}, "document 3 has no docno of its own"),
        ({"queries": "<!DOCTYPE x [<!ENTITY a 'b'>]><xml/>"}, "declares entities"),
    ],
)
def test_what_is_wrong_is_told(folder: Any, parts: dict[str, str], said: str) -> None:
    put(folder, **parts)
    with pytest.raises(StoreCorrupt, match=said):
        cranfield()


def test_a_missing_file_is_told(folder: Any) -> None:
    put(folder)
    (folder.root / "cranfield" / "cran.qry.xml").unlink()
    with pytest.raises(UsageError, match=r"cran\.qry\.xml cannot be read"):
        cranfield()
