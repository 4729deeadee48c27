"""LoCoMo: very long conversations with questions whose evidence is labelled, turn by turn.

Maharana et al. 2024 (arXiv 2402.17753), with the corrections of a published audit (github.com/dial481/locomo-audit).
Read from ``WORKBENCH_DATA/locomo``: every ``locomo*.json`` there, and ``errors.json`` if there is one. The licence (CC
BY-NC 4.0) keeps the data out of this package.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection as Container
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from workbench.errors import StoreCorrupt, UnknownName, UsageError
from workbench.evaluation.datasets.reading import Node, data_folder, read_json
from workbench.evaluation.datasets.records import CATEGORIES, Conversation, Question, Turn

# Written out: calendar.month_name and strptime follow the locale of the process.
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE = re.compile(r"(\d{1,2}):(\d{2}) ([ap])m on (\d{1,2}) (\w+), (\d{4})", re.IGNORECASE)
_SITTING = re.compile(r"session_(\d+)")
_TURN_ID = re.compile(r"D\s*:?\s*(\d+)\s*:\s*(\d+)")
_QUESTION_ID = re.compile(r"locomo_(\d+)_qa(\d+)")


def locomo(ids: Sequence[str] | None = None, *, corrected: bool = True) -> tuple[Conversation, ...]:
    """The conversations in ``WORKBENCH_DATA/locomo``, sorted by id; one that is in several files counts once.

    Labels are brought to one form: of ``"D8:6; D9:17"``, ``"D:11:26"`` and ``"D30:05"`` come the turns they mean, and
    what names no turn of the conversation is set apart in :attr:`Question.unusable`.

    Args:
        ids: only these ("conv-26").
        corrected: apply the error list, evidence and answers both.

    Raises:
        UsageError: WORKBENCH_DATA is not set or has no LoCoMo.
        UnknownName: one of ``ids`` is not there.
        StoreCorrupt: a file is not what it should be; names file and place.
    """
    folder = data_folder("locomo")
    found: dict[str, Conversation] = {}
    for path in _files(folder):
        for node in read_json(path):
            conversation = _conversation(node)
            found.setdefault(conversation.id, conversation)
    if corrected and (folder / "errors.json").exists():
        found = _correct(found, folder / "errors.json")
    for name in ids or ():
        if name not in found:
            raise UnknownName("LoCoMo conversation", name, found)
    return tuple(found[name] for name in sorted(found) if ids is None or name in ids)


def _files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("locomo*.json"))
    if not files:
        raise UsageError(f"There is no locomo*.json in {folder}. Put the data there, or use small().")
    return files


def _conversation(node: Node) -> Conversation:
    name, said = node["sample_id"].text(), node["conversation"]
    turns = [turn for number in _sittings(said) for turn in _turns(said, number)]
    known = {turn.id for turn in turns}
    if len(known) != len(turns):
        raise said.wrong("has two turns of the same dia_id")
    questions = tuple(_question(item, f"{name}/{number}", known) for number, item in enumerate(node["qa"]))
    return Conversation(name, (said["speaker_a"].text(), said["speaker_b"].text()), tuple(turns), questions)


def _sittings(said: Node) -> list[int]:
    """Numbers of the sittings in which something was said; there are dates without any."""
    matches = (_SITTING.fullmatch(name) for name in said.names())
    return sorted(int(match[1]) for match in matches if match)


def _turns(said: Node, number: int) -> Iterable[Turn]:
    at = _moment(said[f"session_{number}_date_time"])
    for node in said[f"session_{number}"]:
        caption = node["blip_caption"].text().strip() if "blip_caption" in node else None
        yield Turn(
            id=_turn_id(node["dia_id"]),
            speaker=node["speaker"].text(),
            text=node["text"].text(may_be_empty=caption is not None).strip(),
            sitting=number,
            at=at,
            caption=caption,
        )


def _turn_id(node: Node) -> str:
    found = _turn_ids(node.text())
    if len(found) != 1:
        raise node.wrong(f"must be one turn like 'D3:14', not {node.value!r}")
    return found[0]


def _turn_ids(label: str) -> list[str]:
    return [f"D{int(sitting)}:{int(turn)}" for sitting, turn in _TURN_ID.findall(label)]


def _moment(node: Node) -> float:
    match = _DATE.fullmatch(node.text().strip())
    month = match[5][:3].lower() if match else ""
    if match is None or month not in _MONTHS:
        raise node.wrong(f"must be a time like '1:56 pm on 8 May, 2023', not {node.value!r}")
    hour = int(match[1]) % 12 + (12 if match[3].lower() == "p" else 0)
    try:
        moment = datetime(int(match[6]), _MONTHS.index(month) + 1, int(match[4]), hour, int(match[2]), tzinfo=UTC)
    except ValueError as error:
        raise node.wrong(f"is no date: {error}") from error
    return moment.timestamp()


def _question(node: Node, id_: str, known: Container[str]) -> Question:
    evidence, unusable = _evidence(node["evidence"], known)
    return Question(
        id=id_,
        text=node["question"].text(),
        category=node["category"].whole(1, len(CATEGORIES)),
        answer=str(node["answer"].value) if "answer" in node else None,
        evidence=evidence,
        unusable=unusable,
    )


def _evidence(node: Node, known: Container[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Turns that are there, each once, and labels that name none."""
    usable: dict[str, None] = {}
    unusable: list[str] = []
    for label in node:
        named = _turn_ids(label.text())
        usable.update(dict.fromkeys(id_ for id_ in named if id_ in known))
        if not named or any(id_ not in known for id_ in named):
            unusable.append(label.text())
    return tuple(usable), tuple(unusable)


def _correct(found: Mapping[str, Conversation], path: Path) -> dict[str, Conversation]:
    """Conversations with their entries of the error list applied.

    The list counts conversations in the order of the whole data set, of which any part may be here: which one an entry
    means is told by the questions it quotes.
    """
    fixed = dict(found)
    for number, nodes in _by_conversation(read_json(path)).items():
        matches = {name: _matching(nodes, found[name]) for name in found}
        name = max(matches, key=lambda candidate: matches[candidate], default=None)
        if name is None or not matches[name]:
            continue  # about a conversation that is not here
        if matches[name] < len(nodes):
            raise StoreCorrupt(path, f"entries locomo_{number} quote other questions than {name} has. Get both again.")
        fixed[name] = _fixed(found[name], nodes)
    return fixed


def _by_conversation(errors: Node) -> dict[int, list[tuple[int, Node]]]:
    """Number of the conversation → (number of the question, entry)."""
    entries: dict[int, list[tuple[int, Node]]] = defaultdict(list)
    for node in errors:
        match = _QUESTION_ID.fullmatch(node["question_id"].text())
        if match is None:
            raise node["question_id"].wrong("must be like 'locomo_0_qa17'")
        entries[int(match[1])].append((int(match[2]), node))
    return entries


def _matching(nodes: Sequence[tuple[int, Node]], conversation: Conversation) -> int:
    texts = [question.text for question in conversation.questions]
    return sum(texts[place : place + 1] == [node["question"].text()] for place, node in nodes)


def _fixed(conversation: Conversation, nodes: Sequence[tuple[int, Node]]) -> Conversation:
    questions = list(conversation.questions)
    for place, node in nodes:
        evidence, unusable = _evidence(node["correct_evidence"], conversation.index_of)
        answer = str(node["correct_answer"].value) if "correct_answer" in node else questions[place].answer
        questions[place] = replace(
            questions[place], evidence=evidence, answer=answer, corrected=True, unusable=unusable
        )
    return replace(conversation, questions=tuple(questions))
