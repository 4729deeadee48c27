"""How well relationships are read out of notes: micro-averaged F1, and silence where there is nothing to read.

Knows labelled notes and a function that extracts; never how it does so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.errors import InvalidSettings
from workbench.evaluation.datasets.records import Note, Triple
from workbench.evaluation.retrieval import Estimate, exact_share

_RESAMPLES = 2000
_SEED = 0

Extract = Callable[[str, Sequence[str]], Iterable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Right, invented and missed relationships."""

    right: int
    invented: int
    missed: int

    @property
    def precision(self) -> float | None:
        """``right / (right + invented)``; ``None``: nothing was found."""
        return _share(self.right, self.right + self.invented)

    @property
    def recall(self) -> float | None:
        """``right / (right + missed)``; ``None``: there is nothing to find."""
        return _share(self.right, self.right + self.missed)

    @property
    def f1(self) -> float | None:
        """``2 right / (2 right + invented + missed)``; ``None``: nothing was there and nothing was found."""
        return _share(2 * self.right, 2 * self.right + self.invented + self.missed)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationScore:
    """How well an extractor did.

    Attributes:
        counts: over all notes together (micro average); a relationship is (from, to, type).
        f1: its F1 with a percentile bootstrap over notes (Efron 1979); ``None``: nothing was there and nothing found.
        by_type: type → its counts.
        silent: share of the notes without a relationship of which none was read, with its exact interval; ``None``: all
            notes have one.
        notes: how many there were.
        mistakes: note, invented, missed: of every note that was not read exactly.
    """

    counts: Counts
    f1: Estimate | None
    by_type: Mapping[str, Counts]
    silent: Estimate | None
    notes: int
    mistakes: tuple[tuple[Note, frozenset[Triple], frozenset[Triple]], ...]

    def metrics(self) -> dict[str, float | None]:
        """Every figure by name, ready for ``wb.record``."""
        return {
            "relation_f1": self.counts.f1,
            "relation_f1_low": self.f1.low if self.f1 else None,
            "relation_f1_high": self.f1.high if self.f1 else None,
            "relation_precision": self.counts.precision,
            "relation_recall": self.counts.recall,
            "silent_share": self.silent.value if self.silent else None,
            "notes": self.notes,
        }


def score_relations(notes: Sequence[Note], extract: Extract | None = None) -> RelationScore:
    """Compare what is read out of notes with their labels.

    Args:
        notes: labelled; not empty.
        extract: (text, entities) → records with ``source``, ``target`` and ``type``, as attributes or as keys;
            ``None``: :func:`workbench.memory.graph.extract_relations`.

    Raises:
        InvalidSettings: there are no notes.
    """
    if not notes:
        raise InvalidSettings("There are no notes to score on. relation_notes() has some.")
    read = extract or _extract
    found = [frozenset(_triple(record) for record in read(note.text, note.entities)) for note in notes]
    pairs = list(zip(notes, found, strict=True))
    quiet = [not triples for note, triples in pairs if not note.relations]
    mistakes = ((note, triples - note.relations, note.relations - triples) for note, triples in pairs)
    return RelationScore(
        counts=_counts((note.relations, triples) for note, triples in pairs),
        f1=_bootstrapped_f1(pairs),
        by_type=_by_type(pairs),
        silent=exact_share(sum(quiet), len(quiet)) if quiet else None,
        notes=len(notes),
        mistakes=tuple(one for one in mistakes if one[1] or one[2]),
    )


def _extract(text: str, entities: Sequence[str]) -> Iterable[Any]:
    from workbench.memory.graph import extract_relations

    return extract_relations(text, entities)


def _triple(record: Any) -> Triple:
    if isinstance(record, Mapping):
        return (str(record["source"]), str(record["target"]), str(record["type"]))
    return (str(record.source), str(record.target), str(record.type))


def _counts(pairs: Iterable[tuple[frozenset[Triple], frozenset[Triple]]]) -> Counts:
    right = invented = missed = 0
    for labelled, found in pairs:
        right += len(labelled & found)
        invented += len(found - labelled)
        missed += len(labelled - found)
    return Counts(right=right, invented=invented, missed=missed)


def _bootstrapped_f1(pairs: Sequence[tuple[Note, frozenset[Triple]]]) -> Estimate | None:
    """Notes are drawn, not relationships: those of one note are right or wrong together."""
    each = [_counts([(note.relations, triples)]) for note, triples in pairs]
    table = np.array([(one.right, one.invented, one.missed) for one in each], dtype=np.float64)
    whole = _counts((note.relations, triples) for note, triples in pairs).f1
    if whole is None:
        return None
    drawn = np.random.default_rng(_SEED).integers(0, len(each), (_RESAMPLES, len(each)))
    sums = table[drawn].sum(axis=1)  # (resamples, 3)
    found = 2 * sums[:, 0] + sums[:, 1] + sums[:, 2]
    shares = 2 * sums[found > 0, 0] / found[found > 0]
    low, high = (float(end) for end in np.quantile(shares, (0.025, 0.975)))
    return Estimate(whole, low, high, len(each), len(each))


def _by_type(pairs: Sequence[tuple[Note, frozenset[Triple]]]) -> dict[str, Counts]:
    sides: dict[str, list[tuple[frozenset[Triple], frozenset[Triple]]]] = defaultdict(list)
    for note, found in pairs:
        for kind in {triple[2] for triple in note.relations | found}:
            sides[kind].append((_of(kind, note.relations), _of(kind, found)))
    return {kind: _counts(sides[kind]) for kind in sorted(sides)}


def _of(kind: str, triples: frozenset[Triple]) -> frozenset[Triple]:
    return frozenset(triple for triple in triples if triple[2] == kind)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
