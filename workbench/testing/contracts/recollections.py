"""What tests ask of the answer to a recall: its messages, apart from its notes."""
# ruff: noqa: S101 - part of tests

from __future__ import annotations

from collections.abc import Sequence

from workbench.interfaces import Recollection


def said(found: Sequence[Recollection]) -> list[Recollection]:
    """The messages among what was recalled; checks that notes are few and come first."""
    notes = [one for one in found if one.index is None]
    assert len(notes) <= 2, "A recall has at most two notes."
    assert list(found[: len(notes)]) == notes, "Notes come before messages."
    return [one for one in found if one.index is not None]


def indices_of(found: Sequence[Recollection]) -> list[int]:
    """Indices of the recalled messages, in the order given."""
    return [one.index for one in said(found) if one.index is not None]


def texts_of(found: Sequence[Recollection]) -> list[str]:
    """Texts of the recalled messages, in the order given."""
    return [one.message.content for one in said(found)]
