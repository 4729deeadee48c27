"""Cranfield: 1,400 abstracts on aerodynamics, 225 queries, and which abstracts answer which.

Cleverdon 1967 (The Cranfield tests on index language devices), read from ``WORKBENCH_DATA/cranfield``:
``cran.all.1400.xml``, ``cran.qry.xml`` and ``cranqrel.trec.txt``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from workbench.errors import StoreCorrupt
from workbench.evaluation.datasets.reading import data_folder, read_file
from workbench.evaluation.datasets.records import Collection

_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")


def cranfield() -> Collection:
    """The collection. A query's id is its ordinal in the file, from "1", as the judgements count: not its ``<num>``.

    Grades are as in the file, 0 being the source document of a query or one of no interest. Two abstracts are empty.

    Raises:
        UsageError: WORKBENCH_DATA is not set, or a file is not there.
        StoreCorrupt: a file is not what it should be; names file and place.
    """
    folder = data_folder("cranfield")
    documents = _documents(folder / "cran.all.1400.xml")
    queries = _queries(folder / "cran.qry.xml")
    return Collection(
        documents=documents,
        queries=queries,
        relevance=_relevance(folder / "cranqrel.trec.txt", queries, documents),
    )


def _documents(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, element in enumerate(_root(path).iter("doc"), 1):
        id_ = (element.findtext("docno") or "").strip()
        if not id_ or id_ in found:
            raise StoreCorrupt(path, f"document {number} has no docno of its own.")
        # the abstract begins with the title
        found[id_] = " ".join((element.findtext("text") or "").split())
    return found


def _queries(path: Path) -> dict[str, str]:
    # <num> counts a longer list of which these are a part; the judgements count these.
    return {
        str(ordinal): " ".join((element.findtext("title") or "").split())
        for ordinal, element in enumerate(_root(path).iter("top"), 1)
    }


def _root(path: Path) -> ElementTree.Element:
    """The file's elements; the documents have no root of their own."""
    text = _DECLARATION.sub("", read_file(path))
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise StoreCorrupt(path, "it declares entities, which a collection has no need of.")
    try:
        return ElementTree.fromstring(f"<all>{text}</all>")  # noqa: S314 - no entities, see above
    except ElementTree.ParseError as error:
        raise StoreCorrupt(path, f"no XML: {error}. Get the file again.") from error


def _relevance(path: Path, queries: Mapping[str, str], documents: Mapping[str, str]) -> Mapping[str, Mapping[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for line, row in enumerate(read_file(path).splitlines(), 1):
        fields = row.split()
        if not fields:
            continue
        if len(fields) != 4 or not re.fullmatch(r"-?\d+", fields[3]):
            raise StoreCorrupt(path, f"line {line} must be query, 0, document and grade.")
        query, _, document, grade = fields
        if query not in queries or document not in documents:
            raise StoreCorrupt(path, f"line {line} judges query {query} and document {document}: one is not there.")
        found[query][document] = int(grade)
    return dict(found)
