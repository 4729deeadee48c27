"""QMSum: transcripts of long meetings with questions whose evidence is labelled, as runs of turns.

Zhong et al. 2021, "QMSum: A New Benchmark for Query-based Multi-domain Meeting Summarization" (arXiv 2104.05938; data
under the MIT licence). Read from ``WORKBENCH_DATA/qmsum``: every ``*.jsonl`` there, a meeting a line, as the authors
publish them in ``data/ALL/jsonl``. Spans are indices of turns from 0, the last included.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workbench.errors import UnknownName, UsageError
from workbench.evaluation.datasets.reading import Node, data_folder, read_json_lines
from workbench.evaluation.datasets.records import Conversation, Question, Turn

_SEVERAL_TURNS = 1
"""Category of every question here: in LoCoMo's terms, an answer put together from several turns."""


def qmsum(ids: Sequence[str] | None = None) -> tuple[Conversation, ...]:
    """The meetings in ``WORKBENCH_DATA/qmsum``, in the order of the files.

    A meeting's id is its file's name and line ("meetings-3"). What QMSum calls general queries ask for the whole
    meeting: they are there without evidence. There are no dates; every turn is said at 0.

    Args:
        ids: only these.

    Raises:
        UsageError: WORKBENCH_DATA is not set or has no QMSum.
        UnknownName: one of ``ids`` is not there.
        StoreCorrupt: a file is not what it should be; names file and place.
    """
    folder = data_folder("qmsum")
    found = {one.id: one for path in _files(folder) for one in _meetings(path)}
    for name in ids or ():
        if name not in found:
            raise UnknownName("QMSum meeting", name, found)
    return tuple(one for name, one in found.items() if ids is None or name in ids)


def _files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise UsageError(f"There is no *.jsonl in {folder}. Put the data there, or use small().")
    return files


def _meetings(path: Path) -> list[Conversation]:
    return [_meeting(node, f"{path.stem}-{number}") for number, node in enumerate(read_json_lines(path), 1)]


def _meeting(node: Node, name: str) -> Conversation:
    turns = tuple(_turn(item, place) for place, item in enumerate(node["meeting_transcripts"]))
    if not turns:
        raise node["meeting_transcripts"].wrong("must have turns")
    asked = [*node["specific_query_list"], *node["general_query_list"]]
    questions = tuple(_question(item, f"{name}/{number}", len(turns)) for number, item in enumerate(asked))
    return Conversation(name, tuple(dict.fromkeys(turn.speaker for turn in turns)), turns, questions)


def _turn(node: Node, place: int) -> Turn:
    return Turn(
        id=str(place),
        speaker=node["speaker"].text(),
        text=node["content"].text(may_be_empty=True).strip(),
        sitting=1,
        at=0.0,
    )


def _question(node: Node, id_: str, turns: int) -> Question:
    labelled = "relevant_text_span" in node
    spans = list(node["relevant_text_span"]) if labelled else []
    places = sorted({place for span in spans for place in _span(span, turns)})
    return Question(
        id=id_,
        text=node["query"].text(),
        category=_SEVERAL_TURNS,
        answer=node["answer"].text(),
        evidence=tuple(str(place) for place in places),
    )


def _span(node: Node, turns: int) -> range:
    """Places of one run of turns, given as the texts of its first and last."""
    ends = [part.text() for part in node]
    if len(ends) != 2 or not all(end.isdecimal() for end in ends) or not int(ends[0]) <= int(ends[1]) < turns:
        raise node.wrong(f"must be the first and the last of turns 0 to {turns - 1}, not {node.value!r}")
    return range(int(ends[0]), int(ends[1]) + 1)
